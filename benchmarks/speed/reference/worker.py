"""One side of the comparison in a process of its own, which serves requests line by line.

A request is a JSON object on a line of standard input, ``{"do": method, ...}``.  The answer is one
on standard output, with the method's result and its cost.  All other output goes to standard error.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")


class WorkerError(Exception):
    """Raised when a worker has ended; the message holds its last output."""


class Worker:
    """Process of one side, as seen by the comparison.

    Args:
        folder: folder of a problem.
        side: "reference", or one of our precisions.
        clone: folder of the authors' code.
        threads: number of threads that the process may use.
        log: file for its output.
    """

    def __init__(self, folder: Path, side: str, clone: Path, threads: int, log: Path) -> None:
        self.side, self._log = side, log
        root = str(Path(__file__).parents[3])
        paths = [root, *filter(None, [os.environ.get("PYTHONPATH")])]
        environment = {"PYTHONPATH": os.pathsep.join(paths)} | dict.fromkeys(THREADS, str(threads))
        with log.open("w") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-W", "ignore", "-m", __name__, str(folder), side, str(clone)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                env=os.environ | environment,
            )

    def __call__(self, method: str, **arguments: object) -> dict[str, Any]:
        """Return the method's result, and ``seconds``, ``cpu_s``, ``peak_MB`` and ``above_MB``.

        Raises:
            WorkerError: the process has ended.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps({"do": method} | arguments) + "\n")
            self._process.stdin.flush()
            return json.loads(self._process.stdout.readline())
        except (BrokenPipeError, ValueError) as error:
            ended = self._ended()
            last = "\n".join(self._log.read_text().splitlines()[-15:])
            raise WorkerError(
                f"the {self.side} process failed at {method} {ended}:\n{last}"
            ) from error

    def _ended(self) -> str:
        """Say how the process ended."""
        try:
            status = self._process.wait(10)
        except subprocess.TimeoutExpired:
            return "(it was still running)"
        finally:
            self.close()
        killed = ", perhaps out of memory" if status == -signal.SIGKILL else ""
        return f"(exit status {status}{killed})"

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.communicate()


def peak() -> float:
    """Return the peak memory of this process so far, in MB."""
    # Linux starts a process's ru_maxrss at its parent's size; VmHWM starts afresh.
    if sys.platform == "linux":
        with open("/proc/self/status") as status:
            (line,) = (line for line in status if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024 / 1e6
    import resource  # not on Windows

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6  # macOS counts bytes


def main(folder: str, side: str, clone: str) -> None:
    """Serve requests until standard input ends."""
    # Imported by both sides, and not counted for either.
    import sklearn.linear_model  # noqa: F401
    import torch
    import torchvision  # noqa: F401

    from benchmarks.speed.reference.ours import Ours
    from benchmarks.speed.reference.problem import load
    from benchmarks.speed.reference.theirs import Theirs

    problem = load(Path(folder))
    torch.set_num_threads(problem.scale.threads)
    imports = peak()
    # Numerical libraries write to standard output: what they take for it is the log.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    with redirect_stdout(sys.stderr):
        it = Theirs(problem, Path(clone)) if side == "reference" else Ours(problem, side)
        for line in sys.stdin:
            arguments = json.loads(line)
            method = getattr(it, arguments.pop("do"))
            began, cpu_began = time.perf_counter(), time.process_time()
            answer = method(**arguments)
            cost = {
                "seconds": time.perf_counter() - began,
                "cpu_s": time.process_time() - cpu_began,
                "peak_MB": peak(),
                "above_MB": peak() - imports,
            }
            # An answer may contain its own times, if the method did more than was to be timed.
            print(json.dumps(cost | answer), file=answers, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
