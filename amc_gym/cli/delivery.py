"""``compress``, ``finetune`` and ``export``: from a plan to a network in a file."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from amc_gym._utils.own_code import failing_as_one, is_code
from amc_gym.cli.commands import Compress, Export, Finetune
from amc_gym.cli.console import CommandError, own_code, refuse_to_overwrite, say
from amc_gym.cli.opening import opened
from amc_gym.compression.handover.export import Exported, holds
from amc_gym.compression.handover.formats import FORMATS
from amc_gym.tasks.data import Data, training_data_of
from amc_gym.tasks.task import CompressionTask
from amc_gym.training.checkpoints import finished_epochs
from amc_gym.training.scores import score
from amc_gym.workflows import compression as api
from amc_gym.workflows import finetuning
from amc_gym.workflows.teachers import bundled_teacher
from amc_gym.zoo.datasets.folder import photographs

SAFETENSORS = (FORMATS["safetensors"].suffix,)


def compress(command: Compress) -> None:
    """Export the plan's network."""
    refuse_to_overwrite(command.out, force=command.force, suffixes=SAFETENSORS)
    plan, task = opened(command.saved)
    small = api.compress(task, plan, command.saved.recovery)
    _said(api.export(small, task, command.out, overwrite=command.force))


def export(command: Export) -> None:
    """Export the plan's network, or the fine-tuned one.

    Raises:
        CommandError: ``recovery`` is given together with fine-tuned weights.
    """
    out, format = command.out, command.format
    if command.network is not None and command.saved.recovery is not None:
        raise CommandError(
            "--network already has weights: leave out --recovery, which is for the plan's own "
            "network"
        )
    refuse_to_overwrite(out, force=command.force, suffixes=(FORMATS[format].suffix,))
    plan, task = opened(command.saved)
    small = (
        api.compress(task, plan, command.saved.recovery)
        if command.network is None
        else api.load(command.network, task.model)
    )
    _said(api.export(small, task, out, format=format, overwrite=command.force))


def finetune(command: Finetune) -> None:
    """Fine-tune, continuing an interrupted call, and show the scores."""
    out, recipe = command.out, command.recipe
    checkpoint = out.with_name(out.name + ".checkpoint.pt")
    # Beside a finished run's checkpoint, an existing output may be this command's own, if it was
    # killed before it cleaned up; that is found out once the network is there.
    finished = finished_epochs(checkpoint) >= recipe.epochs
    refuse_to_overwrite(out, force=command.force or finished, suffixes=SAFETENSORS)
    plan, task = opened(command.saved)
    images = _training(command.train, task, command.saved.data_root)
    teacher = None if command.teacher is None else _teacher(command.teacher, task)
    small = finetuning.finetune(
        task,
        plan,
        images,
        recipe,
        recovery=command.saved.recovery,
        teacher=teacher,
        checkpoint=checkpoint,
        device=command.device,
    )
    before = api.compress(task, plan, command.saved.recovery)
    _said(api.export(small, task, out, overwrite=command.force or holds(out, small)))
    for name in ("reward", "test"):
        split = getattr(task, name)
        judged = (score(net, split, task.objective) for net in (task.model, before, small))
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
        CommandError: the photographs of a folder do not suit the network.
    """
    if name is None:
        return finetuning.training_images(task, data_root)
    if not Path(name).is_dir():
        return training_data_of("--train", _made("--train", name), task.objective)
    size = task.example.shape[1:] if isinstance(task.example, Tensor) else ()
    if not (task.objective.classifies and len(size) == 3 and size[0] == 3 and size[1] == size[2]):
        raise CommandError(
            f"--train {name}: photographs are only for networks that classify square colour "
            "images; name a package.module:function that returns inputs of this network"
        )
    return photographs(Path(name), size[1])


def _teacher(name: str, task: CompressionTask) -> nn.Module:
    return _made("--teacher", name) if is_code(name) else bundled_teacher(task, name)


def _made(option: str, name: str) -> Any:
    """Return what the package.module:function of an option returns.

    Raises:
        CommandError: it cannot be imported or called.
    """
    own_code(name)
    module, _, function = name.partition(":")
    with failing_as_one(f"{option} {name}"):
        try:
            return getattr(importlib.import_module(module), function)()
        except (ImportError, AttributeError, ValueError) as error:
            raise CommandError(f"{option} {name} cannot be imported and called: {error}") from error
