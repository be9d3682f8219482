"""Workers whose parent has died: they end soon, and clear up what it left."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from children import run_forked

import amc_gym
from tests.kills.harness import NOTICED, TOKEN, short_name, survivors

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="processes are found in /proc"),
    pytest.mark.thorough,
]

METHODS = [
    m for m in ("fork", "spawn", "forkserver") if m in multiprocessing.get_all_start_methods()
]

# Import only what is tested: the rest of the package takes seconds in each process.
LIGHT = f"""
import sys, types
package = types.ModuleType("amc_gym")
package.__path__ = {list(amc_gym.__path__)}
sys.modules["amc_gym"] = package
"""

# Workers that compute without a pause, in Python and in PyTorch.
BUSY = (
    LIGHT
    + """
import multiprocessing, sys, time
from amc_gym._utils.orphans import claim_server_folder, end_with_parent

def work(kind):
    end_with_parent()
    if kind == "python":
        print("busy", flush=True)
        while True:
            sum(range(1000))
    import torch
    print("busy", flush=True)
    numbers = torch.ones(300, 300)
    while True:
        numbers @ numbers

if __name__ == "__main__":
    if sys.argv[1] == "forkserver":
        claim_server_folder()
    context = multiprocessing.get_context(sys.argv[1])
    workers = [context.Process(target=work, args=(kind,)) for kind in ("python", "torch")]
    for worker in workers:
        worker.start()
    time.sleep(600)
"""
)

SHARED = """
import multiprocessing, sys, time
import gymnasium as gym, numpy as np
import amc_gym
from small import PlainStack, images, lively

if __name__ == "__main__":
    splits = images(400, 1), images(64, 2), images(64, 3)
    env = gym.make("AMC-v0", task=amc_gym.CompressionTask(lively(PlainStack()), *splits))
    make = amc_gym.share(env, directory=sys.argv[2])
    envs = gym.vector.AsyncVectorEnv([make] * 2, context=sys.argv[1])
    envs.reset(seed=0)
    print("busy", "busy", flush=True)
    while True:
        envs.step(np.full((2, 1), 0.5, np.float32))
"""


PLAIN = """
import sys
import gymnasium as gym
from amc_gym import CompressionTask
from amc_gym.envs.factory import make_env
from small import PlainStack, images, lively

def slow(view):  # as rankings are on large networks
    print("busy", "busy", flush=True)
    while True:
        sum(range(1000))

def make(**options):
    splits = images(400, 1), images(64, 2), images(64, 3)
    return make_env(CompressionTask(lively(PlainStack()), *splits), **options)

def make_slow():
    return make(importance=slow)

if __name__ == "__main__":
    gym.vector.AsyncVectorEnv([make, make_slow], context=sys.argv[1])
"""

OWN_PROCESS = BUSY.replace("end_with_parent()", "end_with_parent(daemons_only=True)")


def killed_when_busy(code: str, folder: Path, *arguments: str) -> list[int]:
    """Start a program, kill it once its workers compute; return who is alive two seconds later."""
    script = folder / "program.py"
    script.write_text(code)
    temporary = folder / "tmp"
    temporary.mkdir()
    token = str(folder)
    path = os.pathsep.join(p for p in sys.path if p)
    own = {"TMPDIR": str(short_name(temporary)), TOKEN: token, "PYTHONPATH": path}
    environment = os.environ | own
    command = [sys.executable, "-W", "ignore", str(script), *arguments]
    log = folder / "log.txt"
    with log.open("w") as output:
        process = subprocess.Popen(
            command, env=environment, stdout=output, stderr=subprocess.STDOUT, cwd=folder
        )
    deadline = time.monotonic() + 120
    while log.read_text().count("busy") < 2 and process.poll() is None:
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.05)
    assert len(survivors(token)) > 2, log.read_text()
    process.kill()
    process.wait()
    time.sleep(NOTICED)
    alive = survivors(token)
    for worker in alive:
        os.kill(worker, signal.SIGKILL)
    return alive


@pytest.mark.parametrize("method", METHODS)
def test_busy_workers_notice_within_two_seconds(method: str, tmp_path: Path) -> None:
    assert killed_when_busy(BUSY, tmp_path, method) == []
    assert list((tmp_path / "tmp").iterdir()) == []


@pytest.mark.parametrize("method", METHODS[1:])
def test_workers_with_shared_environments_leave_nothing(method: str, tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    assert killed_when_busy(SHARED, tmp_path, method, str(shared)) == []
    assert list(shared.iterdir()) == []
    assert list((tmp_path / "tmp").iterdir()) == []
    log = (tmp_path / "log.txt").read_text()
    # Gymnasium's worker may find its pipe closed before ours has looked, and say so.
    assert "Traceback" not in log or "EOFError" in log or "BrokenPipeError" in log


@pytest.mark.parametrize("method", METHODS[1:2])
def test_workers_with_environments_of_their_own_notice(method: str, tmp_path: Path) -> None:
    assert killed_when_busy(PLAIN, tmp_path, method) == []


def test_processes_that_may_outlive_their_parent_are_left_alone(tmp_path: Path) -> None:
    """Check that only daemons end, as in Python itself: others may have work to finish."""
    assert len(killed_when_busy(OWN_PROCESS, tmp_path, METHODS[0])) == 2


ALONE = """
import os, signal, sys, torch
from amc_gym._utils.shared_memory import dump
kept = dump(torch.ones(4), directory=sys.argv[1])
if sys.argv[2] == "killed":
    os.kill(os.getpid(), signal.SIGKILL)
print(len(os.listdir(sys.argv[1])))
"""


def test_a_killed_owners_region_goes_with_the_next_one(tmp_path: Path) -> None:
    assert run_forked(ALONE, str(tmp_path), "killed").returncode == -signal.SIGKILL
    (left,) = tmp_path.iterdir()
    assert left.suffix == ".shared"
    assert run_forked(ALONE, str(tmp_path), "ends").stdout == "1\n"  # only its own is there
    assert list(tmp_path.iterdir()) == []


CLAIMED = (
    LIGHT
    + """
import multiprocessing, os, sys, time
from amc_gym._utils.orphans import claim_server_folder

if __name__ == "__main__":
    claim_server_folder()
    worker = multiprocessing.get_context("forkserver").Process(target=time.sleep, args=(600,))
    worker.start()
    print(len(os.listdir(os.environ["TMPDIR"])), flush=True)
    if sys.argv[1] == "wait":
        time.sleep(600)
    worker.kill()
"""
)


def test_a_fork_servers_folder_goes_with_the_next_workers_but_not_a_living_ones(
    tmp_path: Path,
) -> None:
    script = tmp_path / "program.py"
    script.write_text(CLAIMED)
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    path = os.pathsep.join(p for p in sys.path if p)
    environment = os.environ | {"TMPDIR": str(short_name(temporary)), "PYTHONPATH": path}

    def start(how: str) -> tuple[subprocess.Popen[str], str]:
        command = [sys.executable, "-W", "ignore", str(script), how]
        process = subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, text=True, start_new_session=True
        )
        assert process.stdout is not None
        return process, process.stdout.readline()

    living, told = start("wait")
    assert told == "1\n"
    other, told = start("wait")
    assert told == "2\n"  # the folder of the living process is left alone
    for process in (living, other):
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    assert len(list(temporary.iterdir())) == 2
    last, told = start("end")
    last.communicate()
    assert told == "1\n"
    assert list(temporary.iterdir()) == []
