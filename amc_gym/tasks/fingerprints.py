"""Fingerprints of networks: hashes of their contents and of their outputs."""

from __future__ import annotations

import copy
import hashlib
import re
from collections.abc import Sequence

import torch
from torch import nn

from amc_gym._utils.nests import Nest, leaves, placed, shape_text
from amc_gym.compression.tracing.part import at_part

DIGITS = {torch.float64: 8, torch.float32: 3}
"""Decimal places, relative to the largest logit, that are the same on every machine."""


def of_weights(model: nn.Module) -> str:
    """Return the sha256 of a network's modules, parameters and buffers."""
    digest = hashlib.sha256()
    for name, module in model.named_modules():
        digest.update(f"{name}:{type(module).__name__}:{_structure(module)};".encode())
    for name, tensor in model.state_dict().items():
        digest.update(f"{name}:{tuple(tensor.shape)}:{tensor.dtype};".encode())
        digest.update(tensor.cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def of_logits(model: nn.Module, shape: Sequence[int]) -> str:
    """Return the sha256 of a network's logits on two fixed images of noise.

    Two networks of equal weights may compute different things: they may differ in an activation, a
    plain attribute, or a buffer that is not part of the state.

    Args:
        model: in eval mode; a copy is run, in float64 where it can be.
        shape: of an image, (C, H, W).
    """
    images = torch.randn(2, *shape, generator=torch.Generator().manual_seed(0))
    return of_outputs(model, images)


def of_outputs(model: nn.Module, inputs: Nest, part: str = "") -> str:
    """Return the sha256 of the outputs of a network, or of a part of it, on fixed inputs.

    Args:
        model: in eval mode; a copy is run, in float64 where it can be.
        inputs: of a few samples.
        part: name of the module whose outputs are hashed; "": the whole network.
    """
    for dtype in DIGITS:
        try:
            with torch.inference_mode():
                copied = copy.deepcopy(model).cpu().to(dtype)
                outputs = at_part(copied, part, placed(inputs, torch.device("cpu"), dtype))[1]
            break
        except RuntimeError:  # the network itself makes float32 tensors
            continue
    else:
        raise ValueError(
            f"{type(model).__name__} does not run on images of shape {shape_text(inputs)}"
        )
    digest = hashlib.sha256()
    for output in leaves(outputs):
        if output.numel():
            output = output if output.is_floating_point() else output.double()
            scale = output.abs().max().clamp_min(torch.finfo(dtype).tiny)
            rounded = (output.double() / scale * 10 ** DIGITS[dtype]).round()
            digest.update((rounded + 0.0).numpy().tobytes())  # -0.0 is 0.0
    return digest.hexdigest()


def _structure(module: nn.Module) -> str:
    """Describe a module in the same way under every version of torch.

    Since torch 2.14 norms say whether they have a bias, right after whether they are affine; in
    torch 2.11 they did not.
    """
    text = module.extra_repr()
    if "affine=" in text and "bias=" not in text:
        bias = getattr(module, "bias", None) is not None
        text = re.sub("affine=(True|False)", rf"\g<0>, bias={bias}", text)
    return text
