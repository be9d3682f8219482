"""Store of small networks: one file of weights, and one of cards that describe them.

Only the tensors of the requested network are read, so that it takes no longer if there are many.
"""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Container, Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import torch
from pydantic import Field, JsonValue
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as save_bytes
from torch import Tensor, nn

from amc_gym._utils import documents
from amc_gym._utils.documents import (
    Accuracy,
    DocumentError,
    Name,
    Natural,
    Positive,
    Schema,
    Seconds,
    Sha256,
    Share,
)
from amc_gym._utils.files import write_whole
from amc_gym._utils.names import nearest, printable
from amc_gym.compression.handover.formats import halved
from amc_gym.zoo.bundled import JudgedSchema
from amc_gym.zoo.small.generator import build

DIRECTORY = Path(__file__).with_name("trained")
"""Folder of the zoo that comes with the package."""

WEIGHTS = "networks.safetensors"
CARDS = "cards.json"

REINSTALL = "pip install --force-reinstall 'amc-gym[weights]', or run `make zoo` in a checkout"


class Card(Schema):
    """Description of a small network.

    Attributes:
        family: name of its family.
        split: "train", "members" or "family", see ``amc_gym.zoo.small.generator``.
        seed: its number among those of its family and data set.
        dataset: data set that it was trained on, with options: "digits?resolution=12".
        architecture: arguments of the family's builder.
        input_shape: ``[C, H, W]`` of an image.
        macs: MACs for one image.
        parameters: number of learnable parameters.
        accuracy: on "reward" and "test" images, with the stored weights.
        preserve_ratio: default share of the MACs to keep.
        uniform: accuracy of the uniform plan within that budget, on reward images.
        uniform_loss: accuracy that this plan loses, in points on reward images.
        fingerprints: of the splits.
        recipe: of its training.
        seconds: duration of the training.
        sha256: of its tensors.
        versions: of the packages that made it.
    """

    family: Name
    split: Literal["train", "members", "family"]
    seed: Natural
    dataset: Name
    architecture: dict[Name, JsonValue]
    input_shape: Annotated[list[Positive], Field(min_length=3, max_length=3)]
    macs: Positive
    parameters: Positive
    accuracy: dict[Name, JudgedSchema]
    preserve_ratio: Share
    uniform: Accuracy
    uniform_loss: float
    fingerprints: dict[Name, Sha256]
    recipe: dict[Name, JsonValue]
    seconds: Seconds
    sha256: Sha256
    versions: dict[Name, Name]


class StoreSchema(Schema):
    """Cards of all networks, and the reasons why others that were trained are left out."""

    networks: dict[Name, Card]
    left_out: dict[Name, Name]


def read(directory: Path = DIRECTORY) -> StoreSchema:
    """Return all cards of a folder.

    Raises:
        OSError: the file is missing or damaged.
    """
    path = directory / CARDS
    try:
        return documents.check(StoreSchema, documents.read(path))
    except DocumentError as error:
        raise OSError(f"the cards {path} are damaged ({error}): {REINSTALL}") from error
    except OSError as error:
        raise OSError(f"cannot read the cards {path} ({error.strerror}): {REINSTALL}") from error


def held(directory: Path) -> StoreSchema:
    """Return all cards of a folder in which a zoo is being made; none if there is no file yet.

    Raises:
        OSError: the file is damaged.
    """
    if (directory / CARDS).exists():
        return read(directory)
    return StoreSchema(networks={}, left_out={})


@cache
def cards(directory: Path = DIRECTORY) -> Mapping[str, Card]:
    """Return name -> card of all small networks of a folder, by default the package's, read once.

    Raises:
        OSError: as ``read``.
    """
    return read(directory).networks


def card(name: str, directory: Path = DIRECTORY) -> Card:
    """Return the card of a small network; by default, of one that comes with the package.

    Raises:
        ValueError: no network has that name; the message suggests a close match.
        OSError: as ``read``.
    """
    known = cards(directory)
    if name in known:
        return known[name]
    near = nearest(name, known)
    hint = f"; did you mean {near!r}?" if near else ""
    raise ValueError(
        f"there is no small network {printable(str(name), 100)!r}{hint}: "
        "docs/zoo.md and amc_gym.zoo.small.cards() list them"
    )


def load(name: str, directory: Path = DIRECTORY) -> nn.Module:
    """Return a trained network, in evaluation mode.

    Raises:
        ValueError: no network has that name.
        OSError: the file is missing, damaged, or does not match its card.
    """
    known = card(name, directory)
    model = _built(known)
    path = directory / WEIGHTS
    try:
        with safe_open(path, "pt") as file:
            state = {key: file.get_tensor(f"{name}/{key}") for key in model.state_dict()}
    except (SafetensorError, OSError) as error:
        raise OSError(
            f"cannot read {name!r} of the weights {path} ({error}): {REINSTALL}"
        ) from error
    if digest(state) != known.sha256:
        raise OSError(f"{name!r} of the weights {path} does not match its card: {REINSTALL}")
    model.load_state_dict(state)
    return model.eval()


def kept(model: nn.Module) -> dict[str, Tensor]:
    """Return the tensors of a network as they are stored, with kernels in half precision."""
    return halved({key: tensor.contiguous() for key, tensor in model.state_dict().items()})


def untrained(name: str) -> nn.Module:
    """Return a network that comes with the package, in training mode, before its training.

    Raises:
        ValueError, OSError: as ``card``.
    """
    return _built(card(name))


def _built(known: Card) -> nn.Module:
    with torch.random.fork_rng(devices=[]):  # keeps the caller's random state
        return build(known.family, known.architecture)


def digest(state: Mapping[str, Tensor]) -> str:
    """Return the SHA-256 (hex) of tensors, by name, type, shape and values."""
    found = hashlib.sha256()
    for key, tensor in sorted(state.items()):
        found.update(f"{key} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        found.update(tensor.contiguous().numpy().tobytes())
    return found.hexdigest()


def versions() -> dict[str, str]:
    """Return the versions of the packages that make networks."""
    return {
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "numpy": np.__version__,
    }


def put(directory: Path, name: str, made: Card | str, model: nn.Module | None = None) -> None:
    """Add a network to a folder, or the reason why it is left out, replacing an older entry.

    Args:
        directory: the folder, which is created if necessary.
        name: of the network.
        made: its card, or the reason.
        model: the trained network, if there is a card.

    Raises:
        OSError: existing files are damaged, or the folder cannot be written.
    """
    directory.mkdir(parents=True, exist_ok=True)
    known = held(directory)
    networks = {key: value for key, value in known.networks.items() if key != name}
    left_out = {key: value for key, value in known.left_out.items() if key != name}
    if model is None:
        left_out[name] = str(made)
    else:
        assert isinstance(made, Card)
        networks[name] = made
        tensors = {f"{name}/{key}": tensor for key, tensor in kept(model).items()}
        write_whole(directory / WEIGHTS, save_bytes(_others(directory, networks, name) | tensors))
    content = StoreSchema(networks=networks, left_out=left_out).model_dump(mode="json")
    write_whole(directory / CARDS, json.dumps(content, indent=1) + "\n")


def _others(directory: Path, networks: Container[str], name: str) -> dict[str, Tensor]:
    """Return the tensors of a folder, except those of ``name`` and of networks without a card."""
    path = directory / WEIGHTS
    if not path.exists():
        return {}
    with safe_open(path, "pt") as file:
        return {
            key: file.get_tensor(key)
            for key in file.keys()  # noqa: SIM118  # it is not a mapping
            if (owner := key.partition("/")[0]) != name and owner in networks
        }
