"""Export of a compressed network to a file that others can use.

Whatever is written is read back, run on images and compared with the network's outputs before it
replaces anything; parameters, MACs and file size must have decreased.  A file is complete or does
not exist, and a safetensors file and its description appear together.
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
from amc_gym.compression.handover.error import ExportError, reason_of
from amc_gym.compression.handover.formats import (
    FORMATS,
    VERSION,
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
"""Largest difference between a file's and the network's logits, as a share of the largest logit.
Runtimes add in another order, which in float32 causes differences of about 1e-6."""

VERIFIED = 16
"""Number of images that a file is verified on."""

HEADER = 2**24
"""Most bytes of the names and shapes in a safetensors file."""


@dataclass(frozen=True)
class Exported:
    """An exported network: its file, its costs, and its accuracy compared to the original outputs.

    Attributes:
        path: of the file, of ``bytes`` bytes.
        macs, params: of the network.
        error: largest difference of logits as a share of the largest logit.
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
        path: the file; each format has its own suffix.
        original: the uncompressed network, for comparison.
        images: inputs to verify the file on, such as (N, C, H, W), of at least one sample.
        part: name of the module that alone was compressed, and that formats made of operations
            write: the rest, such as a detector's search for boxes, has no operations that fit every
            image.  "": the whole network.
        format: "safetensors", "torch-export", "onnx" or "litert"; ``None``: chosen by the suffix.
        fields: further entries for the description of a safetensors file.
        overwrite: whether to replace existing files.

    Raises:
        ExportError: the network or its file is no smaller than the original's, cannot be traced,
            or gives other outputs after reading it back; nothing is written then.
        FileExistsError: a file exists and ``overwrite`` is False.
        ImportError: the format's extra is not installed.
        ValueError: the format is unknown or does not fit the suffix.
    """
    path = Path(path)
    chosen = _format(path, format)
    described = chosen is FORMATS["safetensors"]
    taken = in_the_way(path) if described else (path if path.exists() else None)
    if taken and not overwrite:
        raise FileExistsError(f"{taken} exists: name another file, or pass overwrite=True")

    # Copied, because a view would pull all images into a .pt2 file.
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
    # Most files are smaller than the original's bare tensors.  If names and graph weigh more than
    # the weights, the original is written, too, for comparison.
    if size >= nbytes(original.state_dict()):
        full = len(chosen.write(original, images, path.name, {})[0])
        if size >= full:
            raise ExportError(
                f"{path.name} would have {size:,} bytes and the original {full:,}: compress more, "
                "or use another format"
            )
    with torch.inference_mode():
        run = chosen.read(contents, original)
        try:
            found = run(images)
        except Exception as error:
            raise ExportError(
                f"{path.name} does not run ({reason_of(error)}): use another format"
            ) from error
        error = _difference(found, called(network, images))
    if not error <= TOLERANCE:
        raise ExportError(
            f"{path.name} does not give the network's logits when it is read back: they differ by "
            f"{error:.1e} of the largest logit, and {TOLERANCE:.0e} is allowed"
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
        # A smaller network never has more bytes, whatever the types of its tensors.
        most = nbytes(original.state_dict()) + nbytes(dict(original.named_buffers()))
        content = documents.read_bytes(Path(path), 2 * most + HEADER)
        if hashlib.sha256(content).hexdigest() != description["weights"]["sha256"]:
            raise ExportError(f"{path} does not have the checksum that its description states")
        network = decode_safetensors(content, description, original)
        if description.get("input_shape") is not None:
            refuse_unusable(network, original, description["input_shape"])
    except (DocumentError, RebuildError) as error:
        raise ExportError(f"{path}: {error}") from error
    return network


def holds(path: Path, network: nn.Module) -> bool:
    """Return whether a safetensors file and its description are an export of the network."""
    try:
        description = read_description(path)
        stated = description["weights"]["sha256"]
        found = hashlib.sha256(path.read_bytes()).hexdigest()
    except (ExportError, OSError):
        return False
    content = encode_safetensors(copy.deepcopy(network).cpu(), description["layers"])
    return stated == found == hashlib.sha256(content).hexdigest()


def read_description(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Return the description that belongs to the safetensors file ``path``.

    Raises:
        ExportError: the file is not such a description.
        OSError: the file is missing.
    """
    file = description_of(path)
    try:
        description = documents.read(file)
        if isinstance(description, dict):
            description = current(description, Path(path))
            if description.get("format") != VERSION:
                raise ExportError(f"{file} has another format than {VERSION}: update amc-gym")
        documents.check(DescriptionSchema, description)
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{file}, the description of {path}, is missing") from error
    except DocumentError as error:
        raise ExportError(
            f"{file} is not the description of a compressed network: {error}"
        ) from error
    return description


def _format(path: Path, name: str | None) -> Format:
    if name is not None:
        chosen = FORMATS[choose("format", name, FORMATS)]
        if path.suffix != chosen.suffix:
            raise ValueError(f"a file of format {name!r} ends in {chosen.suffix}, unlike {path}")
        return chosen
    by_suffix = {chosen.suffix: chosen for chosen in FORMATS.values()}
    if path.suffix not in by_suffix:
        raise ValueError(f"{path} must end in one of {', '.join(by_suffix)}, or pass the format")
    return by_suffix[path.suffix]


def _plain_copy(network: nn.Module) -> nn.Module:
    """Return a copy on the CPU, in eval mode, with tensors in the memory layout of files."""
    copied = copy.deepcopy(network).cpu().eval()
    return copied.to(memory_format=torch.contiguous_format)  # pyright: ignore[reportCallIssue]


def _smaller(network: nn.Module, original: nn.Module, images: Nest, part: str) -> tuple[int, int]:
    """Return MACs and parameters of a network or its part, which must be below the original's."""
    given = given_to(original, part, take(images, slice(1)))
    parts = [model.get_submodule(part) for model in (network, original)]
    counted = [(counted_macs(each, given), counted_params(each)) for each in parts]
    for what, small, full in zip(("MACs", "parameters"), *counted, strict=True):
        if small >= full and nonzero_params(network) < counted_params(network):
            raise ExportError(
                "the network was pruned weight by weight, and these formats would store its zeros: "
                "keep the plan, from which amc_gym.compress makes the network again"
            )
        if small >= full:
            raise ExportError(
                f"the network has {small:,} {what} and the original {full:,}, so it was not "
                "compressed: compress it first"
            )
    return counted[0]


def _difference(read: Nest, expected: Nest) -> float:
    """Return the largest difference of two outputs as a share of the largest expected value."""
    ours, theirs = leaves(read), leaves(expected)
    if [each.shape for each in ours] != [each.shape for each in theirs]:
        return float("inf")
    pairs = [(one, other) for one, other in zip(ours, theirs, strict=True) if other.numel()]
    shares = [
        (one.double() - other.double()).abs().max() / other.double().abs().max().clamp_min(1e-12)
        for one, other in pairs
    ]
    return float(torch.stack(shares).max()) if shares else 0.0
