"""Checkpoint files of training runs, written completely or not at all."""

from __future__ import annotations

import io
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from amc_gym._utils.files import replacing


def write(path: Path, state: Mapping[str, Any]) -> None:
    """Write a run's state completely or, if interrupted, not at all.

    Args:
        path: the file; missing folders are made.
        state: tensors and plain values, with "identity", a dictionary of what a continued run must
            share, and "epoch", the number of finished epochs.

    Raises:
        OSError: it cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as file:
        try:
            torch.save(dict(state), file)
        except RuntimeError as error:  # torch's own error, raised from the system's
            if isinstance(error.__context__, OSError):
                raise error.__context__ from None
            raise


def read(path: Path) -> dict[str, Any]:
    """Return a run's state.

    Raises:
        ValueError: the checkpoint is damaged.
    """
    content = io.BytesIO(path.read_bytes())
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # about pickle protocols of damaged files
            state = torch.load(content, map_location="cpu", weights_only=True)
        if not isinstance(state["identity"], dict) or not state["epoch"] >= 0:
            raise ValueError
    except Exception as error:  # torch.load may raise anything
        raise ValueError(
            f"checkpoint {path} is damaged: delete it, or name another file"
        ) from error
    return state


def finished_epochs(checkpoint: Path) -> int:
    """Return the number of epochs that the run in a checkpoint has finished; 0 if there is none.

    Raises:
        ValueError: the checkpoint is damaged.
    """
    return read(checkpoint)["epoch"] if checkpoint.exists() else 0
