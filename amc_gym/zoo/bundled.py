"""Weights that come with the package: a safetensors file, and a card that describes them."""

from __future__ import annotations

import hashlib
import json
import platform
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
from pydantic import Field, JsonValue
from safetensors import SafetensorError
from safetensors.torch import load as load_bytes
from safetensors.torch import save as save_bytes
from torch import Tensor, nn

from amc_gym._utils import documents
from amc_gym._utils.documents import Accuracy, DocumentError, Name, Positive, Schema, Sha256
from amc_gym._utils.files import write_whole
from amc_gym.compression.cost import counted_macs, counted_params
from amc_gym.compression.handover.formats import halved, nbytes
from amc_gym.zoo import models

DIRECTORY = Path(__file__).with_name("weights")

LARGEST = 4 * 2**20
"""Bytes above which kernels are stored in half precision."""

REINSTALL = "pip install --force-reinstall 'amc-gym[weights]', or run `make weights` in a checkout"
"""Fix for a damaged file, and for one that the wheel does not include."""


class JudgedSchema(Schema):
    """Accuracy on one split."""

    top1: Accuracy
    images: Positive


class CardSchema(Schema):
    """The card of bundled weights; see ``find``."""

    network: Name
    dataset: Name
    architecture: dict[Name, JsonValue]
    input_shape: Annotated[list[Positive], Field(min_length=3, max_length=3)]
    macs: Positive
    parameters: Positive
    accuracy: dict[Name, JudgedSchema]
    fingerprints: dict[Name, Sha256]
    recipe: dict[Name, JsonValue]
    file: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-][A-Za-z0-9_.-]*\.safetensors$")]
    sha256: Sha256
    versions: dict[Name, Name]


def find(network: str, dataset: str, directory: Path = DIRECTORY) -> dict[str, Any]:
    """Return the card of bundled weights.

    Returns:
        ``network``, ``dataset``, ``architecture`` (arguments of the builder), ``input_shape``
        ``(C, H, W)``, ``macs`` of one image, ``parameters``, ``accuracy`` on reward and test
        images, ``fingerprints`` of the splits, ``recipe``, ``file``, ``sha256``, ``versions``.

    Raises:
        ValueError: no weights are bundled for this pair; the message lists all that are.
        OSError: a card is damaged.
    """
    known = {(card["network"], card["dataset"]): card for card in cards(directory)}
    if (network, dataset) not in known:
        choices = ", ".join(repr(" ".join(names)) for names in known)
        raise ValueError(
            f"no weights of {network} for {dataset} are bundled; choose from {choices}, or pass "
            "weights='torchvision', 'random' or a path"
        )
    return known[network, dataset]


def cards(directory: Path = DIRECTORY) -> list[dict[str, Any]]:
    """Return all cards of bundled weights, see ``find``, in the order of their files.

    Raises:
        OSError: a card is damaged.
    """
    return [_read_card(path) for path in sorted(directory.glob("*.json"))]


def _read_card(path: Path) -> dict[str, Any]:
    try:
        card = documents.read(path)
        documents.check(CardSchema, card)
    except DocumentError as error:
        raise OSError(f"the card {path} is damaged ({error}): {REINSTALL}") from error
    return card


def load(network: str, dataset: str, directory: Path = DIRECTORY) -> nn.Module:
    """Return the pretrained network, in evaluation mode.

    Raises:
        ValueError: no weights are bundled for this pair.
        OSError: the file is missing or damaged.
    """
    card = find(network, dataset, directory)
    state = load_state(directory / card["file"], sha256=card["sha256"])
    model = models.NETWORKS[network].build(**card["architecture"])
    model.load_state_dict(state)
    return model.eval()


def load_state(path: Path, *, sha256: str | None = None) -> dict[str, Tensor]:
    """Return the tensors of a safetensors file, by name.

    Args:
        path: the file.
        sha256: hexadecimal checksum from the card of bundled weights; None for other weights.

    Raises:
        OSError: the file is missing, has another checksum, or cannot be read.
    """
    fix = "use another safetensors file"
    if sha256 is not None:
        fix = REINSTALL
    try:
        content = path.read_bytes()
    except OSError as error:
        raise OSError(f"cannot read the weights {path} ({error.strerror}): {fix}") from error
    if sha256 is not None and hashlib.sha256(content).hexdigest() != sha256:
        raise OSError(f"the weights {path} do not have the checksum on their card: {fix}")
    try:
        return load_bytes(content)
    except SafetensorError as error:
        raise OSError(f"the weights {path} are damaged ({error}): {fix}") from error


def stored(model: nn.Module) -> dict[str, Tensor]:
    """Return the content of the model's file: its ``state_dict``, in half precision if large.

    Load it into the model before measuring anything that the card states about the file.
    """
    state = {name: tensor.cpu().contiguous() for name, tensor in model.state_dict().items()}
    if nbytes(state) <= LARGEST:
        return state
    return halved(state)


def save(
    model: nn.Module,
    network: str,
    dataset: str,
    *,
    input_shape: tuple[int, ...],
    fields: dict[str, Any],
    directory: Path = DIRECTORY,
) -> Path:
    """Write the weights and the card of a network that ``models.build`` made.

    Args:
        model: the trained network.
        network: its name in ``models.NETWORKS``.
        dataset: data set that it was trained on.
        input_shape: ``(C, H, W)`` of an image.
        fields: further entries of the card.
        directory: folder of both files.

    Returns:
        The path of the weights; the card lies beside it.
    """
    path = directory / f"{network}-{dataset}.safetensors".lower()
    content = save_bytes(stored(model))
    card = {
        "network": network,
        "dataset": dataset,
        "architecture": models.architecture(network, dataset),
        "input_shape": input_shape,
        "macs": counted_macs(model, torch.zeros(1, *input_shape)),
        "parameters": counted_params(model),
        **fields,
        "file": path.name,
        "sha256": hashlib.sha256(content).hexdigest(),
        "versions": {
            "python": platform.python_version(),
            "torch": str(torch.__version__),
            "numpy": np.__version__,
        },
    }
    directory.mkdir(parents=True, exist_ok=True)
    write_whole(path, content)
    write_whole(path.with_suffix(".json"), json.dumps(card, indent=2) + "\n")
    return path
