"""Files from strangers: none makes code run; what it names is imported only if the user asks."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tracemalloc
from dataclasses import replace
from pathlib import Path

import pytest

import amc_gym
from amc_gym import CompressionPlan, PlanError
from amc_gym.__main__ import main
from amc_gym.compression.handover.export import description_of

EVIL = """
from pathlib import Path
Path("ran").touch()

class Stop(BaseException):
    pass

def go():
    raise SystemExit(0)

def stop():
    raise Stop("enough")

def interrupt():
    class Own(KeyboardInterrupt):
        pass
    raise Own

def fail():
    raise RuntimeError("two\\nlines")
"""


@pytest.fixture(scope="module")
def plan() -> CompressionPlan:
    return amc_gym.search("MobileNet", 1, progress=False)


@pytest.fixture
def here(plan: CompressionPlan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a folder with a stranger's files, and go there."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "evil.py").write_text(EVIL)
    sys.modules.pop("evil", None)
    for name in ("evil:go", "sys:exit", "evil:stop", "os:getcwd", ":", "a:", ":b", "x:y:z"):
        file = "names-" + name.replace(":", "-") + ".json"
        replace(plan, task=dict(plan.task) | {"task": name}).save(tmp_path / file)
    plan.save(tmp_path / "plan.json")
    return tmp_path


COMMANDS = {
    "validate": [],
    "compress": ["--out", "s.safetensors"],
    "export": ["--format", "torch-export", "--out", "s.pt2"],
    "finetune": ["--out", "s.safetensors"],
    "bench-latency": [],
}


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("file", ["evil-go", "sys-exit", "os-getcwd", "-", "a-", "-b", "x-y-z"])
def test_a_plan_that_names_code_is_refused(
    here: Path, command: str, file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([command, f"names-{file}.json", *COMMANDS[command]]) == 1
    out, err = capsys.readouterr()
    assert "whose code would run" in err
    assert err.count("\n") == 1
    assert not out
    assert not (here / "ran").exists()
    assert not list(here.glob("s.*"))


@pytest.mark.parametrize(
    ("task", "said"),
    [
        ("evil:go", "ended the program: exit 0"),
        ("sys:exit", "ended the program"),
        ("evil:stop", "Stop: enough"),
        ("evil:interrupt", "failed: Own"),
        ("evil:fail", "RuntimeError: two lines"),
        ("evil:nothing", "cannot be imported"),
        ("nowhere:task", "cannot be imported"),
        ("os:getcwd", "not a CompressionTask"),
        ("evil", "is not a package.module:function"),
        (":go", "is not a package.module:function"),
        (".evil:go", "failed"),
    ],
)
@pytest.mark.parametrize("file", ["plan.json", "names-evil-go.json"])
def test_code_that_the_user_names_fails_as_one_line(
    here: Path, file: str, task: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["validate", file, "--task", task]) == 1
    err = capsys.readouterr().err
    assert said in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("command", [["info"], ["latency-table"], ["search"]])
@pytest.mark.parametrize("task", ["sys:exit", "evil:go", "evil:stop"])
def test_exits_of_own_code_are_failures_everywhere(
    here: Path, command: list[str], task: str, capsys: pytest.CaptureFixture[str]
) -> None:
    out = [] if command == ["info"] else ["--out", "out.json"]
    assert main([*command, task, *out]) == 1
    assert capsys.readouterr().err.count("\n") == 1


def test_the_users_word_counts_and_not_the_files(
    here: Path, plain_task, plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(here)
    named = replace(plan, task={"task": "evil:go"})
    with pytest.raises(PlanError, match="--task evil:go on the command line"):
        amc_gym.task_of(named)
    with pytest.raises(ValueError, match="ended the program"):
        amc_gym.task_of(named, task="evil:go")
    assert amc_gym.task_of(named, task=plain_task) is plain_task
    assert amc_gym.task_of(named, task=lambda: plain_task).fingerprint == plain_task.fingerprint
    with pytest.raises(PlanError, match="other reward images"):
        amc_gym.validate(amc_gym.task_of(named, task=plain_task), named)


def test_a_description_that_names_code_is_refused(
    here: Path, plan, digits_task, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(here)
    network = amc_gym.compress(digits_task, plan)
    path = amc_gym.export(network, digits_task, here / "small.safetensors").path
    content = json.loads(description_of(path).read_text())
    content["original"]["task"] = "evil:go"
    description_of(path).write_text(json.dumps(content))
    with pytest.raises(ValueError, match="whose code would run"):
        amc_gym.load(path)
    with pytest.raises(ValueError, match="ended the program"):
        amc_gym.load(path, task="evil:go")
    (here / "ran").unlink()
    sys.modules.pop("evil")
    assert amc_gym.load(path, task=digits_task).training is False
    assert amc_gym.load(path, digits_task.model).training is False
    with pytest.raises(ValueError, match="whose code would run"):
        amc_gym.load(path)
    assert not (here / "ran").exists()
    # The command line builds the network from the plan, not from the description.
    export = ["export", "plan.json", "--network", str(path), "--format", "torch-export"]
    assert main([*export, "--out", "small.pt2"]) == 0
    assert not (here / "ran").exists()


def test_a_file_in_the_current_folder_stands_for_no_package(here: Path) -> None:
    """Shadow the packages that a command imports late with files in the current folder."""
    for package in ("thop", "onnxruntime", "onnxscript", "onnx"):
        (here / f"{package}.py").write_text("raise SystemExit(0)")
    done = subprocess.run(
        [sys.executable, "-m", "amc_gym", "validate", "plan.json"],
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONPATH": str(Path(amc_gym.__file__).parents[1]), "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    assert "plan.json holds" in done.stdout


@pytest.mark.parametrize(
    ("dataset", "said"),
    [
        ("digits?resolution=20000", "resolution=20000"),
        ("digits?resolution=" + "9" * 5000, "resolution=9999"),
        ("folder?size=2000", "size=2000"),
        ("folder?resize=20000&size=8", "resize=20000"),
        ("digits?resolution=-1", "resolution"),
        ("digits?nonsense=1", "option of digits"),
        ("nowhere", "dataset"),
        ("\x1b[2J", "dataset"),
    ],
)
def test_data_that_a_file_asks_for_are_bounded(
    here: Path, plan, dataset: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    forged = replace(plan, task=dict(plan.task) | {"dataset": dataset})
    with pytest.raises(ValueError, match=said):
        amc_gym.task_of(forged, here)
    forged.save(here / "forged.json")
    assert main(["validate", "forged.json", "--data-root", str(here)]) == 1
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "\x1b" not in err


def test_no_file_makes_anything_be_fetched(
    here: Path, plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    forged = replace(plan, task=dict(plan.task) | {"dataset": "cifar10?download=yes"})
    monkeypatch.setattr(
        "torchvision.datasets.CIFAR10.download", lambda self: (here / "ran").touch()
    )
    with pytest.raises(OSError, match="CIFAR-10 is not there"):
        amc_gym.task_of(forged, here)
    assert not (here / "ran").exists()


@pytest.mark.parametrize(
    "ranges", ["0-999999999", "0-" + "9" * 15, "0-" + "9" * 10**6, "0-4194304"]
)
@pytest.mark.parametrize("command", COMMANDS)
def test_no_file_makes_channels_without_bound(
    here: Path, plan, command: str, ranges: str, capsys: pytest.CaptureFixture[str]
) -> None:
    content = plan.to_dict()
    content["kept"] |= {"classifier": ranges}
    del content["sha256"]
    canonical = json.dumps(content, separators=(",", ":"))
    content["sha256"] = hashlib.sha256(canonical.encode()).hexdigest()
    (here / "large.json").write_text(json.dumps(content))
    tracemalloc.start()
    try:
        assert main([command, "large.json", *COMMANDS[command]]) == 1
        assert tracemalloc.get_traced_memory()[1] < 30e6  # bytes; a billion numbers take 36e9
    finally:
        tracemalloc.stop()
    err = capsys.readouterr().err
    assert "its kept" in err
    assert err.count("\n") == 1
    assert len(err) < 500
