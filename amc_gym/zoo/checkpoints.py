"""Loading of weights from a user's file."""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from amc_gym._utils.names import printable
from amc_gym.zoo.bundled import load_state

SUFFIXES = (".safetensors", ".pt", ".pth", ".th", ".tar")
WRAPPERS = ("state_dict", "model_state_dict", "model")
"""Keys under which training scripts store a network's tensors."""

PARALLEL = "module."
"""Prefix that ``nn.DataParallel`` adds to each name."""


def read(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a checkpoint, by name, without the wrappers of training scripts.

    Args:
        path: a safetensors file, or one that ``torch.save`` wrote.  Only tensors are read: a file
            with other objects is refused, never unpickled.

    Raises:
        OSError: the file is missing, damaged, or holds more than tensors.
        ValueError: its suffix is unknown, or there are no tensors in it.
    """
    if path.suffix not in SUFFIXES:
        raise ValueError(
            f"weights must be 'bundled', 'torchvision', 'random' or a file whose name ends in "
            f"{', '.join(SUFFIXES)}, not {str(path)!r}"
        )
    state = load_state(path) if path.suffix == ".safetensors" else _unwrapped(_load(path))
    if not state or not all(isinstance(value, Tensor) for value in state.values()):
        raise ValueError(
            f"{path} holds no state_dict: save one with torch.save(model.state_dict(), path)"
        )
    if all(name.startswith(PARALLEL) for name in state):
        state = {name.removeprefix(PARALLEL): tensor for name, tensor in state.items()}
    return state


def _load(path: Path) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # about pickle protocols of damaged files
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise OSError(
            f"the weights {path} are damaged or hold more than tensors, which is not unpickled: "
            "copy them again, or use torch.save(model.state_dict(), path) where they come from"
        ) from error
    except OSError as error:
        raise OSError(f"cannot read the weights {path} ({error.strerror})") from error
    except Exception as error:  # torch.load may raise anything
        reason = printable(str(error), 200) or type(error).__name__
        raise OSError(f"the weights {path} are damaged ({reason}): copy them again") from error


def _unwrapped(content: Any) -> dict[str, Any]:
    for wrapper in WRAPPERS:
        if isinstance(content, Mapping) and isinstance(content.get(wrapper), Mapping):
            content = content[wrapper]
    return dict(content) if isinstance(content, Mapping) else {}


def put(
    state: Mapping[str, Tensor], model: nn.Module, origin: str, *, any_classes: bool = False
) -> None:
    """Load tensors into a network, in place.

    Args:
        state: tensors by name.
        model: the network.
        origin: where they come from, for the message.
        any_classes: whether the last layer may have another number of classes; it is then left
            unchanged.

    Raises:
        ValueError: names or shapes are those of another network, or the number of classes differs.
    """
    own = model.state_dict()
    wrong = [name for name in own if name in state and own[name].shape != state[name].shape]
    head = _last_linear(model)
    of_head = bool(wrong) and set(wrong) <= {f"{head}.weight", f"{head}.bias"}
    if of_head and not any_classes:
        found, wanted = len(state[wrong[0]]), len(own[wrong[0]])
        raise ValueError(
            f"{origin} is for {found} classes ({wrong[0]}), but the data set has {wanted}"
        )
    mismatch = model.load_state_dict(_of_right_shape(state, wrong), strict=False)
    problems = {
        "of another shape": [] if of_head else wrong,
        "missing": sorted(set(mismatch.missing_keys) - set(wrong)),
        "unexpected": mismatch.unexpected_keys,
    }
    if any(problems.values()):
        found = "; ".join(f"{what}: {_listed(names)}" for what, names in problems.items() if names)
        raise ValueError(f"{origin} holds the weights of another network ({found})")


def _of_right_shape(state: Mapping[str, Tensor], wrong: Iterable[str]) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in state.items() if name not in set(wrong)}


def classes_of(model: nn.Module) -> int | None:
    """Return the number of classes of the last linear layer; None if there is no such layer."""
    head = _last_linear(model)
    return None if head is None else len(model.get_parameter(f"{head}.weight"))


def _last_linear(model: nn.Module) -> str | None:
    linear = [name for name, module in model.named_modules() if isinstance(module, nn.Linear)]
    return linear[-1] if linear else None


def _listed(names: Iterable[str], shown: int = 3) -> str:
    names = list(names)
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return ", ".join(names[:shown]) + more
