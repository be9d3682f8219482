"""Where small networks are kept: one file of weights, and one of cards that say what they are.

A network's tensors are read from the file alone, so that one costs no more where there are many.
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
"""The zoo that comes with the package."""

WEIGHTS = "networks.safetensors"
CARDS = "cards.json"

REINSTALL = "pip install --force-reinstall 'amc-gym[weights]', or run `make zoo` in a checkout"


class Card(Schema):
    """What is known of a small network.

    Attributes:
        family: name of its kind.
        split: "train", "members" or "family", see ``amc_gym.zoo.small.generator``.
        seed: its number among those of its family and data set.
        dataset: what it was trained on, with options: "digits?resolution=12".
        architecture: arguments of the family's builder.
        input_shape: ``[C, H, W]`` of an image.
        macs: of one image.
        parameters: all that is learnable.
        accuracy: on "reward" and "test" images, of the weights as they are kept.
        preserve_ratio: share of the MACs that is kept by default.
        uniform: accuracy on reward images of the uniform plan within that budget.
        uniform_loss: what that plan loses, in points of accuracy on reward images.
        fingerprints: of the splits.
        recipe: how it was trained.
        seconds: of the training.
        sha256: of its tensors.
        versions: of what made it.
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
    """Cards of all networks, and why others that were trained are not among them."""

    networks: dict[Name, Card]
    left_out: dict[Name, Name]


def read(directory: Path = DIRECTORY) -> StoreSchema:
    """All cards of a folder.

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
    """All cards of a folder that a zoo is made in: none, before there is a first one.

    Raises:
        OSError: the file is damaged.
    """
    if (directory / CARDS).exists():
        return read(directory)
    return StoreSchema(networks={}, left_out={})


@cache
def cards(directory: Path = DIRECTORY) -> Mapping[str, Card]:
    """Name -> card, of every small network of a folder, read once; by default, of the package.

    Raises:
        OSError: as ``read``.
    """
    return read(directory).networks


def card(name: str, directory: Path = DIRECTORY) -> Card:
    """Return the card of a small network; by default, of one that comes with the package.

    Raises:
        ValueError: there is none of that name; the message has the near match.
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
        ValueError: there is none of that name.
        OSError: the file is missing, damaged, or not the one that the card is of.
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
        raise OSError(f"{name!r} of the weights {path} is not what its card is of: {REINSTALL}")
    model.load_state_dict(state)
    return model.eval()


def kept(model: nn.Module) -> dict[str, Tensor]:
    """Return the tensors of a network as the file has them: kernels in half precision."""
    return halved({key: tensor.contiguous() for key, tensor in model.state_dict().items()})


def untrained(name: str) -> nn.Module:
    """Return a network that comes with the package, in training mode, before its training.

    Raises:
        ValueError, OSError: as ``card``.
    """
    return _built(card(name))


def _built(known: Card) -> nn.Module:
    with torch.random.fork_rng(devices=[]):  # what it draws is nobody's business
        return build(known.family, known.architecture)


def digest(state: Mapping[str, Tensor]) -> str:
    """SHA-256 (hex) of tensors, by name, type, shape and values."""
    found = hashlib.sha256()
    for key, tensor in sorted(state.items()):
        found.update(f"{key} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        found.update(tensor.contiguous().numpy().tobytes())
    return found.hexdigest()


def versions() -> dict[str, str]:
    """Tell what makes networks here."""
    return {
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "numpy": np.__version__,
    }


def put(directory: Path, name: str, made: Card | str, model: nn.Module | None = None) -> None:
    """Add a network to a folder, or the reason why it is left out, in the place of an older one.

    Args:
        directory: the folder; it is made.
        name: of the network.
        made: its card, or the reason.
        model: the trained network, where there is a card.

    Raises:
        OSError: what is there is damaged, or the folder cannot be written.
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
    """Return the tensors of a folder, but those of a network, and of such as have no card."""
    path = directory / WEIGHTS
    if not path.exists():
        return {}
    with safe_open(path, "pt") as file:
        return {
            key: file.get_tensor(key)
            for key in file.keys()  # noqa: SIM118  # it is no mapping
            if (owner := key.partition("/")[0]) != name and owner in networks
        }
