"""One network, tried in a process of its own: bounded in time and memory, whatever it does."""

from __future__ import annotations

import multiprocessing
import resource
import signal
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

from benchmarks.networks.catalogue import Entry

MEMORY = 12 * 2**30
"""Bytes of address space of such a process."""

PATIENCE = 10
"""Seconds of a busy machine's clock for each second of a processor's time."""

Trial = Callable[..., dict[str, Any]]
"""A model and images -> a row."""


class OutOfTimeError(BaseException):
    """A trial has had its time; no ``except Exception`` of a library's keeps it going."""


def tried(trial: Trial, entry: Entry, seconds: float) -> dict[str, Any]:
    """Try a network; whatever goes wrong is a verdict.

    Args:
        trial: what to do with it.
        entry: the network.
        seconds: of one processor, after which it is ended: "hangs".

    Returns:
        The trial's row; or the verdict "hangs" or "fails", the seconds and why.
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
    """Let a trial go on without a bound, for what is no part of it."""
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
