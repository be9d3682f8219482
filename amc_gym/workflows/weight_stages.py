"""Iterative weight pruning: each stage is a search, followed by fine-tuning (section 4.2).

The paper prunes ResNet-50 in four stages to a density of 20 %.  A single stage cannot reach that:
with a_max = 0.8 a convolutional network keeps at least a fifth of its weights, and at that budget
nothing would be left to decide.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import JsonValue
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import nn

from amc_gym._utils import documents
from amc_gym._utils.arguments import described, real, whole
from amc_gym._utils.arguments import path as path_of
from amc_gym._utils.documents import Accuracy, DocumentError, Name, Schema, Share
from amc_gym._utils.files import write_json, write_whole
from amc_gym._utils.machine import device_of
from amc_gym.compression.handover.tied import complete, distinct
from amc_gym.compression.plan import CompressionPlan, PlanError
from amc_gym.compression.pruning.fine_grained import densities, nonzero_params
from amc_gym.engine.cache import engines
from amc_gym.envs.factory import make_env
from amc_gym.tasks.data import Data, DataLike, data_of
from amc_gym.tasks.task import CompressionTask
from amc_gym.training.loop import train
from amc_gym.training.recipe import FINETUNING, Recipe
from amc_gym.training.scores import score
from amc_gym.workflows.compression import compress
from amc_gym.workflows.finetuning import beginning
from amc_gym.workflows.search import search
from amc_gym.zoo.resolving import resolve


class StageSchema(Schema):
    """The file of a finished stage."""

    identity: dict[Name, JsonValue]
    density: Share
    layers: dict[Name, Share]
    before: Accuracy
    after: Accuracy
    plan: dict[Name, JsonValue]


@dataclass(frozen=True)
class Stage:
    """The result of one stage.

    Attributes:
        density: non-zero parameters as a share of the original network's parameters.
        layers: share of each layer's weights that are not zero, in execution order.
        before: test score after pruning, before fine-tuning, in [0, 1].
        after: test score after fine-tuning.
        plan: plan that the search found.
        network: the fine-tuned network, on the CPU, in eval mode; pruned weights are zero.
    """

    density: float
    layers: dict[str, float]
    before: float
    after: float
    plan: CompressionPlan
    network: nn.Module


def geometric(density: float, stages: int) -> tuple[float, ...]:
    """Return densities that fall by the same factor in each stage and end at ``density``."""
    density = real("density", density, above=0, below=1)
    stages = whole("stages", stages, at_least=1)
    return tuple(density ** (stage / stages) for stage in range(1, stages + 1))


def prune_in_stages(
    task: CompressionTask,
    training_images: DataLike,
    targets: Sequence[float],
    *,
    evaluations: int = 200,
    recipe: Recipe = FINETUNING,
    folder: str | Path | None = None,
    seed: int = 0,
    device: str = "auto",
    progress: bool = True,
    **options: Any,
) -> list[Stage]:
    """Prune single weights in stages, fine-tuning after each.

    Args:
        task: the network to prune, and its images.
        training_images: for fine-tuning; must not be reward or test images.
        targets: density after each stage, in (0, 1), decreasing; see ``geometric``.
        evaluations: evaluations of each stage's search.
        recipe: of each stage's fine-tuning; it may distil from the original network.
        folder: where finished stages are kept; the same call then continues after the last one.
        seed: of the searches.
        device: where to fine-tune; "auto": a GPU if there is one.
        progress: whether to show progress bars.
        options: of the environment, such as ``max_sparsity=...``; recovery is "none" by default.

    Raises:
        ValueError: targets do not decrease, one cannot be reached in one stage, or the folder
            holds the stages of another call.
    """
    if not isinstance(targets, Sequence | np.ndarray) or isinstance(targets, str):
        raise TypeError(f"targets must be densities, one for each stage, not {described(targets)}")
    targets = [real("targets", target, above=0, below=1) for target in targets]
    if not targets or not all(b < a for a, b in zip((1.0, *targets), targets, strict=False)):
        raise ValueError(f"targets must be densities below 1 that decrease, not {list(targets)}")
    task = resolve(task)
    training_images = data_of("training_images", training_images, task.objective)
    task.check_fits("training_images", training_images)
    evaluations = whole("evaluations", evaluations, at_least=1)
    seed = whole("seed", seed, at_least=0)
    folder = None if folder is None else path_of("folder", folder)
    if not isinstance(recipe, Recipe):
        raise TypeError(f"recipe must be an amc_gym.Recipe, not {described(recipe)}")
    options = {"recovery": "none"} | options
    full = nonzero_params(task.model)
    identity = {
        "task": task.fingerprint,
        "training_images": training_images.fingerprint,
        "evaluations": evaluations,
        "seed": seed,
        "options": options,
        "recipe": _text(recipe),
    }
    stages: list[Stage] = []
    current = task
    for number, target in enumerate(targets):
        path = None if folder is None else folder / f"stage-{number + 1}"
        stage = None if path is None else _load(path, identity | {"target": target}, current)
        if stage is None:
            env = make_env(
                current,
                granularity="weight",
                resource="params",
                preserve_ratio=target * full / nonzero_params(current.model),
                **options,
            )
            plan = search(env, evaluations, seed + number, progress=progress)
            stage = _finetuned(
                plan, current, task, training_images, recipe, path, device, progress=progress
            )
            if path is not None:
                _save(path, identity | {"target": target}, stage)
        if path is not None:  # an earlier run may have been killed before this
            path.with_suffix(".checkpoint").unlink(missing_ok=True)
        stages.append(stage)
        current = replace(current, model=stage.network, source=(("task", None),))
    return stages


def _finetuned(
    plan: CompressionPlan,
    current: CompressionTask,
    original: CompressionTask,
    training_images: Data,
    recipe: Recipe,
    path: Path | None,
    device: str,
    *,
    progress: bool,
) -> Stage:
    """Return the stage of a plan, with its network fine-tuned.

    Args:
        plan: what the search decided.
        current: the network that was searched.
        original: the network before the first stage, which is the teacher.
        training_images: to train on.
        recipe: how to train.
        path: of the stage, beside which its checkpoint lies; ``None`` keeps none.
        device: where to train.
        progress: whether to show a progress bar.
    """
    before = score(compress(current, plan), original.test, original.objective)
    network, cut = beginning(current, plan, recipe)
    network = train(
        network.to(device_of(device)),
        training_images,
        recipe,
        objective=original.objective,
        teacher=original.model,
        checkpoint=None if path is None else path.with_suffix(".checkpoint"),
        origin=plan.to_json(),
        keep_zeros=True,
        cut=cut,
        progress=progress,
    )
    network.cpu()
    return Stage(
        density=nonzero_params(network) / nonzero_params(original.model),
        layers=densities(network, engines.analysis(original).graph),
        before=before,
        after=score(network, original.test, original.objective),
        plan=plan,
        network=network,
    )


def _text(recipe: Recipe) -> str:
    """Return a recipe as text, in the form that finished stages of all versions use."""
    return f"Recipe({', '.join(f'{name}={value!r}' for name, value in recipe.described().items())})"


def _save(path: Path, identity: dict[str, Any], stage: Stage) -> None:
    """Write a stage, its weights first, because the description marks it as finished."""
    path.parent.mkdir(parents=True, exist_ok=True)
    state = {name: tensor.contiguous() for name, tensor in distinct(stage.network).items()}
    write_whole(path.with_suffix(".safetensors"), save(state))
    description = {
        "identity": identity,
        "density": stage.density,
        "layers": stage.layers,
        "before": stage.before,
        "after": stage.after,
        "plan": stage.plan.to_dict(),
    }
    write_json(path.with_suffix(".json"), description)


def _load(path: Path, identity: dict[str, Any], before: CompressionTask) -> Stage | None:
    """Return a finished stage, or ``None`` if there is none."""
    if not path.with_suffix(".json").exists():
        return None
    file = path.with_suffix(".json")
    try:
        description = documents.read(file)
        documents.check(StageSchema, description)
        plan = CompressionPlan.from_dict(description["plan"])
    except (DocumentError, PlanError) as error:
        raise ValueError(f"{file} is no finished stage: {error}; choose another folder") from error
    if description["identity"] != json.loads(json.dumps(identity)):
        raise ValueError(f"{file} belongs to another call: choose another folder")
    network = compress(before, plan)
    try:
        state = load_file(path.with_suffix(".safetensors"))
        network.load_state_dict(complete(network, state))
    except (SafetensorError, RuntimeError) as error:
        weights = path.with_suffix(".safetensors")
        raise ValueError(f"{weights} is not what {file.name} describes: {error}") from error
    return Stage(
        density=description["density"],
        layers=description["layers"],
        before=description["before"],
        after=description["after"],
        plan=plan,
        network=network.eval(),
    )
