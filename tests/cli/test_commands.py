"""The commands: each from end to end, and every error is one line on stderr."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from small import images, same

import amc_gym
from amc_gym import CompressionPlan
from amc_gym.__main__ import main
from amc_gym.cli.commands import COMMANDS
from amc_gym.cli.console import printer, say
from amc_gym.zoo.resolving import resolve

# As a user's file: importable by name, with training images of its own.
OWN = """
import torch
from small import PlainStack, images, lively
from amc_gym import CompressionTask

def task():
    torch.manual_seed(0)
    return CompressionTask(lively(PlainStack()), images(200, 1), images(64, 2), images(64, 3))

def training():
    split = images(100, 4)
    return split.images, split.labels

def leaking():
    return images(64, 2)

def teacher():
    return lively(PlainStack(), 1)

def wrong():
    return 3
"""

TRUSTED = ["--task", "owned_network:task"]
TUNING = ["finetune", "own.json", *TRUSTED, "--out", "x.safetensors"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a user's folder: plans of a registered network and of the user's own network."""
    path = tmp_path_factory.mktemp("user")
    (path / "owned_network.py").write_text(OWN)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(path)
        patch.setattr(sys, "path", [str(path), *sys.path])
        arguments = ["--evaluations", "3", "--preserve-ratio", "0.4", "--out"]
        assert main(["search", "AMC-MobileNet-v0", *arguments, "plan.json"]) == 0
        assert main(["search", "owned_network:task", *arguments, "own.json"]) == 0
    return path


@pytest.fixture
def here(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "path", list(sys.path))  # main adds the current folder
    return folder


@pytest.fixture(autouse=True)
def no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have tables be as wide as in a log, whatever terminal runs the tests."""
    monkeypatch.delenv("COLUMNS", raising=False)


def test_list_names_every_id(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list"]) == 0
    out = capsys.readouterr().out
    assert "AMC-MobileNet-v0" in out
    assert "digits (0.2)" in out


@pytest.mark.parametrize(("columns", "width"), [(None, 160), ("70", 70)])
def test_a_log_has_room_for_tables(
    columns: str | None,
    width: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Print without a terminal, where Rich alone assumes 80 columns; COLUMNS decides."""
    if columns is not None:
        monkeypatch.setenv("COLUMNS", columns)
    assert printer().width == width
    line = "a line [1, 2] that is as long as it is " * 8
    say(line)
    assert capsys.readouterr().out == f"{line}\n"


@pytest.mark.parametrize("columns", ["70", "150"])
def test_info_says_what_each_unit_costs_and_what_stays(
    columns: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    assert main(["info", "AMC-MobileNet-v0"]) == 0
    out = capsys.readouterr().out
    assert "…" not in out
    assert ("blocks.12.pointwise.conv" in out) == (columns == "150")
    assert "whole network: 4,172,288 MACs, 823,434 parameters" in out
    assert "cannot be pruned: classifier (the network's output)" in out


def test_a_found_plan_keeps_its_budget_and_holds(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = CompressionPlan.load("plan.json")
    assert 0.38 < plan.measured.macs / 4172288 <= 0.4
    assert plan.task["task"] == "MobileNet"
    assert main(["validate", "plan.json"]) == 0
    assert "plan.json holds" in capsys.readouterr().out


def test_a_refuted_plan_is_reported_with_its_reasons(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = CompressionPlan.load("own.json")
    forged = replace(plan.measured, macs=1, score=0.99)
    replace(plan, measured=forged).save("lie.json")
    assert main(["validate", "lie.json", *TRUSTED]) == 1
    err = capsys.readouterr().err
    assert "macs: claimed 1, found" in err
    assert "accuracy: claimed 0.99, found" in err
    assert err.count("\n") == 1


def test_compress_writes_what_load_rebuilds(here: Path) -> None:
    assert main(["compress", "plan.json", "--out", "small.safetensors"]) == 0
    task, plan = resolve("MobileNet"), CompressionPlan.load("plan.json")
    inputs = task.test.images[:8]
    with torch.inference_mode():
        expected = amc_gym.compress(task, plan)(inputs)
        torch.testing.assert_close(amc_gym.load("small.safetensors")(inputs), expected)
    other = ["--recovery", "nonlinear", "--out", "other.safetensors"]
    assert main(["compress", "plan.json", *other]) == 0
    with torch.inference_mode():
        recovered = amc_gym.compress(task, plan, "nonlinear")(inputs)
        torch.testing.assert_close(amc_gym.load("other.safetensors")(inputs), recovered)
    assert (recovered - expected).abs().max() > 0.01


def test_finetune_trains_and_export_hands_over_what_was_trained(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = ["--epochs", "2", "--learning-rate", "0.05"]
    arguments = ["own.json", *TRUSTED, *recipe, "--train", "owned_network:training"]
    assert main(["finetune", *arguments, "--out", "tuned.safetensors"]) == 0
    assert "test images: original" in capsys.readouterr().out
    assert not list(here.glob("*.checkpoint.pt"))
    taught = [*arguments, "--teacher", "owned_network:teacher", "--out", "taught.safetensors"]
    assert main(["finetune", *taught]) == 0
    pair = [amc_gym.load(f"{name}.safetensors", task=TRUSTED[1]) for name in ("tuned", "taught")]
    assert not same(*pair)

    arguments = ["own.json", *TRUSTED, "--network", "tuned.safetensors", "--format", "torch-export"]
    assert main(["export", *arguments, "--out", "tuned.pt2"]) == 0
    inputs = images(5, 9).images
    with torch.inference_mode():
        tuned = amc_gym.load("tuned.safetensors", task="owned_network:task")(inputs)
        exported = torch.export.load("tuned.pt2").module()(inputs)
        torch.testing.assert_close(exported, tuned)
        task = resolve("owned_network:task")
        untrained = amc_gym.compress(task, CompressionPlan.load("own.json"))(inputs)
    assert (tuned - untrained).abs().max() > 0.01


def test_export_to_onnx(here: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    assert main(["export", "own.json", *TRUSTED, "--format", "onnx", "--out", "own.onnx"]) == 0
    session = onnxruntime.InferenceSession("own.onnx", providers=["CPUExecutionProvider"])
    assert session.run(None, {"images": images(3, 9).images.numpy()})[0].shape == (3, 5)


def test_latency_from_the_table_to_the_comparison(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    quick = ["--rounds", "3", "--noisiest", "1000"]
    table = ["latency-table", "owned_network:task", "--runtime", "torch", "--out", "times.json"]
    assert main([*table, *quick]) == 0
    assert "kinds of layers on" in capsys.readouterr().out
    assert main([*table, *quick, "--check-on", "3"]) == 0  # the table is there: only check it
    assert "3 random plans end to end" in capsys.readouterr().out
    assert main([*table, *quick]) == 1
    assert "times.json exists" in capsys.readouterr().err
    two = [*table, *quick, "--check-on", "3", "--batch", "2"]
    assert main(two) == 1
    assert "was measured on" in capsys.readouterr().err

    # No budget: by how much so small a network's latency can fall depends on the machine.
    search = ["search", "owned_network:task", "--evaluations", "8", "--preserve-ratio", "none"]
    reward = ["--reward", "error-log-latency", "--latency-table", "times.json"]
    assert main([*search, *reward, "--out", "timed.json"]) == 0
    assert "latency" in capsys.readouterr().out
    assert (CompressionPlan.load("timed.json").measured.latency_ns or 0) > 1000
    assert main(["validate", "timed.json", *TRUSTED]) == 0
    assert "not proven: latency_ns" in capsys.readouterr().out
    assert main(["validate", "timed.json", *TRUSTED, "--latency-table", "times.json"]) == 0
    assert "not proven" not in capsys.readouterr().out

    search = ["search", "owned_network:task", "--evaluations", "2", "--preserve-ratio", "1"]
    bounded = ["--resource", "latency", "--latency-table", "times.json", "--out", "bounded.json"]
    assert main([*search, *bounded]) == 0
    capsys.readouterr()
    assert main(["validate", "bounded.json", *TRUSTED]) == 3
    out, err = capsys.readouterr()
    assert "not proven: the budget and latency_ns" in out
    assert "holds" not in out
    assert err.startswith("amc-gym: bounded.json is neither proven nor refuted")
    assert err.count("\n") == 1
    assert main(["validate", "bounded.json", *TRUSTED, "--latency-table", "times.json"]) == 0

    for runtime in ("torch", "onnx"):
        timed = ["bench-latency", "timed.json", *TRUSTED, "--runtime", runtime, *quick]
        assert main([*timed, "--busiest", "1"]) == 0
        out = capsys.readouterr().out
        assert "compressed" in out
        assert " x [" in out


def test_unconstrained_search(here: Path) -> None:
    arguments = ["--preserve-ratio", "none", "--reward", "error-log-macs", "--evaluations", "5"]
    assert main(["search", "owned_network:task", *arguments, "--out", "free.json"]) == 0
    assert CompressionPlan.load("free.json").options["preserve_ratio"] is None


def test_existing_files_are_replaced_only_by_force(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = here / "precious.json"
    out.write_text("precious")
    search = ["search", "owned_network:task", "--evaluations", "1", "--out", str(out)]
    assert main(search) == 1
    assert "--force" in capsys.readouterr().err
    assert out.read_text() == "precious"
    assert main([*search, "--force"]) == 0
    assert json.loads(out.read_text())["kept"]


def test_an_interrupted_search_saves_the_best_so_far(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from amc_gym.envs.amc import AMCEnv

    reset, episodes = AMCEnv.reset, []

    def interrupted(self, **options):
        episodes.append(self.plan.measured.accuracy if episodes else 0.0)
        if len(episodes) == 4:
            raise KeyboardInterrupt
        return reset(self, **options)

    monkeypatch.setattr(AMCEnv, "reset", interrupted)
    out = here / "half.json"
    assert main(["search", "owned_network:task", "--evaluations", "9", "--out", str(out)]) == 1
    assert "interrupted; the best plan so far is in" in capsys.readouterr().err
    assert CompressionPlan.load(out).measured.accuracy == max(episodes) > 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["info", "AMC-MobilNet-v0"], "did you mean 'AMC-MobileNet-v0'?"),
        (["info", "AMC-v0"], "a task of your own"),
        (["info", "no_such_module:task"], "cannot be imported"),
        (["info", "owned_network:wrong"], "not a CompressionTask"),
        (["info", "AMC-MobileNet-v0", "--dataset", "digit"], "did you mean 'digits'?"),
        (["info", "AMC-MobileNet-v0", "--weights", "missing.pt"], "missing.pt"),
        (["validate", "missing.json"], "cannot read the plan missing.json"),
        (["validate", "owned_network.py"], "not a compression plan"),
        (["compress", "plan.json", "--out", "small.onnx"], "must end in .safetensors"),
        (["compress", "plan.json", "--out", "no/such/s.safetensors"], "there is no folder"),
        (["export", "plan.json", "--format", "onnx", "--out", "x.pt2"], "must end in .onnx"),
        (
            [
                *("export", "own.json", *TRUSTED, "--format", "onnx"),
                *("--out", "x.onnx", "--network", "none.st"),
            ],
            "none.st, is missing",
        ),
        (
            [
                *("export", "own.json", *TRUSTED, "--format", "onnx", "--out", "x.onnx"),
                *("--network", "none.st", "--recovery", "bn"),
            ],
            "leave out --recovery",
        ),
        (["compress", "plan.json", "--out", "x.safetensors", "--recovery", "bm"], "recovery"),
        (["finetune", "own.json", *TRUSTED, "--out", "x.safetensors"], "pass a split"),
        (
            [*TUNING, "--train", "owned_network:leaking"],
            "64 training images are also reward images",
        ),
        (
            [*TUNING, "--train", "owned_network:training", "--teacher", "ResNet56"],
            "no bundled weights for a task of your own",
        ),
        (
            [*TUNING, "--train", "owned_network:training", "--teacher", "owned_network:wrong"],
            "teacher must be a torch.nn.Module, not int 3",
        ),
        (
            [*TUNING, "--train", "owned_network:nothing"],
            "--train owned_network:nothing",
        ),
        (
            ["search", "owned_network:task", "--out", "x.json", "--preserve-ratio", "0.001"],
            "smallest feasible ratio",
        ),
        (
            ["search", "owned_network:task", "--out", "x.json", "--preserve-ratio", "none"],
            "--reward error-log-macs",
        ),
        (["search", "owned_network:task", "--out", "x.json", "--evaluations", "0"], "at least 1"),
        (["search", "owned_network:task", "--out", "x.json", "--reward", "luck"], "choose from"),
    ],
)
def test_one_line_says_what_is_wrong(
    here: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    before = sorted(here.rglob("*.*"))
    assert main(arguments) == 1
    err = capsys.readouterr().err
    assert message in err
    assert err.startswith("amc-gym: ")
    assert err.count("\n") == 1
    after = [path for path in sorted(here.rglob("*.*")) if path.suffix != ".pyc"]
    assert after == [path for path in before if path.suffix != ".pyc"]


def test_weights_that_moved_are_named_anew(tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    state = resolve("Plain20", weights="random").model.state_dict()
    torch.save(state, "mine.pt")
    torch.save({name: tensor * 0.9 for name, tensor in state.items()}, "others.pt")
    search = ["search", "AMC-Plain20-v0", "--weights", "mine.pt", "--evaluations", "1"]
    assert main([*search, "--out", "plan.json"]) == 0
    Path("mine.pt").rename("moved.pt")
    compress = ["compress", "plan.json", "--out", "x.safetensors"]
    capsys.readouterr()
    assert main(compress) == 1
    assert f"no longer at {tmp_path / 'mine.pt'}: say where they are, --weights" in (
        capsys.readouterr().err
    )
    assert main([*compress, "--weights", "others.pt"]) == 1
    assert "the plan was made for another" in capsys.readouterr().err
    assert main([*compress, "--weights", "bundled"]) == 1
    assert "the plan was made for another" in capsys.readouterr().err
    assert not Path("x.safetensors").exists()
    assert main(["validate", "plan.json", "--weights", "moved.pt"]) == 0
    assert main([*compress, "--weights", "moved.pt"]) == 0
    with pytest.raises(ValueError, match="only for registered networks"):
        amc_gym.task_of(CompressionPlan.load("plan.json"), task=lambda: None, weights="moved.pt")


def test_a_plan_of_objects_says_what_to_do(plain_task, tmp_path, capsys) -> None:
    plan = amc_gym.search(plain_task, 1, progress=False)
    plan.save(tmp_path / "plan.json")
    assert main(["validate", str(tmp_path / "plan.json")]) == 1
    assert "pass the task and the plan to amc_gym.compress" in capsys.readouterr().err


@pytest.mark.parametrize("command", [[], *([name] for name in COMMANDS)])
def test_help(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        main([*command, "--help"])
    assert exit_.value.code == 0
    assert "usage: amc-gym" in capsys.readouterr().out


def test_without_a_command_there_is_help(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        main([])
    assert exit_.value.code == 0
    assert "search for the best plan" in capsys.readouterr().out.lower()


def test_as_a_process() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "amc_gym", "info", "AMC-Nothing-v0"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("amc-gym: unknown id 'AMC-Nothing-v0'")
