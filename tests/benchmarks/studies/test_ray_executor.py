"""Runs on a Ray cluster of several nodes: whatever dies, each run is finished exactly once."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console
from small_study import ENV, KWARGS

pytest.importorskip("ray", reason="Ray is not installed")

import small_learners
from ray.cluster_utils import Cluster

from benchmarks.__main__ import main
from benchmarks.studies.execution import execute, setting_of, task_of, work
from benchmarks.studies.executor import Event, Executor, Failed, Finished
from benchmarks.studies.ray_executor import RayExecutor
from benchmarks.studies.records import Record, Store
from benchmarks.studies.runs import BenchmarkError, Run, Setting, runs_of
from benchmarks.studies.study import complete

NODE = {"num_cpus": 1, "object_store_memory": 80 << 20, "include_dashboard": False}
SYSTEM = {
    "enable_worker_prestart": False,  # idle workers lack our runtime environment
    "prestart_worker_first_driver": False,
    # A node counts as dead after seconds instead of half a minute.
    "health_check_initial_delay_ms": 0,
    "health_check_period_ms": 500,
    "health_check_failure_threshold": 4,
}
MODULES = ("small_learners",)
PATIENCE = 120
"""Longest wait, in seconds; a step takes a few on an idle machine."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Make the folder in which learners on all nodes leave files."""
    folder = tmp_path_factory.mktemp("small-learners")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(small_learners.FOLDER, str(folder))
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("OMP_NUM_THREADS", "1")
        yield folder


@pytest.fixture(scope="module")
def cluster(folder: Path) -> Iterator[Cluster]:
    """Start a cluster of one node with two cores; one test adds another node."""
    head = NODE | {"num_cpus": 2, "_system_config": SYSTEM}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    yield cluster
    cluster.shutdown()


@pytest.fixture
def notes(folder: Path) -> Path:
    """Empty the folder of the learners' files."""
    for file in folder.iterdir():
        file.unlink()
    return folder


def until(condition: Callable[[], bool]) -> None:
    """Wait until a condition holds, at most ``PATIENCE`` seconds."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.05)


def timeless(record: Record) -> Record:
    """Return a record without times, which differ each time."""
    history = replace(record.history, seconds=[])
    return replace(record, history=history, seconds=0, environment_seconds=0, date="")


@pytest.mark.thorough
def test_a_killed_node_costs_no_run_and_doubles_none(
    cluster: Cluster, notes: Path, tmp_path: Path, console: Console
) -> None:
    """Kill one of two nodes while three runs are under way."""
    kwargs = {k: v for k, v in KWARGS.items() if k != "weights"}
    kwargs["task"] = "small_learners:counted_task"
    setting = setting_of("AMC-v0", kwargs, episodes=3)
    runs = runs_of(setting, ["wait"], 3)
    victim = cluster.add_node(**NODE)
    cluster.wait_for_nodes()
    executor = RayExecutor(work, cluster.address, MODULES, (task_of("AMC-v0", kwargs),))
    finished: list[Run] = []

    def kill_in_the_middle(runs: Sequence[Run]) -> Generator[Event, None, None]:
        alive = True
        for event in executor(runs):
            if alive:
                until(lambda: len(list(notes.glob("waiting-*"))) == 3)
                cluster.remove_node(victim, allow_graceful=False)
                (notes / "go").touch()
                alive = False
            if isinstance(event, Finished):
                finished.append(event.job)
            yield event

    store = Store(tmp_path / "results")
    store.prepare()
    assert complete(runs, store, kill_in_the_middle, console)
    assert Counter(finished) == Counter(runs)
    found, foreign = store.load()
    assert not foreign
    begun = Counter(int(file.name.split("-")[1]) for file in notes.glob("Wait-*"))
    assert sorted(begun.values()) == [1, 1, 2]  # the killed node's run began again
    assert len(list(notes.glob("task-*"))) == 1  # made here and sent to the nodes
    expected = [timeless(execute(run)) for run in runs]
    assert [timeless(record) for record in sorted(found, key=lambda r: r.run.seed)] == expected


@pytest.mark.thorough
def test_what_dies_is_tried_again_and_what_fails_is_not(
    cluster: Cluster, notes: Path, setting: Setting
) -> None:
    stumble, crash, die = (Run(setting, agent, 0) for agent in ("stumble", "crash", "die"))
    executor = RayExecutor(work, cluster.address, MODULES, (task_of(ENV, KWARGS),), retries=1)
    ends = [e for e in executor([die, stumble, crash]) if isinstance(e, Finished | Failed)]
    events = {event.job: event for event in ends}
    assert len(events) == len(ends) == 3
    assert isinstance(events[stumble], Finished)
    assert len(events[stumble].result.history.reward) == setting.episodes
    assert {file.name for file in notes.iterdir()} == {"Stumble-0-1", "Stumble-0-2"}
    assert events[crash].error == "RuntimeError: out of luck"
    assert "small_learners.py" in events[crash].details
    assert events[die].error.startswith("WorkerCrashedError: ")


@pytest.mark.thorough
def test_a_killed_driver_goes_on_where_it_was(
    cluster: Cluster, notes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, logs = tmp_path / "out", tmp_path / "logs"
    command = ["run", "--env", ENV, "--out", str(out)]
    command += ["--env-kwargs", json.dumps(KWARGS), "--modules", "small_learners"]
    command += ["--agents", "logged,wait", "--seeds", "1", "--episodes", "3"]
    command += ["--ray", cluster.address, "--tensorboard", str(logs)]
    paths = [Path(__file__).parents[3], Path(small_learners.__file__).parent]
    env = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, paths))}

    driver = subprocess.Popen(
        [sys.executable, "-m", "benchmarks", *command], env=env, stderr=subprocess.DEVNULL
    )
    try:
        until(lambda: (notes / "waiting-0").exists() and any(out.glob("*.json")))
    finally:
        driver.send_signal(signal.SIGKILL)
        driver.wait()
    (first,) = out.glob("*.json")
    content = first.read_bytes()

    assert main(command) == 0
    assert "1 of 2 runs are finished already" in capsys.readouterr().err
    assert first.read_bytes() == content
    records, foreign = Store(out).load()
    assert not foreign
    assert sorted(record.run.agent for record in records) == ["logged", "wait"]
    assert {folder.name for folder in logs.iterdir()} == {record.run.name for record in records}
    begun = {file.name for file in notes.iterdir()}
    assert begun == {"Logged-0-1", "Wait-0-1", "Wait-0-2", "waiting-0"}


def test_no_cluster_is_a_clear_error(setting: Setting) -> None:
    executor = RayExecutor(work, "127.0.0.1:1")
    with pytest.raises(BenchmarkError, match=r"cannot connect to the Ray cluster at 127.0.0.1:1"):
        next(executor([Run(setting, "guess", 0)]))


def test_nothing_to_do_needs_no_cluster() -> None:
    executor: Executor = RayExecutor(work, "127.0.0.1:1")
    assert list(executor([])) == []
