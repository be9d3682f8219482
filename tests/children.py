"""Child processes of tests."""

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
# The one server of a test process: what is imported there is at hand in all that it forks.
FORKSERVER.set_forkserver_preload(["amc_gym", "stable_baselines3"])


@contextmanager
def interruptible() -> Iterator[None]:
    """Start children that answer Ctrl-C, also where the tests run in the background.

    A shell lets its background jobs ignore SIGINT, and children would inherit that.  A handler they
    do not inherit: they begin with the default one.
    """
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def environment(**more: str) -> dict[str, str]:
    """Variables of this process for a child that imports what this process can, and ``more``."""
    path = os.pathsep.join(os.path.abspath(part) for part in sys.path if part)
    return os.environ | {"PYTHONPATH": path} | more


@dataclass(frozen=True)
class Done:
    """How a child ended: its exit status, negative if by a signal, and what it printed."""

    returncode: int
    stdout: str
    stderr: str


class Forked:
    """A program in a process that has imported PyTorch and this package already.

    It is forked from a server, which saves the seconds that these imports take.  For programs that
    are about imports, or about how an interpreter ends, it is no substitute.

    Args:
        code: of the program, which finds ``arguments`` in ``sys.argv[1:]``.
        arguments: of the command line.
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
        """End it as a lack of memory does."""
        self._process.kill()

    @property
    def alive(self) -> bool:
        """Whether it has not ended yet."""
        return self._process.is_alive()

    def wait(self) -> Done:
        """Wait for its end; what it prints must fit into a pipe, 64 KiB."""
        texts = []
        for reader in self._readers:
            with reader, open(os.dup(reader.fileno())) as stream:
                texts.append(stream.read())
        self._process.join()
        assert self._process.exitcode is not None
        return Done(self._process.exitcode, *texts)


def run_forked(code: str, *arguments: str) -> Done:
    """Run a program as above, to its end."""
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
