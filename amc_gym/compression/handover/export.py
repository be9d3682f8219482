"""The hand-over: a compressed network in a file that others can use.

Whatever is written is read back, run on images and compared with the network's logits before it
takes its place; parameters, MACs and file size must have fallen.  A file is whole or not there, and
a network in a safetensors file and its description are there together.
"""

from __future__ import annotations

import copy
import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from amc_gym._utils import documents
from amc_gym._utils.documents import DocumentError
from amc_gym._utils.files import write_whole
from amc_gym._utils.names import choose
from amc_gym._utils.nests import Nest, called, leaves, mapped, placed, take
from amc_gym.compression.cost import counted_macs, counted_params
from amc_gym.compression.handover.description import DescriptionSchema
from amc_gym.compression.handover.formats import (
    FORMATS,
    VERSION,
    ExportError,
    Format,
    decode_safetensors,
    encode_safetensors,
    nbytes,
)
from amc_gym.compression.handover.pair import current, description_of, in_the_way, put
from amc_gym.compression.handover.rebuild import RebuildError, describe, refuse_unusable
from amc_gym.compression.pruning.fine_grained import nonzero_params
from amc_gym.compression.tracing.part import given_to

TOLERANCE = 1e-4
"""Largest difference between a file's logits and the network's, as a share of the largest logit.
Runtimes add in another order, which float32 answers with errors of some 1e-6."""

VERIFIED = 16
"""Images that a file is verified on."""

HEADER = 2**24
"""Bytes that the names and shapes in a safetensors file may take."""


@dataclass(frozen=True)
class Exported:
    """A network that was handed over: its file, its costs, and how exact it is.

    Attributes:
        path: of the file, of ``bytes`` bytes.
        macs, params: of the network.
        error: the largest difference of logits as a share of the largest logit.
    """

    path: Path
    bytes: int
    macs: int
    params: int
    error: float


def export(
    network: nn.Module,
    path: str | os.PathLike[str],
    *,
    original: nn.Module,
    images: Nest,
    part: str = "",
    format: str | None = None,
    fields: Mapping[str, Any] | None = None,
    overwrite: bool = False,
) -> Exported:
    """Write a compressed network.

    Args:
        network: what to write; it is not changed.
        path: the file; formats have suffixes of their own.
        original: the uncompressed network, for comparison.
        images: inputs to verify the file on, such as (N, C, H, W), of one sample at least.
        part: module of both that alone was compressed, and is written in formats that hold
            operations: what surrounds it, such as a detector's search for boxes, has none that fit
            any image.  "": all of it.
        format: "safetensors", "torch-export", "onnx" or "litert"; ``None``: as the suffix says.
        fields: what the description of a safetensors file says besides sizes and checksum.
        overwrite: whether existing files may be replaced.

    Raises:
        ExportError: the network or its file is no smaller than the original's, cannot be traced,
            or gives other logits once read back; nothing is written then.
        FileExistsError: a file is there already.
        ImportError: the format's extra is not installed.
        ValueError: the format is unknown or does not go with the suffix.
    """
    path = Path(path)
    chosen = _format(path, format)
    described = chosen is FORMATS["safetensors"]
    taken = in_the_way(path) if described else (path if path.exists() else None)
    if taken and not overwrite:
        raise FileExistsError(f"{taken} exists; name another file, or allow to overwrite it")

    # A view would drag all images into a .pt2 file.
    cpu = torch.device("cpu")
    images = mapped(Tensor.clone, placed(take(images, slice(VERIFIED)), cpu))
    network, original = (_plain_copy(model) for model in (network, original))
    macs, params = _smaller(network, original, images, part)
    if part and chosen.operations:
        images = given_to(original, part, images)
        if isinstance(images, tuple) and len(images) == 1:
            images = images[0]
        network, original = (each.get_submodule(part) for each in (network, original))
    fields = dict(fields or {})
    if described:
        fields["layers"] = describe(network, original)
    contents = chosen.write(network, images, path.name, fields)
    size = len(contents[0])
    # Most files are smaller than the original's bare tensors.  Where names and graph weigh more
    # than the weights, the original is written for comparison.
    if size >= nbytes(original.state_dict()):
        full = len(chosen.write(original, images, path.name, {})[0])
        if size >= full:
            raise ExportError(
                f"{path.name} would have {size:,} bytes and the original {full:,}: "
                "nothing is gained; compress more, or use another format"
            )
    with torch.inference_mode():
        error = _difference(chosen.read(contents, original)(images), called(network, images))
    if not error <= TOLERANCE:
        raise ExportError(
            f"{path.name} gives other logits than the network once it is read back: they differ "
            f"by {error:.1e} of the largest logit, allowed is {TOLERANCE:.0e}"
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    if described:
        put(path, contents[0], json.loads(contents[1]), overwrite=overwrite)
    else:
        write_whole(path, contents[0])
    return Exported(path, size, macs, params, error)


def load(path: str | os.PathLike[str], original: nn.Module) -> nn.Module:
    """Return the network of a safetensors file and its description, in eval mode.

    Args:
        path: the safetensors file.
        original: the uncompressed network, with any weights; not changed.

    Raises:
        ExportError: a file is damaged, of another format, or describes another network.
        OSError: a file is missing.
    """
    description = read_description(path)
    try:
        # No network that was made smaller has more bytes, whatever types its tensors have.
        content = documents.read_bytes(Path(path), 2 * nbytes(original.state_dict()) + HEADER)
        if hashlib.sha256(content).hexdigest() != description["weights"]["sha256"]:
            raise ExportError(f"{path} does not have the checksum that its description states")
        network = decode_safetensors(content, description, original)
        if description.get("input_shape") is not None:
            refuse_unusable(network, original, description["input_shape"])
    except (DocumentError, RebuildError) as error:
        raise ExportError(f"{path}: {error}") from error
    return network


def holds(path: Path, network: nn.Module) -> bool:
    """Whether a safetensors file and its description are what ``export`` makes of a network."""
    try:
        stated = read_description(path)["weights"]["sha256"]
        found = hashlib.sha256(path.read_bytes()).hexdigest()
    except (ExportError, OSError):
        return False
    content = encode_safetensors(copy.deepcopy(network).cpu())
    return stated == found == hashlib.sha256(content).hexdigest()


def read_description(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Return the description that belongs to the safetensors file ``path``.

    Raises:
        ExportError: it is not such a description.
        OSError: it is missing.
    """
    file = description_of(path)
    try:
        description = documents.read(file)
        if isinstance(description, dict):
            description = current(description, Path(path))
            if description.get("format") != VERSION:
                raise ExportError(f"{file} has another format than {VERSION}; update amc-gym")
        documents.check(DescriptionSchema, description)
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{file} is missing: it says what {path} holds") from error
    except DocumentError as error:
        raise ExportError(
            f"{file} is not the description of a compressed network: {error}"
        ) from error
    return description


def _format(path: Path, name: str | None) -> Format:
    if name is not None:
        chosen = FORMATS[choose("format", name, FORMATS)]
        if path.suffix != chosen.suffix:
            raise ValueError(f"a file of format {name!r} ends in {chosen.suffix}, not as {path}")
        return chosen
    by_suffix = {chosen.suffix: chosen for chosen in FORMATS.values()}
    if path.suffix not in by_suffix:
        raise ValueError(f"{path} must end in one of {', '.join(by_suffix)}, or name the format")
    return by_suffix[path.suffix]


def _plain_copy(network: nn.Module) -> nn.Module:
    """A copy on the processor, in eval mode, whose tensors lie in memory as files hold them."""
    copied = copy.deepcopy(network).cpu().eval()
    return copied.to(memory_format=torch.contiguous_format)  # pyright: ignore[reportCallIssue]


def _smaller(network: nn.Module, original: nn.Module, images: Nest, part: str) -> tuple[int, int]:
    """MACs and parameters of the network or a part of it, which must be below the original's."""
    given = given_to(original, part, take(images, slice(1)))
    parts = [model.get_submodule(part) for model in (network, original)]
    counted = [(counted_macs(each, given), counted_params(each)) for each in parts]
    for what, small, full in zip(("MACs", "parameters"), *counted, strict=True):
        if small >= full and nonzero_params(network) < counted_params(network):
            raise ExportError(
                "single weights of the network were pruned, and these formats would store their "
                "zeros: keep the plan, from which amc_gym.compress makes the network again"
            )
        if small >= full:
            raise ExportError(
                f"the network has {small:,} {what} and the original {full:,}: "
                "it was not compressed, so there is nothing to hand over"
            )
    return counted[0]


def _difference(read: Nest, expected: Nest) -> float:
    """Largest difference of two networks' outputs as a share of the largest expected one."""
    ours, theirs = leaves(read), leaves(expected)
    if [each.shape for each in ours] != [each.shape for each in theirs]:
        return float("inf")
    pairs = [(one, other) for one, other in zip(ours, theirs, strict=True) if other.numel()]
    shares = [
        (one.double() - other.double()).abs().max() / other.double().abs().max().clamp_min(1e-12)
        for one, other in pairs
    ]
    return float(torch.stack(shares).max()) if shares else 0.0
