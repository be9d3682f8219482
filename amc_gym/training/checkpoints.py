"""Files in which the state of a training run lies, whole or not at all."""

from __future__ import annotations

import io
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from amc_gym._utils.files import replacing


def write(path: Path, state: Mapping[str, Any]) -> None:
    """Write a run's state: all of it or, if interrupted, nothing.

    Args:
        path: the file; folders above it are made.
        state: tensors and plain values, with "identity", a table of what a run that goes on must
            share, and "epoch", the number of finished epochs.

    Raises:
        OSError: it cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as file:
        try:
            torch.save(dict(state), file)
        except RuntimeError as error:  # torch's own, after what the system has said
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
            warnings.simplefilter("ignore", UserWarning)  # of a pickle protocol that damage made
            state = torch.load(content, map_location="cpu", weights_only=True)
        if not isinstance(state["identity"], dict) or not state["epoch"] >= 0:
            raise ValueError
    except Exception as error:  # torch.load raises whatever it runs into
        raise ValueError(
            f"checkpoint {path} is damaged. Delete it, or name another file"
        ) from error
    return state


def finished_epochs(checkpoint: Path) -> int:
    """How many epochs a run has behind it whose state is in a file; 0 if there is none.

    Raises:
        ValueError: the checkpoint is damaged.
    """
    return read(checkpoint)["epoch"] if checkpoint.exists() else 0
