"""Submissions to the leaderboard: honest ones count, and each kind of cheating is rejected."""

from __future__ import annotations

import hashlib
import json
import pickle
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from benchmarks.__main__ import main
from benchmarks.leaderboard.commands import SUBMISSIONS
from benchmarks.leaderboard.ranking import markdown
from benchmarks.leaderboard.submission import FILE, Submission, SubmissionError
from benchmarks.leaderboard.submit import submit
from benchmarks.leaderboard.validation import Ruling, validate
from benchmarks.studies.records import Record, Store
from benchmarks.studies.runs import BenchmarkError

RESULTS = Path(__file__).parents[2] / "benchmarks" / "results" / "mobilenet-digits"
PLAN = "plans/seed0.json"

Content = dict[str, Any]


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Submit the uniform plan, which has one seed and is quick to replay."""
    folder = tmp_path_factory.mktemp("honest") / "uniform"
    submit(RESULTS, "uniform", folder, ["Ada"])
    return folder


@pytest.fixture(scope="module")
def ruling(honest: Path) -> Ruling:
    return validate(honest)


@pytest.fixture
def folder(honest: Path, tmp_path: Path) -> Path:
    """Copy the honest submission, so that a test can change it."""
    return Path(shutil.copytree(honest, tmp_path / "cheat"))


def declare(folder: Path, change: Callable[[Content], Any]) -> None:
    """Change the content of submission.json by a function."""
    content = json.loads((folder / FILE).read_text())
    change(content)
    (folder / FILE).write_text(json.dumps(content))


def forge(folder: Path, change: Callable[[Content], Any], *, sealed: bool = True) -> None:
    """Change the plan's file by a function, with right checksums if ``sealed``."""
    content = json.loads((folder / PLAN).read_text())
    seal = content.pop("sha256")
    change(content)
    if sealed:
        canonical = json.dumps(content, separators=(",", ":"))
        seal = hashlib.sha256(canonical.encode()).hexdigest()
    put(folder, json.dumps({"sha256": seal} | content).encode())


def put(folder: Path, content: bytes) -> None:
    """Replace the plan's file by any bytes, and list their checksum."""
    (folder / PLAN).write_bytes(content)
    sha256 = hashlib.sha256(content).hexdigest()
    declare(folder, lambda said: said["plans"][0].update(sha256=sha256))


def reasons(folder: Path) -> list[str]:
    """Return why files of a submission are rejected; check that these have no figures."""
    verdicts = [verdict for verdict in validate(folder).verdicts if not verdict.accepted]
    assert all(verdict.found is None for verdict in verdicts)
    return [f"{verdict.file}: {verdict.reason}" for verdict in verdicts]


def test_an_honest_submission_counts(
    honest: Path, ruling: Ruling, capsys: pytest.CaptureFixture[str]
) -> None:
    (record,) = [r for r in Store(RESULTS).load()[0] if r.run.agent == "uniform"]
    assert ruling.accepted
    (found,) = ruling.found
    assert found.test_accuracy == pytest.approx(record.best.test_accuracy, abs=0.004)
    assert found.macs == record.best.plan.measured.macs
    assert "--agents uniform" in ruling.submission.how
    assert main(["validate", str(honest)]) == 0
    said = capsys.readouterr().out
    assert said.startswith(f"accepted {PLAN}: {found.test_accuracy:.1%} of 500 test images")
    assert said.count("\n") == 1


FIRST = "blocks.0.pointwise.conv"

FORGED: dict[str, tuple[Callable[[Content], Any], str]] = {
    "accuracy": (lambda p: p["measured"].update(accuracy=1.0), "wrong accuracy: claimed 1.0"),
    "macs": (lambda p: p["measured"].update(macs=1), "wrong macs: claimed 1, found"),
    "params": (lambda p: p["measured"].update(params=1), "wrong params: claimed 1, found"),
    "images": (lambda p: p["measured"].update(images=2), "wrong images"),
    "over budget": (
        lambda p: p["kept"].update({FIRST: "0-15"}),
        "over budget: ",
    ),
    "another budget": (
        lambda p: p["options"].update(preserve_ratio=0.5),
        "options are not those of the submission: preserve_ratio is 0.2, not 0.5",
    ),
    "few images": (
        lambda p: p["options"].update(reward_images=1),
        "reward_images is 400, not 1",
    ),
    "an option less": (lambda p: p["options"].pop("recovery"), "recovery is missing"),
    "too few channels": (
        lambda p: p["kept"].update({FIRST: "0"}),
        f"it keeps 1 of unit '{FIRST}', which max_sparsity",
    ),
    "no such channel": (
        lambda p: p["kept"].update({FIRST: "0-2,16"}),
        "outside 0..15",
    ),
    "a channel twice": (
        lambda p: p["kept"].update({FIRST: "0,0-2"}),
        f"not a compression plan: its kept {FIRST} should ascend",
    ),
    "a unit less": (lambda p: p["kept"].pop(FIRST), "does not decide the units"),
    "weights too": (lambda p: p.update(weights={FIRST: 1}), "does not decide the units"),
    "own weights": (
        lambda p: p["fingerprints"].update(model="0" * 64),
        "another task: the fingerprint of its model",
    ),
    "own images": (
        lambda p: p["fingerprints"].update(test="0" * 64),
        "another task: the fingerprint of its test",
    ),
    "another network": (
        lambda p: p["task"].update(task="Plain20"),
        "another task: task is 'MobileNet', not 'Plain20'",
    ),
    "own code": (
        lambda p: p["task"].update(task="evil_module:task"),
        "code of a submission is never imported",
    ),
    "no table": (lambda p: p.update(kept=[1, 2]), "not a compression plan: its kept"),
    "no channels": (lambda p: p["kept"].update({FIRST: 3}), "not a compression plan"),
    "no number": (lambda p: p["measured"].update(macs="few"), "its measured macs"),
    "not a number": (
        lambda p: p["measured"].update(accuracy=float("nan")),
        "not JSON: NaN is not a number",
    ),
    "no options": (lambda p: p.update(options=None), "its options should be"),
}


@pytest.mark.parametrize(("change", "reason"), FORGED.values(), ids=FORGED)
def test_a_forged_plan_is_rejected(
    folder: Path, change: Callable[[Content], Any], reason: str
) -> None:
    forge(folder, change)
    (found,) = reasons(folder)
    assert found.startswith(f"{PLAN}: ")
    assert reason in found


DECLARED: dict[str, tuple[Callable[[Content], Any], str]] = {
    "own environment": (lambda s: s.update(env="evil_module:Env-v0"), "never imported"),
    "own task": (lambda s: s.update(env="AMC-v0"), "another task: 'AMC-v0' is not one of"),
    "own data": (lambda s: s.update(dataset="folder"), "the data set must be one of"),
    "own weights": (lambda s: s.update(weights="/tmp/mine.pt"), "the weights must be one of"),
    "random weights": (lambda s: s.update(weights="random"), "the weights must be one of"),
    "no budget": (lambda s: s["options"].update(preserve_ratio=None), "there is no budget"),
    "infeasible": (lambda s: s["options"].update(preserve_ratio=0.001), "is infeasible"),
    "own ranking": (
        lambda s: s["options"].update(importance="evil_module:rank"),
        "make no environment: unknown importance",
    ),
    "trains": (
        lambda s: s["options"].update(recovery="reconstruct+finetune:1000000"),
        "its recovery trains",
    ),
    "odd option": (lambda s: s["options"].update(recovery=5), "make no environment"),
    "unknown option": (lambda s: s["options"].update(frameskip=1), "frameskip"),
    "another device": (
        lambda s: s["options"].update(device="cpu"),
        "device is unknown",
    ),
    "an option less": (lambda s: s["options"].pop("metric"), "metric is missing"),
    "another budget": (
        lambda s: s["options"].update(preserve_ratio=0.21),
        "its options are not those of the submission: preserve_ratio is 0.21, not 0.2",
    ),
}


@pytest.mark.parametrize(("change", "reason"), DECLARED.values(), ids=DECLARED)
def test_a_submission_of_another_task_is_rejected(
    folder: Path, change: Callable[[Content], Any], reason: str
) -> None:
    declare(folder, change)
    (found,) = reasons(folder)
    assert found.startswith(f"{PLAN}: ")
    assert reason in found


@pytest.mark.parametrize(
    ("where", "name"),
    [
        (lambda s: s.update(env="evil_module:Env-v0"), None),
        (lambda s: s["options"].update(importance="evil_module:rank"), None),
        (None, "evil_module:task"),
    ],
)
def test_code_of_a_submission_is_never_imported(
    folder: Path, monkeypatch: pytest.MonkeyPatch, where: Any, name: str | None
) -> None:
    (folder.parent / "evil_module.py").write_text("raise SystemExit('imported')")
    monkeypatch.syspath_prepend(folder.parent)
    if where is not None:
        declare(folder, where)
    else:
        forge(folder, lambda plan: plan["task"].update(task=name))
    assert len(reasons(folder)) == 1
    assert "evil_module" not in sys.modules


class Bomb:
    """An object that exits the process when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (sys.exit, ("unpickled",))


def test_changed_missing_and_other_files_are_rejected(folder: Path) -> None:
    plan = (folder / PLAN).read_bytes()
    (folder / PLAN).write_bytes(plan + b" ")
    assert reasons(folder) == [f"{PLAN}: tampered file: its sha256 is not the one in {FILE}"]
    put(folder, pickle.dumps(Bomb()))
    assert "not JSON: it is not text" in reasons(folder)[0]
    put(folder, b"[" * 100_000)
    assert "nested too deeply" in reasons(folder)[0]
    put(folder, plan)
    assert reasons(folder) == []
    forge(folder, lambda content: content["measured"].update(accuracy=1.0), sealed=False)
    assert "does not match its checksum" in reasons(folder)[0]

    (folder / PLAN).rename(folder / "plans" / "elsewhere.json")
    (folder / "setup.py").touch()
    assert reasons(folder) == [
        f"{PLAN}: missing file",
        f"plans/elsewhere.json: extra file: {FILE} does not list it",
        f"setup.py: extra file: {FILE} does not list it",
    ]
    (folder / "setup.py").unlink()
    (folder / PLAN).symlink_to(folder / "plans" / "elsewhere.json")
    assert reasons(folder)[0] == f"{PLAN}: missing file"
    assert f"{PLAN}: extra file: a link" in reasons(folder)


def test_a_rejected_plan_is_a_line_and_a_status(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    forge(folder, lambda plan: plan["measured"].update(accuracy=1.0))
    assert main(["validate", str(folder)]) == 1
    said = capsys.readouterr().out
    assert said.startswith(f"rejected {PLAN}: wrong accuracy: claimed 1.0, found 0.8")
    assert said.count("\n") == 1


NO_SUBMISSION: dict[str, tuple[Callable[[Content], Any], str]] = {
    "another format": (lambda s: s.update(format="2"), "format"),
    "a field more": (lambda s: s.update(rank=1), "rank"),
    "a field less": (lambda s: s.pop("agent"), "agent"),
    "no author": (lambda s: s.update(authors=[]), "authors"),
    "no name": (lambda s: s.update(name=" "), "one line"),
    "two lines": (lambda s: s.update(how="a\n| 1 | me |"), "one line"),
    "escapes": (lambda s: s.update(name="\x1b[2J"), "one line"),
    "no plans": (lambda s: s.update(plans=[]), "at least 1 item"),
    "a way out": (lambda s: s["plans"][0].update(file="plans/../../x.json"), "its plans 0 file"),
    "a seed twice": (
        lambda s: s["plans"].append(s["plans"][0] | {"file": "plans/a.json"}),
        "a seed twice",
    ),
    "no evaluations": (lambda s: s["plans"][0].update(evaluations=0), "evaluations"),
}


@pytest.mark.parametrize(("change", "message"), NO_SUBMISSION.values(), ids=NO_SUBMISSION)
def test_invalid_submissions_are_one_line(
    folder: Path, change: Callable[[Content], Any], message: str
) -> None:
    declare(folder, change)
    with pytest.raises(SubmissionError, match=message):
        Submission.read(folder)


def test_a_folder_without_a_submission_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["validate", str(tmp_path)]) == 2
    assert capsys.readouterr().err.startswith(f"error: {tmp_path} is not a submission")
    (tmp_path / FILE).write_text("{")
    assert main(["validate", str(tmp_path)]) == 2
    (tmp_path / FILE).write_text("[" * 100_000)
    assert main(["validate", str(tmp_path)]) == 2


def test_submitting_says_what_is_wrong(honest: Path, tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match=r"no run of 'unifrom'; it holds amc-ddpg, "):
        submit(RESULTS, "unifrom", tmp_path / "new", ["Ada"])
    with pytest.raises(BenchmarkError, match="already exists"):
        submit(RESULTS, "uniform", honest, ["Ada"])
    with pytest.raises(BenchmarkError, match="names nobody"):
        submit(RESULTS, "uniform", tmp_path / "new", [])
    assert not (tmp_path / "new").exists()


def renamed(ruling: Ruling, name: str, accuracy: float, **options: Any) -> Ruling:
    """Return the ruling for a submission with another name, accuracy and options."""
    verdict = ruling.verdicts[0]
    assert verdict.found is not None
    found = replace(verdict.found, test_accuracy=accuracy)
    said = ruling.submission
    return replace(
        ruling,
        submission=replace(said, name=name, options=said.options | options),
        verdicts=(replace(verdict, found=found),),
    )


def test_the_ranking_compares_equal_budgets_only(ruling: Ruling) -> None:
    rejected = replace(ruling, verdicts=(replace(ruling.verdicts[0], reason="over | budget"),))
    table = markdown(
        {
            "a": renamed(ruling, "good", 0.8),
            "b": renamed(ruling, "better | [x](y)<i>", 0.9),
            "c": renamed(ruling, "larger", 0.95, preserve_ratio=0.5),
            "d": renamed(ruling, "searched otherwise", 0.85, importance="greedy"),
            "e f": renamed(ruling, "worst", 0.1),
            "g": rejected,
        }
    )
    small, large = table.index(": 20 % of the 4,172,288 MACs"), table.index(": 50 % of the ")
    assert table.count("\n## ") == 3
    assert small < large < table.index("## Rejected") < table.index(r"- `g`: over \| budget")
    rows = [line for line in table[small:large].splitlines() if line.startswith("| ")][1:]
    assert [row.split(" | ")[0] for row in rows] == ["| 1", "| 2", "| 3", "| 4"]
    assert r"[better \| \[x\](y)&lt;i&gt;](b/submission.json)" in rows[0]
    assert "90.0" in rows[0]
    assert "[searched otherwise](d/" in rows[1]
    assert "greedy, reconstruct" in rows[1]
    assert "(e%20f/submission.json)" in rows[3]
    assert "[larger](c/" in table[large:]


def test_the_leaderboard_is_written(
    honest: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    forge(folder, lambda plan: plan["measured"].update(macs=1))
    shutil.copytree(honest, folder.parent / "honest")
    assert main(["leaderboard", "--folder", str(folder.parent)]) == 1
    table = (folder.parent / "README.md").read_text()
    assert "| 1 | [uniform](honest/submission.json) | Ada | uniform | 1 | 1 |" in table
    assert "- `cheat`: wrong macs: claimed 1" in table
    assert "accepted" in capsys.readouterr().out
    shutil.rmtree(folder)
    assert main(["leaderboard", "--folder", str(folder.parent)]) == 0


def test_one_plan_under_two_seeds_counts_once(folder: Path) -> None:
    shutil.copy(folder / PLAN, folder / "plans" / "seed1.json")
    declare(
        folder,
        lambda s: s["plans"].append(s["plans"][0] | {"file": "plans/seed1.json", "seed": 1}),
    )
    assert reasons(folder) == [
        f"plans/seed1.json: the same plan as {PLAN}: each seed is a search of its own"
    ]
    # Other claims or versions do not make it another plan either.
    content = json.loads((folder / PLAN).read_text())
    del content["sha256"]
    content["versions"] = {"python": "3.14"}
    canonical = json.dumps(content, separators=(",", ":"))
    seal = hashlib.sha256(canonical.encode()).hexdigest()
    text = json.dumps({"sha256": seal} | content).encode()
    (folder / "plans" / "seed1.json").write_bytes(text)
    sha256 = hashlib.sha256(text).hexdigest()
    declare(folder, lambda s: s["plans"][1].update(sha256=sha256))
    assert "the same plan as" in reasons(folder)[0]


def test_what_cannot_be_replayed_is_left_out_by_name(
    honest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Rank the good submission although the folders beside it cannot be replayed."""
    for name in ("good", "no data", "latency", "foreign", "none", "[bold]x|"):
        shutil.copytree(honest, tmp_path / name)
    declare(tmp_path / "no data", lambda s: s.update(dataset="cifar10"))
    declare(tmp_path / "latency", lambda s: s["options"].update(resource="latency"))
    declare(tmp_path / "foreign", lambda s: s["options"].update(preserve_ratio=0.5))
    (tmp_path / "none" / FILE).unlink()
    (tmp_path / "[bold]x|" / FILE).write_bytes(b"[" * 100_000)
    root = tmp_path / "empty"
    root.mkdir()
    root.rename(tmp_path.parent / "empty-root")
    folders = ["--folder", str(tmp_path), "--data-root", str(tmp_path.parent / "empty-root")]
    assert main(["leaderboard", *folders]) == 1
    table = (tmp_path / "README.md").read_text()
    assert "| 1 | [uniform](good/submission.json)" in table
    lines = {line.partition(":")[0]: line for line in table.splitlines() if line.startswith("- ")}
    assert "CIFAR-10 is not there" in lines["- `no data`"]
    assert "its budget counts 'latency'" in lines["- `latency`"]
    assert "preserve_ratio" in lines["- `foreign`"]
    assert "has no submission.json" in lines["- `none`"]
    assert "nested too deeply" in lines[r"- `[bold]x\|`"]
    said = capsys.readouterr().out
    assert "[bold]x|" in said
    assert said.count("left out") == 3


@cache
def runs_of(study: Path) -> dict[tuple[str, int], Record]:
    """Return a study's records by agent and seed, read once for many submissions."""
    return {(record.run.agent, record.run.seed): record for record in Store(study).load()[0]}


COMMITTED = sorted(path for path in SUBMISSIONS.iterdir() if path.is_dir())


@pytest.mark.parametrize("path", COMMITTED, ids=lambda path: path.name)
@pytest.mark.thorough
def test_committed_submissions_count(path: Path) -> None:
    """Validate a submission with today's weights and data; if it fails, submit it again."""
    ruling = validate(path)
    assert [verdict.reason for verdict in ruling.verdicts if not verdict.accepted] == []
    study = RESULTS.parent / f"{path.name.removesuffix(f'-{ruling.submission.agent}')}-full"
    for entry, found in zip(ruling.submission.plans, ruling.found, strict=True):
        best = runs_of(study)[ruling.submission.agent, entry.seed].best
        assert found.test_accuracy == pytest.approx(best.test_accuracy, abs=0.004)
        assert found.reward_accuracy == pytest.approx(best.reward_accuracy, abs=0.005)
    assert f"({path.name}/submission.json)" in (SUBMISSIONS / "README.md").read_text()


def test_a_submission_tells_the_agents_arguments(tmp_path: Path, record: Record) -> None:
    store = Store(tmp_path / "results")
    store.prepare()
    given = replace(record.run, arguments={"sigma": 0.3})
    store.save(replace(record, run=given))
    made = submit(store.folder, record.run.agent, tmp_path / "one", ["Ada"])
    assert """--agent-args '{"sigma": 0.3}'""" in made.how
    store.save(record)
    with pytest.raises(BenchmarkError, match="in several settings of task, options, budget or arg"):
        submit(store.folder, record.run.agent, tmp_path / "two", ["Ada"])
