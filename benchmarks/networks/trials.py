"""Trial of one network in its own process, limited in time and memory."""

from __future__ import annotations

import multiprocessing
import resource
import signal
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

from benchmarks.networks.catalogue import Entry

MEMORY = 12 * 2**30
"""Most bytes of address space of such a process."""

PATIENCE = 10
"""Wall-clock seconds allowed for each second of CPU time, for busy machines."""

Trial = Callable[..., dict[str, Any]]
"""Function: model and images -> row."""


class OutOfTimeError(BaseException):
    """Raised when a trial's time is over; ``except Exception`` in a library does not catch it."""


def tried(trial: Trial, entry: Entry, seconds: float) -> dict[str, Any]:
    """Try a network; any failure becomes a verdict.

    Args:
        trial: what to do with the network.
        entry: the network.
        seconds: CPU time after which the trial is ended: "hangs".

    Returns:
        The trial's row; or the verdict "hangs" or "fails", with seconds and reason.
    """
    context = multiprocessing.get_context("fork")  # torch is imported once
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_carry_out, args=(trial, entry, seconds, sender))
    process.start()
    sender.close()
    try:
        if not receiver.poll(PATIENCE * seconds):
            return {"verdict": "hangs", "seconds": seconds, "why": "it waits for something"}
        return receiver.recv()
    except EOFError:
        return {"verdict": "fails", "seconds": seconds, "why": "the process died"}
    finally:
        process.kill()
        process.join()


def stop_the_clock() -> None:
    """Lift the time limit of a trial, for work that does not belong to it."""
    signal.setitimer(signal.ITIMER_PROF, 0)


def _carry_out(trial: Trial, entry: Entry, seconds: float, sender: Connection) -> None:
    import torch

    torch.set_num_threads(1)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    signal.signal(signal.SIGPROF, _out_of_time)
    try:
        model, images = entry.build()
        signal.setitimer(signal.ITIMER_PROF, seconds)
        row = trial(model, images)
        stop_the_clock()
    except OutOfTimeError:
        row = {"verdict": "hangs", "seconds": seconds, "why": f"after {seconds:.0f} s"}
    except Exception as error:
        why = f"{type(error).__name__}: {' '.join(str(error).split())}"
        row = {"verdict": "fails", "seconds": None, "why": why}
    sender.send(row)


def _out_of_time(*_: object) -> None:
    raise OutOfTimeError
