"""Weight pruning in stages beside further training of the full network: figures 3 and 4.

    python -m benchmarks.weight_stages --out FOLDER

The report has density and accuracy after each stage, and each layer's density.  The paper prunes
ResNet-50 in four stages to a fifth of its parameters.  An interrupted run continues after its last
finished epoch.  The fine-tuned networks are kept as weights of the original: ``weights=FILE``.
"""

from __future__ import annotations

import copy
import csv
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
from rich.console import Console
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import nn

import amc_gym
from amc_gym._utils.files import replacing_text, write_json, write_whole
from amc_gym._utils.machine import device_of
from amc_gym.cli.console import printer
from amc_gym.compression.handover.formats import compact
from amc_gym.tasks.split import Split
from amc_gym.tasks.task import CompressionTask
from amc_gym.training.loop import train
from amc_gym.training.recipe import Recipe
from amc_gym.workflows.weight_stages import Stage, geometric, prune_in_stages
from amc_gym.zoo.datasets import load
from amc_gym.zoo.resolving import resolve
from benchmarks.arguments import run_command
from benchmarks.finetuning.jobs import RECIPE, rounded
from benchmarks.finetuning.outcomes import Bits
from benchmarks.finetuning.paired import Difference, difference, no_loss
from benchmarks.machine import described, machine, versions
from benchmarks.reports.figures import FAINT, STYLE, new_figure, save_picture
from benchmarks.reports.tables import write_page
from benchmarks.studies.records import Store
from benchmarks.studies.runs import BenchmarkError

COLUMNS = ("stage", "density %", "as pruned %", "fine-tuned %", "full, alike %", "difference")


@dataclass(frozen=True)
class Row:
    """A stage, and the full network after further training for as many epochs.

    Attributes:
        stage: the stage.
        after: test accuracy of the fine-tuned network, as it is kept.
        full: test accuracy of the full network.
        against: difference between the two.
        no_loss: whether the fine-tuned network lost nothing (``paired.no_loss``).
    """

    stage: Stage
    after: float
    full: float
    against: Difference
    no_loss: bool


def study(
    out: Path,
    network: str = "ResNet56",
    dataset: str = "cifar10",
    weights: str = "bundled",
    data_root: Path | None = None,
    density: float = 0.2,
    stages: int = 4,
    alike: int | None = None,
    evaluations: int = 150,
    seed: int = 0,
    recipe: Recipe = RECIPE,
) -> int:
    """Prune weights in stages, and train the full network further for as many epochs.

    Args:
        out: The results folder.
        network: Name of the network.
        dataset: Its data set; AMC_DATA_ROOT names the folder of those that are read from disk.
        weights: "bundled" or a path.
        data_root: Folder of data that is read from disk, instead of AMC_DATA_ROOT.
        density: Share of the parameters to keep in the end.
        stages: Number of stages; the density falls by the same factor in each.
        alike: Number of stages after which the full network is trained further as well, by default
            all; later stages are compared with the last of these.
        evaluations: Plans that each stage's search evaluates.
        seed: Seed of the searches.
        recipe: Recipe of the fine-tuning after each stage.

    Examples:
        python -m benchmarks.weight_stages --out runs/stages --network Plain20 --stages 2
    """
    for name, ok, demand in (
        ("density", 0 < density < 1, "in (0, 1)"),
        ("stages", stages >= 1, "at least 1"),
        ("alike", alike is None or 1 <= alike <= stages, f"from 1 to the {stages} stages"),
        ("evaluations", evaluations >= 1, "at least 1"),
    ):
        if not ok:
            raise BenchmarkError(f"--{name} must be {demand}")
    Store(out).prepare()
    where = _where(out / "machine.json")
    task = resolve(network, dataset=dataset, data_root=data_root, weights=weights)
    images = load(dataset, data_root).train
    targets = geometric(density, stages)
    finished = prune_in_stages(
        task, images, targets, evaluations=evaluations, recipe=recipe, folder=out, seed=seed
    )
    alike = alike or stages
    full = trained_alike(task, images, recipe, alike, out)
    full += full[-1:] * (stages - alike)
    before = Bits.of(task.model, task.test)
    rows = []
    for number, (stage, whole) in enumerate(zip(finished, full, strict=True), start=1):
        pruned = kept(stage.network, task, out / "networks" / f"stage-{number}.safetensors")
        against = difference([pruned.array], [whole.array])
        lost_nothing = no_loss(against, difference([whole.array], [before.array]))
        rows.append(Row(stage, pruned.accuracy, whole.accuracy, against, lost_nothing))
    title = f"{network} on {dataset}: weights pruned in {stages} stages"
    notes = f"{_notes(task, evaluations, seed, recipe)} {where}"
    if alike < stages:
        notes += f" The full network was not trained on after stage {alike}: later rows repeat it."
    write(rows, task, out, title, notes, printer())
    return 0


def kept(network: nn.Module, task: CompressionTask, path: Path) -> Bits:
    """Evaluate a network on the test images, with the precision of its file if it is stored.

    The file holds weights that the original network takes.
    """
    network = copy.deepcopy(network)
    if rounded(network):
        path.parent.mkdir(exist_ok=True)
        write_whole(path, save(compact(network.state_dict())))
    return Bits.of(network, task.test)


def trained_alike(
    task: CompressionTask, images: Split, recipe: Recipe, stages: int, out: Path
) -> list[Bits]:
    """Evaluate the full network after the training of each stage, without pruning.

    Finished trainings are kept as full-1.safetensors and so on, and are not repeated.

    Raises:
        BenchmarkError: the folder holds a full network that was trained otherwise.
    """
    model = copy.deepcopy(task.model)
    device = device_of("auto")
    found = []
    for number in range(1, stages + 1):
        path, checkpoint = out / f"full-{number}.safetensors", out / f"full-{number}.checkpoint"
        identity = {
            "task": task.fingerprint,
            "training_images": images.fingerprint,
            "recipe": json.dumps(recipe.described()),
            "stage": str(number),
        }
        if path.exists():
            _load(model, path, identity)
        else:
            train(
                model.to(device),
                images,
                recipe,
                teacher=task.model,
                checkpoint=checkpoint,
                origin=f"{task.fingerprint}, stage {number}",
            )
            write_whole(path, save(compact(model.cpu().state_dict()), identity))
        checkpoint.unlink(missing_ok=True)  # an earlier run may have been killed before this
        found.append(Bits.of(model, task.test))
    return found


def _load(model: nn.Module, path: Path, identity: dict[str, str]) -> None:
    """Load a finished full network.

    Raises:
        BenchmarkError: the file was made by another call, or is damaged.
    """
    try:
        with safe_open(path, "pt") as file:
            if file.metadata() != identity:
                raise BenchmarkError(f"{path} belongs to another call: choose another --out")
        model.load_state_dict(load_file(path))
    except (SafetensorError, RuntimeError) as error:
        raise BenchmarkError(f"{path} is damaged ({error}): remove it to train it again") from error


def write(
    rows: Sequence[Row], task: CompressionTask, out: Path, title: str, notes: str, console: Console
) -> None:
    """Write stages.md, stages.csv and the picture, and show the table on ``console``."""
    before = f"{amc_gym.accuracy(task.model, task.test):.2%}"[:-1]
    cells = [["0", "100.0", "", "", before, ""]]
    for number, row in enumerate(rows, start=1):
        values = (row.stage.density, row.stage.before, row.after, row.full)
        shown = [f"{100 * value:.{1 + (i > 1)}f}" for i, value in enumerate(values)]
        loss = ", no loss" if row.no_loss else ""
        cells.append([str(number), *shown, f"{row.against}{loss}"])
    picture = "![Density of each layer after each stage](densities.png)"
    path = out / "stages.md"
    write_page(path, title, COLUMNS, cells, notes, picture=picture, console=console, words=0)
    with replacing_text(out / "stages.csv") as file:
        writer = csv.writer(file, lineterminator="\n")
        columns = ("density", "before", "after", "full", "difference", "low", "high", "images")
        writer.writerow(["stage", *columns])
        for number, row in enumerate(rows, start=1):
            stage, against = row.stage, row.against
            figures = (stage.density, stage.before, row.after, row.full)
            paired = (against.mean, against.low, against.high)
            writer.writerow([number, *figures, *paired, len(task.test)])
    draw([row.stage for row in rows], out / "densities.png", title)


def _notes(task: CompressionTask, evaluations: int, seed: int, recipe: Recipe) -> str:
    return (
        f"{len(task.test)} test images, which no search and no training saw. Each stage: a search "
        f"of {evaluations} evaluations on {len(task.reward)} reward images (seed {seed}), then "
        f"{recipe.epochs} epochs (batch size {recipe.batch_size}, learning rate "
        f"{recipe.learning_rate}, {recipe.schedule}, distillation {recipe.distillation}). The "
        "full network is trained on by the same recipe, stage by stage; differences to it are in "
        "points, with the 95 % interval of a bootstrap over images. No loss: a mean of at least "
        "-0.2 points, an interval that is not all below 0, and a recipe that does not harm the "
        "full network: its own interval is not all below 0."
    )


def _where(path: Path) -> str:
    """Return the machine on which the study began, which is kept if another one continues it."""
    if not path.exists():
        write_json(path, {"machine": machine(), "versions": versions()})
    begun = json.loads(path.read_text())
    return f"Measured on {described(begun['machine'])}; torch {begun['versions']['torch']}."


def draw(stages: Sequence[Stage], path: Path, title: str) -> None:
    """Draw the density of each layer after each stage."""
    layers = list(stages[0].layers)
    shades = mpl.colormaps["viridis_r"]
    with mpl.rc_context(STYLE):
        figure = new_figure(4.0)
        axes = figure.subplots()
        for number, stage in enumerate(stages, start=1):
            axes.plot(
                range(1, len(layers) + 1),
                [100 * stage.layers[name] for name in layers],
                marker="o",
                markersize=3,
                color=shades(number / len(stages)),
                label=f"stage {number}: {stage.density:.0%}",
            )
        axes.set_title(title, loc="left", pad=28)
        axes.set_xlabel("layer, in execution order")
        axes.set_ylabel("weights kept, %")
        axes.set_ylim(0, 103)
        axes.grid(color=FAINT, axis="y")
        axes.set_axisbelow(True)
        axes.legend(ncols=len(stages), loc="lower left", bbox_to_anchor=(0, 1))
        save_picture(figure, path)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    return run_command(study, "benchmarks.weight_stages", arguments)


if __name__ == "__main__":
    sys.exit(main())
