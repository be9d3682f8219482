"""One network, tried in a process of its own: bounded in time and memory, whatever it does."""

from __future__ import annotations

import multiprocessing
import resource
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

from benchmarks.networks.catalogue import Entry

MEMORY = 12 * 2**30
"""Bytes of address space of such a process."""

Trial = Callable[..., dict[str, Any]]
"""A model and images -> a row."""


def tried(trial: Trial, entry: Entry, seconds: float) -> dict[str, Any]:
    """Try a network; whatever goes wrong is a verdict.

    Args:
        trial: what to do with it.
        entry: the network.
        seconds: after which the process is ended: "hangs".

    Returns:
        The trial's row; or the verdict "hangs" or "fails", the seconds and why.
    """
    context = multiprocessing.get_context("fork")  # torch is imported once
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_carry_out, args=(trial, entry, sender))
    began = time.monotonic()
    process.start()
    sender.close()
    try:
        if not receiver.poll(seconds):
            return {"verdict": "hangs", "seconds": seconds, "why": f"after {seconds:.0f} s"}
        return receiver.recv()
    except EOFError:
        spent = round(time.monotonic() - began, 1)
        return {"verdict": "fails", "seconds": spent, "why": "the process died"}
    finally:
        process.kill()
        process.join()


def _carry_out(trial: Trial, entry: Entry, sender: Connection) -> None:
    import torch

    torch.set_num_threads(1)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    began = time.monotonic()
    try:
        row = trial(*entry.build())
    except Exception as error:
        spent = round(time.monotonic() - began, 1)
        why = f"{type(error).__name__}: {' '.join(str(error).split())}"
        row = {"verdict": "fails", "seconds": spent, "why": why}
    sender.send(row)
