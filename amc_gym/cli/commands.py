"""Commands of ``amc-gym`` with their arguments: all that a help text needs, without PyTorch.

What a command does is a function of these arguments; its module is imported when the command runs.
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

A plan says which channels of which network stay. Search for one, look at what it gives, and take
the smaller network with you:

  amc-gym search AMC-MobileNet-v0 --preserve-ratio 0.3 --out plan.json
  amc-gym validate plan.json
  amc-gym finetune plan.json --out tuned.safetensors
  amc-gym export plan.json --network tuned.safetensors --format onnx --out small.onnx
  amc-gym bench-latency plan.json --network tuned.safetensors

A plan never makes code run: one that was made for package.module:function is refused unless you
name that function yourself, with --task.

`amc-gym COMMAND --help` has examples of a command, `amc-gym --version` says which version this is,
and `amc-gym completion bash` (zsh, fish) makes a shell complete all of it.
"""


@dataclass(frozen=True)
class Command:
    """Arguments of a command; ``runs`` is the function of them, as module:function."""

    runs: ClassVar[str]

    def __call__(self) -> None:
        """Import what the command needs, and run it.

        Raises:
            CommandError: it failed in a way of its own.
        """
        module, _, function = self.runs.partition(":")
        with interrupts.importing():  # takes seconds: PyTorch
            run = getattr(import_module(f"amc_gym.cli.{module}"), function)
            from amc_gym.compression.evaluation import parallel
        try:
            guarded(run)(self)
        except KeyboardInterrupt:
            parallel.abandon()
            raise


@dataclass(frozen=True)
class List(Command):
    """Say which networks are registered, their data sets, and the share of MACs kept by default.

    Examples:
        amc-gym list
    """

    runs = "catalogue:list_"


@dataclass(frozen=True)
class Info(Command):
    """Say what can be pruned of a network, what each layer costs, and what cannot be pruned.

    Attributes:
        subject: what it is about.

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
        subject: what is compressed.
        budget: what it may cost, and how it is judged.
        out: file for the plan (JSON).
        evaluations: how many plans to try.
        seed: of the search; the same seed finds the same plan.
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
        saved: the plan and its task.
        out: file for the weights (.safetensors); their description goes beside it.
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
    """Replay a plan and compare with all that it claims.

    The exit status is 0 if the plan holds, 1 if a claim fails, and 3 if none fails but its budget
    is one of latency whose table is not here, so that nobody can say whether the plan keeps it. A
    latency that no budget bounds is named as not proven where its table is not here.

    Attributes:
        saved: the plan and its task.
        latency_table: file of the times that a latency was told by; without it, this machine's.

    Examples:
        amc-gym validate plan.json
        amc-gym validate plan.json --task my_module:my_task
    """

    runs = "compression:validate"

    saved: SavedPlan
    latency_table: Path | None = None


@dataclass(frozen=True)
class Export(Command):
    """Write the smaller network for other runtimes; the file is verified against PyTorch's logits.

    Attributes:
        saved: the plan and its task.
        format: onnx (needs amc-gym[onnx]), torch-export, safetensors, or litert for phones (needs
            amc-gym[litert]).
        out: the file; .onnx, .pt2, .safetensors or .tflite.
        network: the .safetensors file of the fine-tuned network; without it, the plan's own.
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

    After each epoch the run is saved beside the output; repeat the command to go on after an
    interruption.

    Attributes:
        saved: the plan and its task.
        out: file for the weights (.safetensors); their description goes beside it.
        recipe: how to train.
        train: package.module:function that returns training images: an amc_gym.Split, (images,
            labels), or whatever else a split of the task may be. Or a folder of photographs, at
            any depth and without labels, for --distillation 1. Registered networks need
            none, they have their data set's.
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
    device: str = "auto"
    force: bool = False


@dataclass(frozen=True)
class MakeTable(Command):
    """Measure a network's layers on this machine, for `latency_table=` of an environment.

    The file may be used on other machines: times of a phone, say, for a search on a server. If it
    exists, and there are networks to check it on, it is checked instead of measured again.

    Attributes:
        network: a registered network, such as MobileNet, or package.module:function.
        out: the file (.json).
        dataset: digits, cifar10, imagenette, imagenette96, imagenet or folder.
        weights: bundled, torchvision, random or a file; times do not depend on them.
        data_root: folder of the data sets that are read from disk; without it, $AMC_DATA_ROOT.
        runtime: what runs the network; onnx (needs amc-gym[onnx]) is what it is handed over for.
        threads: that the runtime may use.
        batch: images at a time.
        rounds: how often each layer is timed.
        noisiest: spread between a pass's quartiles, as a share of its median, that is accepted.
        check_on: so many random plans are then timed end to end and compared with the table.
        device: auto, cpu, cuda, ... of the torch runtimes.
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
        saved: the plan and its task.
        network: the .safetensors file of the fine-tuned network; without it, the plan's own.
        runtime: what runs them; onnx needs amc-gym[onnx].
        threads: that the runtime may use.
        batch: images at a time.
        rounds: how often each is timed, by turns.
        noisiest: spread between a pass's quartiles, as a share of its median, that is accepted.
        busiest: share of the cores that other programs may take meanwhile, up to 1.
        device: auto, cpu, cuda, ... of the torch runtimes.

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
    """Say what is installed, on which device and threads it runs, and which data are found.

    Also shown are the caches and their sizes, and for each extra that is missing the line that
    installs it. The exit status is 0 whatever is missing.

    Attributes:
        data_root: folder of the data sets that are read from disk; without it, $AMC_DATA_ROOT.

    Examples:
        amc-gym doctor
        amc-gym doctor --data-root data
    """

    runs = "doctor:doctor"

    data_root: Path | None = None


@dataclass(frozen=True)
class Completion(Command):
    """Print a script by which a shell completes commands, options and choices.

    Write it once where your shell looks for it, and open a new shell.

    Attributes:
        shell: bash, zsh or fish.

    Examples:
        amc-gym completion bash > ~/.local/share/bash-completion/completions/amc-gym
        amc-gym completion zsh > "${fpath[1]}/_amc-gym"
        amc-gym completion fish > ~/.config/fish/completions/amc-gym.fish
    """

    shell: Positional[Literal["bash", "zsh", "fish"]]

    def __call__(self) -> None:
        """Print the script; nothing else is imported.

        Raises:
            SystemExit: always, as help texts do (0).
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
    """Return the command that a command line says.

    Args:
        given: the command line without the program; nothing asks for help.

    Raises:
        SystemExit: it is no command (2), or help or a completion was asked for (0).
    """
    config = (
        tyro.conf.OmitArgPrefixes,
        tyro.conf.FlagCreatePairsOff,
        tyro.conf.PositionalMetavarFromFieldName,
    )
    return parsed(COMMANDS, given, "amc-gym", DESCRIPTION, config)
