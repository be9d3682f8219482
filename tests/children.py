"""Child processes that tests start."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection

FORKSERVER = multiprocessing.get_context("forkserver")
# One server per test process: its children have these packages imported from the start.
FORKSERVER.set_forkserver_preload(["amc_gym", "stable_baselines3"])


@contextmanager
def interruptible() -> Iterator[None]:
    """Start children that answer Ctrl-C, also where the tests run in the background.

    A shell lets its background jobs ignore SIGINT, and children inherit that.  They do not inherit
    a handler: while this process has one, its children begin with the default action.
    """
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def environment(**more: str) -> dict[str, str]:
    """Return this process's variables and ``more``, so that a child finds the same packages."""
    path = os.pathsep.join(os.path.abspath(part) for part in sys.path if part)
    return os.environ | {"PYTHONPATH": path} | more


@dataclass(frozen=True)
class Done:
    """The exit status of a child, negative if a signal ended it, and what it printed."""

    returncode: int
    stdout: str
    stderr: str


class Forked:
    """A program that runs in a process which has imported PyTorch and this package already.

    It is forked from a server, which saves the seconds that these imports take.  Programs that
    test imports, or how an interpreter ends, need a new interpreter instead.

    Args:
        code: Source of the program, which finds ``arguments`` in ``sys.argv[1:]``.
        arguments: Arguments of the command line.
    """

    def __init__(self, code: str, *arguments: str) -> None:
        readers, writers = zip(*(FORKSERVER.Pipe(duplex=False) for _ in range(2)), strict=True)
        self._readers: tuple[Connection, ...] = readers
        self._process = FORKSERVER.Process(
            target=_execute, args=(code, arguments, dict(os.environ), writers), daemon=True
        )
        self._process.start()
        for writer in writers:
            writer.close()

    def kill(self) -> None:
        """Kill the process, as the system does when memory runs out."""
        self._process.kill()

    @property
    def alive(self) -> bool:
        """Tell whether the process still runs."""
        return self._process.is_alive()

    def wait(self) -> Done:
        """Wait until the process ends; its output must fit into a pipe, 64 KiB."""
        texts = []
        for reader in self._readers:
            with reader, open(os.dup(reader.fileno())) as stream:
                texts.append(stream.read())
        self._process.join()
        assert self._process.exitcode is not None
        return Done(self._process.exitcode, *texts)


def run_forked(code: str, *arguments: str) -> Done:
    """Run a program to its end in a process that has imported PyTorch and this package."""
    return Forked(code, *arguments).wait()


def _execute(
    code: str,
    arguments: tuple[str, ...],
    variables: dict[str, str],
    writers: tuple[Connection, ...],
) -> None:
    os.environ.clear()
    os.environ.update(variables)
    for number, writer in enumerate(writers, start=1):
        os.dup2(writer.fileno(), number)
        writer.close()
    warnings.simplefilter("ignore")
    sys.argv = ["-c", *arguments]
    exec(compile(code, "<child>", "exec"), {"__name__": "__main__"})
