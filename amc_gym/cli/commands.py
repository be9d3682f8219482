"""Commands of ``amc-gym`` with their arguments: everything that a help text needs, without PyTorch.

Each command is a function of these arguments, whose module is imported when the command runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import ClassVar, Literal

import tyro
from tyro.conf import Positional

from amc_gym._utils import interrupts
from amc_gym.cli.console import guarded
from amc_gym.cli.parsing import parsed
from amc_gym.cli.subjects import HandedOver, Options, SavedPlan, Subject
from amc_gym.compression.latency.load import BUSIEST
from amc_gym.compression.latency.timing import NOISIEST, ROUNDS
from amc_gym.training.recipe import FINETUNING, Recipe
from amc_gym.workflows.evolution import EVALUATIONS

RuntimeName = Literal["onnx", "torch", "compile"]

DESCRIPTION = """Compress neural networks by pruning channels.

A plan says which channels of which network are kept. Search for one, check it, and take the smaller
network with you:

  amc-gym search AMC-MobileNet-v0 --preserve-ratio 0.3 --out plan.json
  amc-gym validate plan.json
  amc-gym finetune plan.json --out tuned.safetensors
  amc-gym export plan.json --network tuned.safetensors --format onnx --out small.onnx
  amc-gym bench-latency plan.json --network tuned.safetensors

A plan never runs code: one that was made for package.module:function is refused unless you name
that function yourself, with --task.

`amc-gym COMMAND --help` shows examples of a command, `amc-gym --version` prints the version, and
`amc-gym completion bash` (zsh, fish) makes a shell complete commands and options.
"""


@dataclass(frozen=True)
class Command:
    """Arguments of a command; ``runs`` names its function, as module:function."""

    runs: ClassVar[str]

    def __call__(self) -> None:
        """Import what the command needs, and run it.

        Raises:
            CommandError: the command failed.
        """
        module, _, function = self.runs.partition(":")
        with interrupts.importing():  # PyTorch takes seconds
            run = getattr(import_module(f"amc_gym.cli.{module}"), function)
            from amc_gym.compression.evaluation import parallel
        try:
            guarded(run)(self)
        except KeyboardInterrupt:
            parallel.abandon()
            raise


@dataclass(frozen=True)
class List(Command):
    """List the registered networks, their data sets, and the share of MACs kept by default.

    Examples:
        amc-gym list
    """

    runs = "catalogue:list_"


@dataclass(frozen=True)
class Info(Command):
    """Show what can be pruned in a network, what each unit costs, and what cannot be pruned.

    Attributes:
        subject: network and data.

    Examples:
        amc-gym info AMC-MobileNet-v0
        amc-gym info AMC-ResNet56-v0 --dataset cifar10 --data-root data
        amc-gym info my_module:my_task
    """

    runs = "catalogue:info"

    subject: Subject


@dataclass(frozen=True)
class Search(Command):
    """Search for the best plan by evolution, and save it.

    Attributes:
        subject: network and data.
        budget: budget and evaluation.
        out: file for the plan (JSON).
        evaluations: how many plans to try.
        seed: seed of the search; the same seed finds the same plan.
        force: replace the file if it exists.

    Examples:
        amc-gym search AMC-MobileNet-v0 --preserve-ratio 0.3 --out plan.json
        amc-gym search my:task --importance taylor --recovery reconstruct+bn --out plan.json
        amc-gym search AMC-MobileNet-v0 --resource latency --preserve-ratio 0.6 --out plan.json
    """

    runs = "compression:search"

    subject: Subject
    budget: Options
    out: Path
    evaluations: int = EVALUATIONS
    seed: int = 0
    force: bool = False


@dataclass(frozen=True)
class Compress(Command):
    """Build the smaller network of a plan and save it, for `amc_gym.load`.

    Attributes:
        saved: plan and task.
        out: file for the weights (.safetensors); their description is written beside it.
        force: replace the files if they exist.

    Examples:
        amc-gym compress plan.json --out small.safetensors
    """

    runs = "delivery:compress"

    saved: HandedOver
    out: Path
    force: bool = False


@dataclass(frozen=True)
class Validate(Command):
    """Replay a plan and compare the results with everything it claims.

    The exit status is 0 if the plan holds and 1 if a claim fails. It is 3 if no claim fails but the
    budget is one of latency whose table was not found, so that the budget cannot be checked. A
    latency outside of the budget is listed as not proven if its table was not found.

    Attributes:
        saved: plan and task.
        latency_table: file of the latency table that the plan was made with; by default this
            machine's cached table.

    Examples:
        amc-gym validate plan.json
        amc-gym validate plan.json --task my_module:my_task
    """

    runs = "compression:validate"

    saved: SavedPlan
    latency_table: Path | None = None


@dataclass(frozen=True)
class Export(Command):
    """Write the smaller network for other runtimes, and verify the file against PyTorch's outputs.

    Attributes:
        saved: plan and task.
        format: onnx (needs amc-gym[onnx]), torch-export, safetensors, or litert for phones (needs
            amc-gym[litert]).
        out: the file; .onnx, .pt2, .safetensors or .tflite.
        network: the .safetensors file of the fine-tuned network; by default the plan's own network.
        force: replace the file if it exists.

    Examples:
        amc-gym export plan.json --format onnx --out small.onnx
        amc-gym export plan.json --network tuned.safetensors --format litert --out small.tflite
    """

    runs = "delivery:export"

    saved: HandedOver
    format: Literal["onnx", "safetensors", "torch-export", "litert"]
    out: Path
    network: Path | None = None
    force: bool = False


@dataclass(frozen=True)
class Finetune(Command):
    """Train the smaller network of a plan further and save it.

    The run is saved beside the output after each epoch; repeat the command to continue after an
    interruption.

    Attributes:
        saved: plan and task.
        out: file for the weights (.safetensors); their description is written beside it.
        recipe: how to train.
        train: package.module:function that returns training images: an amc_gym.Split, (images,
            labels), or any other form that a split of a task may have. Or a folder of photographs,
            nested or not and without labels, for --distillation 1. Registered networks need
            none, they use their data set's.
        teacher: a registered network, such as ResNet56, whose bundled weights for the same data set
            teach instead of the original network; or package.module:function that returns a
            network.
        device: auto, cpu, cuda, ...
        force: replace the files if they exist.

    Examples:
        amc-gym finetune plan.json --epochs 10 --out tuned.safetensors
        amc-gym finetune plan.json --task my:task --train my:images --out t.safetensors
    """

    runs = "delivery:finetune"

    saved: HandedOver
    out: Path
    recipe: Recipe = FINETUNING
    train: str | None = None
    teacher: str | None = None
    device: str = "auto"
    force: bool = False


@dataclass(frozen=True)
class MakeTable(Command):
    """Measure a network's layers on this machine, for `latency_table=` of an environment.

    The file may be used on other machines: for example, times of a phone for a search on a server.
    If it exists and --check-on is given, it is checked instead of measured again.

    Attributes:
        network: a registered network, such as MobileNet, or package.module:function.
        out: the file (.json).
        dataset: digits, cifar10, imagenette, imagenette96, imagenet or folder.
        weights: bundled, torchvision, random or a file; times do not depend on them.
        data_root: folder of the data sets that are read from disk; by default $AMC_DATA_ROOT.
        runtime: runtime of the network; onnx (needs amc-gym[onnx]) is what networks are exported
            for.
        threads: threads of the runtime.
        batch: images at a time.
        rounds: number of timings of each layer.
        noisiest: largest accepted spread between a pass's quartiles, as a share of its median.
        check_on: number of random plans that are then timed end to end and compared with the table.
        device: auto, cpu, cuda, ... for the torch runtimes.
        force: replace the file if it exists.

    Examples:
        amc-gym latency-table MobileNet --out times.json
        amc-gym latency-table MobileNet --runtime torch --check-on 20 --out times.json
    """

    runs = "latency:latency_table"

    network: Positional[str]
    out: Path
    dataset: str = "digits"
    weights: str = "bundled"
    data_root: Path | None = None
    runtime: RuntimeName = "onnx"
    threads: int = 1
    batch: int = 1
    rounds: int = ROUNDS
    noisiest: float = NOISIEST
    check_on: int = 0
    device: str = "auto"
    force: bool = False


@dataclass(frozen=True)
class BenchLatency(Command):
    """Time the original and the compressed network side by side on this machine.

    Attributes:
        saved: plan and task.
        network: the .safetensors file of the fine-tuned network; by default the plan's own network.
        runtime: runtime of the networks; onnx needs amc-gym[onnx].
        threads: threads of the runtime.
        batch: images at a time.
        rounds: number of timings of each, in turns.
        noisiest: largest accepted spread between a pass's quartiles, as a share of its median.
        busiest: share of the cores that other programs may take meanwhile, up to 1.
        device: auto, cpu, cuda, ... for the torch runtimes.

    Examples:
        amc-gym bench-latency plan.json
        amc-gym bench-latency plan.json --network tuned.safetensors --threads 2
    """

    runs = "latency:bench_latency"

    saved: SavedPlan
    network: Path | None = None
    runtime: RuntimeName = "onnx"
    threads: int = 1
    batch: int = 1
    rounds: int = 50
    noisiest: float = NOISIEST
    busiest: float = BUSIEST
    device: str = "auto"


@dataclass(frozen=True)
class Doctor(Command):
    """Show what is installed, the device and threads in use, and which data are found.

    Also shows the caches with their sizes and, for each missing extra, the line that installs it.
    The exit status is 0 whatever is missing.

    Attributes:
        data_root: folder of the data sets that are read from disk; by default $AMC_DATA_ROOT.

    Examples:
        amc-gym doctor
        amc-gym doctor --data-root data
    """

    runs = "doctor:doctor"

    data_root: Path | None = None


@dataclass(frozen=True)
class Completion(Command):
    """Print a script with which a shell completes commands, options and choices.

    Write it once to where your shell looks for it, and open a new shell.

    Attributes:
        shell: bash, zsh or fish.

    Examples:
        amc-gym completion bash > ~/.local/share/bash-completion/completions/amc-gym
        amc-gym completion zsh > "${fpath[1]}/_amc-gym"
        amc-gym completion fish > ~/.config/fish/completions/amc-gym.fish
    """

    shell: Positional[Literal["bash", "zsh", "fish"]]

    def __call__(self) -> None:
        """Print the script, without importing anything else.

        Raises:
            SystemExit: always, with 0, as help texts do.
        """
        parse(["--tyro-print-completion", self.shell])


COMMANDS: dict[str, type[Command]] = {
    "list": List,
    "info": Info,
    "search": Search,
    "compress": Compress,
    "validate": Validate,
    "export": Export,
    "finetune": Finetune,
    "latency-table": MakeTable,
    "bench-latency": BenchLatency,
    "doctor": Doctor,
    "completion": Completion,
}
"""Name on the command line -> its arguments."""


def parse(given: Sequence[str]) -> Command:
    """Return the command of a command line.

    Args:
        given: the command line without the program; an empty one asks for help.

    Raises:
        SystemExit: with 2 if it is not a command, with 0 if help or a completion was asked for.
    """
    config = (
        tyro.conf.OmitArgPrefixes,
        tyro.conf.FlagCreatePairsOff,
        tyro.conf.PositionalMetavarFromFieldName,
    )
    return parsed(COMMANDS, given, "amc-gym", DESCRIPTION, config)
