"""Start a command, kill it at a random moment, check the files it left, and begin again.

A scenario says what is run and what must be true after a kill and after a run that ends by itself.
Each run goes on where the killed one stopped, as a user's would.

    class Study(Scenario):
        def command(self): return [sys.executable, "-m", "benchmarks", "run", ...]
        def killed(self): assert every record in the folder is whole
        def finished(self, done): assert done.returncode == 0 ...; self.reset()

    print(kill_repeatedly(Study(folder), 50, span=(2, 9)))
"""

from __future__ import annotations

import atexit
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import TimeoutExpired
from typing import Protocol

NOTICED = 2.0
"""Seconds within which workers must end after their parent died."""

TOKEN = "AMC_GYM_KILLS"
"""Environment variable that marks the processes of a run."""

LONGEST = 600.0
"""Longest time in seconds of a run that is not killed."""


ENOUGH = 10
"""Number of problems after which no more kills are tried."""


CACHES = "torchinductor_"
"""Prefix of temporary files that PyTorch keeps for later runs."""


@dataclass(frozen=True)
class Done:
    """The exit status and output of a run that ended by itself."""

    returncode: int
    output: str


class Scenario(Protocol):
    """A command, and checks of the files it leaves, which raise AssertionError."""

    folder: Path
    """Folder in which the command works; temporary files go to a subfolder."""

    def command(self) -> list[str]:
        """Return the command; started again, it goes on with the work of a killed run."""
        ...

    def killed(self) -> None:
        """Check the files that a killed run has left."""
        ...

    def finished(self, done: Done) -> None:
        """Check the files of a run that ended by itself, and clear the folder for the next."""
        ...


@dataclass
class Summary:
    """Counts and problems of many kills of one scenario."""

    name: str
    kills: int = 0
    finished: int = 0
    seconds: float = 0.0
    problems: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        found = (
            "; ".join(self.problems) if self.problems else "nothing lost, done twice or left over"
        )
        return (
            f"{self.name}: {self.kills} kills, {self.finished} runs to the end, "
            f"{self.seconds:.0f} s: {found}"
        )


def kill_repeatedly(
    scenario: Scenario,
    kills: int,
    *,
    span: tuple[float, float] | None = None,
    seed: int = 0,
    environment: dict[str, str] | None = None,
    say: Callable[[str], None] = lambda line: print(line, file=sys.stderr, flush=True),
) -> Summary:
    """Kill a command ``kills`` times, and let it finish after the last kill.

    Every second kill hits the whole process group, the others the first process alone, whose
    workers must then end by themselves within ``NOTICED`` seconds.

    Args:
        scenario: Command and checks.
        kills: Number of kills.
        span: Seconds after the start between which kills fall; None: from a fifth of the time of
            a whole run, which imports take, to all of it.  A run that ends before its kill is
            checked as finished, and does not count as a kill.
        seed: Seed of the moments.
        environment: Variables that are added to this process's.
        say: Called with a line for each kill.
    """
    moments = random.Random(seed)
    summary = Summary(type(scenario).__name__)
    began = time.monotonic()
    if span is None:
        _to_the_end(scenario, environment or {}, summary)
        whole = time.monotonic() - began
        span = whole / 5, whole
    while summary.kills < kills and len(summary.problems) < ENOUGH:
        run = _Run(scenario, environment or {})
        done = run.ended_within(moments.uniform(*span))
        if done is None:
            summary.kills += 1
            problem = _problem(lambda: run.kill(whole=summary.kills % 2 == 0)) or _problem(  # noqa: B023
                scenario.killed
            )
            say(f"{summary.name}: kill {summary.kills} of {kills}" + problem)
        else:
            problem = _finish(scenario, done, summary)
            say(f"{summary.name}: a run to the end" + problem)
        if problem:
            summary.problems.append(f"kill {summary.kills}{problem}")
    _to_the_end(scenario, environment or {}, summary)
    summary.seconds = time.monotonic() - began
    return summary


def short_name(folder: Path) -> Path:
    """Make a short link to a folder, which lasts as long as this process.

    A socket's path has at most about a hundred letters, and the folders of tests are longer.
    """
    made = Path(tempfile.mkdtemp(prefix="k", dir="/tmp"))
    atexit.register(shutil.rmtree, made, ignore_errors=True)
    link = made / "t"
    link.symlink_to(folder.resolve(), target_is_directory=True)
    return link


class _Run:
    """One start of a command, in a process group of its own."""

    def __init__(self, scenario: Scenario, environment: dict[str, str]) -> None:
        self._temporary = scenario.folder / "tmp"
        self._temporary.mkdir(parents=True, exist_ok=True)
        self._log = (scenario.folder / "log.txt").open("w+")
        self._token = f"{os.getpid()}-{time.monotonic_ns()}"
        own = {"TMPDIR": str(short_name(self._temporary)), TOKEN: self._token}
        self._process = subprocess.Popen(
            scenario.command(),
            stdout=self._log,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            env=os.environ | own | environment,
            start_new_session=True,
        )

    def ended_within(self, seconds: float) -> Done | None:
        """Return how the run ended; None if it still runs after these seconds."""
        try:
            status = self._process.wait(seconds)
        except TimeoutExpired:
            return None
        with self._log as log:
            log.seek(0)
            return Done(status, log.read())

    def kill(self, *, whole: bool) -> None:
        """Kill the run and check that none of its processes lives on."""
        if whole:
            os.killpg(self._process.pid, signal.SIGKILL)
        else:
            self._process.kill()
        self._process.wait()
        self._log.close()
        deadline = time.monotonic() + NOTICED
        while (alive := survivors(self._token)) and time.monotonic() < deadline:
            time.sleep(0.05)
        for process in alive:
            os.kill(process, signal.SIGKILL)
        assert not alive, f"{len(alive)} processes outlive their parent by {NOTICED:g} s"


def survivors(token: str) -> list[int]:
    """Return the ids of living processes with the token in their environment; Linux only."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if f"{TOKEN}={token}".encode() not in (entry / "environ").read_bytes().split(b"\0"):
                continue
            if (entry / "stat").read_text().rpartition(")")[2].split()[0] not in "ZX":
                found.append(int(entry.name))
        except OSError:  # the process has ended meanwhile, or is another user's
            continue
    return found


def _to_the_end(scenario: Scenario, environment: dict[str, str], summary: Summary) -> None:
    run = _Run(scenario, environment)
    done = run.ended_within(LONGEST)
    if done is None:
        run.kill(whole=True)
    problem = _finish(scenario, done, summary) if done else ": a run does not end"
    if problem:
        summary.problems.append(f"after kill {summary.kills}{problem}")


def _finish(scenario: Scenario, done: Done, summary: Summary) -> str:
    summary.finished += 1

    def check() -> None:
        temporary = (scenario.folder / "tmp").iterdir()
        left = [path.name for path in temporary if not path.name.startswith(CACHES)]
        scenario.finished(done)
        assert not left, f"left over among the temporary files: {left}"

    return _problem(check)


def _problem(check: Callable[[], None]) -> str:
    """Return the failure of a check, after a colon; an empty string if it passes."""
    try:
        check()
    except AssertionError as error:
        return f": {error or 'a check failed'}"
    return ""
