"""Progress of a study: how much is done, and how long the rest takes."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass

import pytest
from rich.console import Console

from benchmarks.studies.executor import Event, Failed, Finished, Progressed
from benchmarks.studies.progress import SHOWN, carry_out


@dataclass(frozen=True)
class Job:
    name: str
    steps: int = 100

    def __str__(self) -> str:
        return self.name


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Return a function that advances the clock that the bar reads."""
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])

    def tick(seconds: float) -> None:
        now[0] += seconds

    return tick


def test_the_time_left_follows_the_steps(clock: Callable[[float], None]) -> None:
    """Estimate at ten steps a second; the jobs' starts and skipped steps do not count."""
    first, slow, rule, late = Job("first"), Job("slow"), Job("rule"), Job("late")

    def events(jobs: Sequence[Job]) -> Generator[Event, None, None]:
        clock(30)  # imports
        yield Progressed(first, 1)
        yield Finished(first, None)  # a rule, from which nothing can be said of the others
        yield Progressed(slow, 0)
        clock(200)  # to read the images
        yield Progressed(slow, 1)
        clock(1)
        yield Progressed(slow, 11)
        yield Progressed(rule, 1)
        yield Finished(rule, None)  # 189 steps are left for two at a time
        clock(9)
        yield Progressed(slow, 100)
        yield Finished(slow, None)  # 100 steps are left for one
        yield Progressed(late, 50)
        clock(5)
        yield Failed(late, "out of luck")

    console = Console(file=io.StringIO(), width=200)
    done = carry_out([first, slow, rule, late], events, console, lambda job, _: f"{job} is done")
    assert not done
    assert isinstance(console.file, io.StringIO)
    assert console.file.getvalue().splitlines()[:4] == [
        "(1/4 runs) first is done",
        "(2/4 runs, about 0:00:09 left) rule is done",
        "(3/4 runs, about 0:00:10 left) slow is done",
        "(4/4 runs) late failed: out of luck",
    ]


def test_there_is_one_bar_for_all(clock: Callable[[float], None]) -> None:
    jobs = [Job(f"job{i}") for i in range(4)]

    def events(jobs: Sequence[Job]) -> Generator[Event, None, None]:
        for job in jobs:
            yield Progressed(job, 0)
        yield Progressed(jobs[0], 1)
        clock(1)
        yield Progressed(jobs[0], 40)
        yield Finished(jobs[0], None)

    console = Console(file=io.StringIO(), width=160, force_terminal=True)
    carry_out(jobs, events, console, lambda job, _: "done")
    assert isinstance(console.file, io.StringIO)
    shown = console.file.getvalue()
    assert max(line.count("runs") for line in shown.splitlines()) == 1
    last = shown[shown.rindex("job1") :]
    assert "job0" not in last
    assert "job3" in last


def test_a_table_says_how_each_job_is_going() -> None:
    jobs = [Job(f"job{i}") for i in range(SHOWN + 2)]
    heard: dict[Job, str] = {}

    def events(jobs: Sequence[Job]) -> Generator[Event, None, None]:
        for job in jobs:
            yield Progressed(job, 7, (f"{job} goes well",))

    console = Console(file=io.StringIO(), width=160, force_terminal=True)
    carry_out(
        jobs,
        events,
        console,
        lambda job, _: "done",
        on_news=lambda job, news: heard.update({job: news[-1]}),
        describe=lambda job: heard.get(job, ""),
    )
    assert isinstance(console.file, io.StringIO)
    shown = console.file.getvalue()
    assert "7/100" in shown
    assert "job0 goes well" in shown
    assert f"job{SHOWN + 1} goes well" not in shown
    assert "and 2 more" in shown
