"""Cost of tracing a network: ``python -m benchmarks.speed.tracing``.

It compares a bare forward pass on one image with the traced pass, including construction of the
graph, and with tracing plus verification, which runs slim and masked networks in float64.  Times
are for one thread of a CPU, the minimum of several rounds, so that other load matters little.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
import torchvision
import tyro
from torch import nn

from amc_gym.compression.tracing import trace
from amc_gym.compression.tracing.assembly import assemble
from amc_gym.compression.tracing.tracer import record
from benchmarks.reports.tables import markdown
from benchmarks.speed.report import report_table


@dataclass(frozen=True)
class Options:
    """Options of a measurement.

    Attributes:
        networks: names of networks in torchvision.
        side: height and width of the image.
        rounds: number of rounds, of which the fastest counts.
        out: folder for tracing.md and tracing.json, if they are to be written.
    """

    networks: tuple[str, ...] = (
        "resnet50", "mobilenet_v3_large", "densenet121", "swin_t", "vit_b_16"
    )  # fmt: skip
    side: int = 224
    rounds: int = 3
    out: Path | None = None


def main(options: Options) -> None:
    """Time tracing; ``--out`` writes the table."""
    torch.set_num_threads(1)
    rows, figures = [], {}
    for name in options.networks:
        torch.manual_seed(0)
        model = torchvision.models.get_model(name).eval()
        image = torch.randn(1, 3, options.side, options.side)
        bare, traced, verified = _times(model, image, options.rounds)
        figures[name] = {"bare": bare, "traced": traced, "verified": verified}
        rows.append(
            [name, *(f"{seconds:.2f}" for seconds in (bare, traced, 3 * bare + 0.5, verified))]
        )
    header = ["network", "forward pass, s", "traced, s", "wanted, s", "verified as well, s"]
    where = f"One image of {options.side} x {options.side}; least of {options.rounds} rounds."
    out = options.out and options.out / "tracing"
    report_table("Tracing", markdown(header, rows), where, out, {"seconds": figures})


def _times(model: nn.Module, image: torch.Tensor, rounds: int) -> tuple[float, float, float]:
    """Return seconds of a forward pass, of tracing, and of tracing with verification."""

    def passed() -> None:
        with torch.no_grad():
            model(image)

    def traced() -> None:
        assemble(model, record(copy.deepcopy(model), image))

    passed()
    return (
        _least(passed, rounds),
        _least(traced, rounds),
        _least(lambda: trace(model, image), rounds),
    )


def _least(function: Callable[[], object], rounds: int) -> float:
    spent = []
    for _ in range(rounds):
        began = time.process_time()
        function()
        spent.append(time.process_time() - began)
    return min(spent)


if __name__ == "__main__":
    main(tyro.cli(Options))
