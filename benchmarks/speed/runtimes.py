"""Other ways to run a small network: ``python -m benchmarks.speed.runtimes``, JSON lines.

``torch.compile`` and ONNX Runtime have to build anew for almost every plan, since its shapes are
new: this measures how long building takes and how much a pass gains.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from statistics import median
from typing import Any

import torch
import tyro
from torch import nn

from amc_gym.compression.evaluation.hits import count_hits
from amc_gym.compression.evaluation.scoring import Batch
from amc_gym.compression.handover.formats import FORMATS
from benchmarks.speed.cases import CASES
from benchmarks.speed.timing import BarePass, cpu_seconds, plans, play, timed

PLANS = {"ONNX Runtime": 3, "torch.compile": 1}
"""Runtime -> number of plans of each network; building takes seconds to minutes."""

ROUNDS = 3
"""Passes of each plan; the fastest counts."""

Pass = Callable[[Sequence[Batch]], None]
"""Runs a network over batches."""


def compiled(network: nn.Module, batches: Sequence[Batch]) -> Pass:
    """Compile with ``torch.compile`` and freezing, its strongest setting for CPU inference."""
    torch._dynamo.reset()
    optimised: Any = torch.compile(network, dynamic=False, options={"freezing": True})

    def run(batches: Sequence[Batch]) -> None:
        with torch.no_grad():  # freezing wants no_grad rather than inference_mode
            for images, _ in batches:
                optimised(images)

    run(list({images.shape: (images, labels) for images, labels in batches}.values()))
    return run


def onnx(network: nn.Module, batches: Sequence[Batch]) -> Pass:
    """Export to ONNX with this package, and load into ONNX Runtime."""
    import onnxruntime

    images, _ = batches[0]
    (content,) = FORMATS["onnx"].write(network, images.contiguous(), "network.onnx", {})
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    # It reads NCHW, and converting the layout of images that are kept is not part of a pass.
    arrays = {images.data_ptr(): images.contiguous().numpy() for images, _ in batches}

    def run(batches: Sequence[Batch]) -> None:
        for images, _ in batches:
            session.run(["logits"], {"images": arrays[images.data_ptr()]})

    return run


RUNTIMES = {"ONNX Runtime": onnx, "torch.compile": compiled}
"""Name -> function that prepares the pass of a network for the shapes of some batches."""


def measure(case: str) -> Iterator[dict[str, Any]]:
    """Compare each runtime's pass with the bare one and the evaluator's own, on the same plans.

    Weights are only selected, not re-fitted: this does not change a pass and needs no calibration.
    """
    env = CASES[case].env(recovery="none")
    evaluator, actions = env.engine.evaluator, plans(env)
    play(env, next(actions))
    bare = BarePass(env)
    for runtime, make in RUNTIMES.items():
        rows: list[tuple[float, ...]] = []
        for _ in range(PLANS[runtime]):
            play(env, next(actions))
            network = bare.warm()
            began = cpu_seconds()
            run = make(network, bare.batches)
            built = cpu_seconds() - began
            own_network = evaluator.network(env.plan.counts)
            count_hits(own_network, evaluator.batches)
            passes = [
                (
                    timed(run, bare.batches),
                    timed(count_hits, network, bare.batches),
                    timed(count_hits, own_network, evaluator.batches),
                )
                for _ in range(ROUNDS)
            ]
            rows.append((built, *(min(seconds) for seconds in zip(*passes, strict=True))))
        build, its, plain, own = (median(seconds) for seconds in zip(*rows, strict=True))
        yield {
            "case": case,
            "runtime": runtime,
            "images": env.engine.reward_images,
            "plans": len(rows),
            "pass_ms": 1e3 * its,
            "bare_ms": 1e3 * plain,
            "own_ms": 1e3 * own,
            "ratio": its / own,
            "build_s": build,
            "pays_after": pays_after(build, own, its),
        }


def pays_after(built: float, own: float, other: float) -> float:
    """Return after how many passes building pays off.

    Args:
        built: seconds to build.
        own: seconds of a pass without building.
        other: seconds of a pass after building; if it is no faster, the result is infinite.
    """
    return built / (own - other) if other < own else float("inf")


def main(cases: Sequence[str] = tuple(CASES)) -> None:
    """Print a JSON line for each network and runtime.

    Args:
        cases: titles in ``CASES``.
    """
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as cache:
        # Each run compiles the same plans, which would otherwise come from a cache.
        os.environ |= {
            "TORCHINDUCTOR_FORCE_DISABLE_CACHES": "1",
            "TORCHINDUCTOR_CACHE_DIR": cache,
            "TORCHINDUCTOR_COMPILE_THREADS": "1",
        }
        # One-time costs of the first compilation in a process are not a plan's.
        tiny = nn.Sequential(nn.Conv2d(1, 1, 1), nn.ReLU()).eval()
        compiled(tiny, [(torch.zeros(2, 1, 4, 4), torch.zeros(2))])
        for case in cases:
            for row in measure(case):
                json.dump(row, sys.stdout)
                print(flush=True)


if __name__ == "__main__":
    tyro.cli(main)
