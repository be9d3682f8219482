"""``compress``, ``finetune`` and ``export``: from a plan to a network in a file."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Literal

from torch import Tensor

from amc_gym._utils.own_code import failing_as_one
from amc_gym.cli.console import CommandError, own_code, refuse_to_overwrite, say
from amc_gym.cli.plans import SavedPlan
from amc_gym.compression.handover.export import Exported, holds
from amc_gym.compression.handover.formats import FORMATS
from amc_gym.tasks.gathering import Data, training_data_of
from amc_gym.tasks.task import CompressionTask
from amc_gym.training.checkpoints import finished_epochs
from amc_gym.training.recipe import Recipe
from amc_gym.training.scores import score
from amc_gym.workflows import compression as api
from amc_gym.workflows import finetuning
from amc_gym.zoo.datasets.folder import photographs

SAFETENSORS = (FORMATS["safetensors"].suffix,)


def compress(
    saved: SavedPlan,
    out: Path,
    force: bool = False,
) -> None:
    """Build the smaller network of a plan and save it, for `amc_gym.load`.

    Args:
        saved: the plan and its task.
        out: file for the weights (.safetensors); their description goes beside it.
        force: replace the files if they exist.
    """
    refuse_to_overwrite(out, force=force, suffixes=SAFETENSORS)
    loaded, subject = saved.open()
    _said(api.export(api.compress(subject, loaded), subject, out, overwrite=force))


def export(
    saved: SavedPlan,
    format: Literal["onnx", "safetensors", "torch-export", "litert"],
    out: Path,
    network: Path | None = None,
    force: bool = False,
) -> None:
    """Write the smaller network for other runtimes; the file is verified against PyTorch's logits.

    Args:
        saved: the plan and its task.
        format: onnx (needs amc-gym[onnx]), torch-export, safetensors, or litert for phones (needs
            amc-gym[litert]).
        out: the file; .onnx, .pt2, .safetensors or .tflite.
        network: the .safetensors file of the fine-tuned network; without it, the plan's own.
        force: replace the file if it exists.
    """
    refuse_to_overwrite(out, force=force, suffixes=(FORMATS[format].suffix,))
    loaded, subject = saved.open()
    small = api.compress(subject, loaded) if network is None else api.load(network, subject.model)
    _said(api.export(small, subject, out, format=format, overwrite=force))


def finetune(
    saved: SavedPlan,
    out: Path,
    recipe: Recipe = finetuning.FINETUNING,
    train: str | None = None,
    device: str = "auto",
    force: bool = False,
) -> None:
    """Train the smaller network of a plan further and save it.

    After each epoch the run is saved beside the output; repeat the command to go on after an
    interruption.

    Args:
        saved: the plan and its task.
        out: file for the weights (.safetensors); their description goes beside it.
        recipe: how to train.
        train: package.module:function that returns training images: an amc_gym.Split, (images,
            labels), or whatever else a split of the task may be. Or a folder of photographs, at
            any depth and without labels, for --recipe.distillation 1. Registered networks need
            none, they have their data set's.
        device: auto, cpu, cuda, ...
        force: replace the files if they exist.
    """
    checkpoint = out.with_name(out.name + ".checkpoint.pt")
    # Beside a finished run's checkpoint, what is there may be this command's own, which was killed
    # before it had tidied up; that is seen when the network is.
    finished = finished_epochs(checkpoint) >= recipe.epochs
    refuse_to_overwrite(out, force=force or finished, suffixes=SAFETENSORS)
    loaded, subject = saved.open()
    images = _training(train, subject, saved.data_root)
    small = finetuning.finetune(
        subject,
        loaded,
        images,
        recipe,
        checkpoint=checkpoint,
        device=device,
    )
    before = api.compress(subject, loaded)
    _said(api.export(small, subject, out, overwrite=force or holds(out, small)))
    for name in ("reward", "test"):
        split = getattr(subject, name)
        judged = (score(net, split, subject.objective) for net in (subject.model, before, small))
        figures = [f"{share:.2%}" for share in judged]
        say(f"{name} images: original {figures[0]}, compressed {figures[1]}, tuned {figures[2]}")
    checkpoint.unlink(missing_ok=True)


def _said(exported: Exported) -> None:
    say(
        f"{exported.path}: {exported.bytes:,} bytes, {exported.macs:,} MACs, "
        f"{exported.params:,} parameters; logits agree within {exported.error:.0e}"
    )


def _training(name: str | None, task: CompressionTask, data_root: Path | None) -> Data:
    """Return the images to train on.

    Raises:
        CommandError: a folder is named whose photographs do not suit the network.
    """
    if name is None:
        return finetuning.training_images(task, data_root)
    if not Path(name).is_dir():
        return _imported(name, task)
    size = task.example.shape[1:] if isinstance(task.example, Tensor) else ()
    if not (task.objective.classifies and len(size) == 3 and size[0] == 3 and size[1] == size[2]):
        raise CommandError(
            f"--train {name}: photographs are for networks that classify square colour images; "
            "name a package.module:function that returns inputs of this network"
        )
    return photographs(Path(name), size[1])


def _imported(name: str, task: CompressionTask) -> Data:
    own_code(name)
    module, _, function = name.partition(":")
    with failing_as_one(f"--train {name}"):
        try:
            made = getattr(importlib.import_module(module), function)()
        except (ImportError, AttributeError, ValueError) as error:
            raise CommandError(f"--train {name} cannot be imported and called: {error}") from error
        return training_data_of("--train", made, task.objective)
