"""Fine-tuning of a study's plans: which networks are compared, and the intervals."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from small_study import ENV

import amc_gym
from amc_gym import CompressionPlan, Measured
from amc_gym.training.recipe import Recipe
from amc_gym.zoo.resolving import resolve
from benchmarks.filling.cells import RESULTS
from benchmarks.finetuning.__main__ import main
from benchmarks.finetuning.jobs import FULL, FineTuning, jobs_of, middle, work
from benchmarks.finetuning.outcomes import Bits, Outcome, load_all
from benchmarks.finetuning.paired import RESAMPLES, Difference, difference, no_loss, pairwise
from benchmarks.finetuning.report import rows_of
from benchmarks.studies.execution import execute, setting_of
from benchmarks.studies.records import Record, Store
from benchmarks.studies.runs import Run

RECIPE = Recipe(epochs=2, batch_size=64, learning_rate=0.01, schedule="cosine")
DIGITS = ("--recipe.batch-size", "64", "--recipe.shift", "1", "--recipe.no-flip")
SHORT = (*DIGITS, "--recipe.epochs", "1", "--workers", "1", "--seeds", "1")


def first_right(right: int, split: str) -> Bits:
    """Return bits of 1,000 images, of which only the first are classified correctly."""
    return Bits(1000, np.packbits(np.arange(1000) < right).tobytes().hex(), split)


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run a rule once on the bundled digits network."""
    folder = tmp_path_factory.mktemp("study")
    setting = setting_of(ENV, {"reward_images": 50}, episodes=1)
    Store(folder).save(execute(Run(setting, "uniform", 0)))
    return folder


@pytest.fixture(scope="module")
def uniform(study: Path) -> Record:
    (record,), _ = Store(study).load()
    return record


def test_difference_of_the_same_networks_is_nothing() -> None:
    bits = np.random.default_rng(0).random(300) < 0.9
    assert difference([bits], [bits]) == Difference(0.0, 0.0, 0.0)


def test_difference_is_that_of_the_means() -> None:
    ours = [np.array([1, 1, 0, 0], dtype=bool), np.array([1, 1, 1, 0], dtype=bool)]
    theirs = [np.array([1, 0, 0, 0], dtype=bool)]
    found = difference(ours, theirs)
    assert found.mean == pytest.approx(0.625 - 0.25)
    assert found.low < found.mean < found.high


def test_interval_is_that_of_paired_proportions() -> None:
    """Compare with the deviation of a mean of n differences of -1, 0 and 1, one network a side."""
    n = 2000
    easy = np.arange(n) < 1700
    ours, theirs = easy.copy(), easy.copy()
    ours[1700:1760] = True  # only ours has 60 images right, only theirs 20
    theirs[1760:1780] = True
    found = difference([ours], [theirs])
    deviation = np.std(ours.astype(float) - theirs) / np.sqrt(n)
    assert found.high - found.low == pytest.approx(2 * 1.96 * deviation, rel=0.05)
    # Without pairing it would be several times as wide.
    assert found.high - found.low < 0.5 * 2 * 1.96 * np.sqrt(2 * 0.86 * 0.14 / n)


def test_interval_grows_with_the_spread_of_seeds() -> None:
    rng, n = np.random.default_rng(1), 1000
    base = rng.random(n)
    alike = [base < level for level in (0.90, 0.90, 0.90)]
    apart = [base < level for level in (0.86, 0.90, 0.94)]
    widths = [d.high - d.low for d in (difference(side, alike) for side in (alike, apart))]
    assert widths[1] > 0.04 > widths[0]


@pytest.mark.parametrize(
    ("against", "training", "lost_nothing"),
    [
        ((-0.001, -0.004, 0.002), (0.001, -0.002, 0.004), True),
        ((0.004, 0.001, 0.007), (-0.001, -0.004, 0.002), True),
        ((-0.003, -0.006, 0.001), (0.001, -0.002, 0.004), False),
        ((-0.001, -0.0015, -0.0005), (0.001, -0.002, 0.004), False),
        ((-0.001, -0.004, 0.002), (-0.012, -0.017, -0.007), False),  # the recipe harms both
    ],
)
def test_no_loss(against: Sequence[float], training: Sequence[float], lost_nothing: bool) -> None:
    assert no_loss(Difference(*against), Difference(*training)) is lost_nothing


def test_equal_to_a_full_network_that_its_recipe_harmed_is_not_no_loss(
    uniform: Record, tmp_path: Path
) -> None:
    job = jobs_of([uniform], replace(RECIPE, epochs=1), 1, tmp_path)[1]
    outcome = work(job, lambda epochs: None)

    def full(before: int) -> Outcome:
        sides = [first_right(right, outcome.after.split) for right in (before, 900)]
        return replace(outcome, agent=FULL, before=sides[0], after=sides[1])

    plan = replace(full(900), agent="random")
    for before, expected in ((895, True), (990, False)):
        assert [row.no_loss for row in rows_of([full(before), plan])] == [None, expected]


def test_differences_need_the_same_images() -> None:
    with pytest.raises(ValueError, match="same images"):
        difference([np.ones(3, dtype=bool)], [np.ones(4, dtype=bool)])


@pytest.mark.parametrize(("ours", "theirs", "images"), [(1, 1, 1), (1, 3, 700), (3, 2, 90)])
def test_all_resamples_at_once_are_those_drawn_one_by_one(
    ours: int, theirs: int, images: int
) -> None:
    rng = np.random.default_rng(2)
    gaps = rng.random((ours, theirs, images)) - 0.4
    if ours > 1:
        gaps[0, 1] = np.nan
    drawing, means = np.random.default_rng(7), []
    for _ in range(RESAMPLES):
        chosen = drawing.integers(images, size=images)
        rows, columns = drawing.integers(ours, size=ours), drawing.integers(theirs, size=theirs)
        pairs = gaps[rows][:, columns][:, :, chosen].mean(-1)
        means.append(np.nanmean(pairs) if not np.isnan(pairs).all() else np.nan)
    found = pairwise(gaps, seed=7)
    assert found.mean == pytest.approx(np.nanmean(gaps))
    assert (found.low, found.high) == pytest.approx(tuple(np.nanquantile(means, [0.025, 0.975])))


def test_pairs_that_cannot_be_compared_are_left_out() -> None:
    rng = np.random.default_rng(0)
    ours, theirs = rng.random((2, 200)), rng.random((3, 200))
    gaps = ours[:, None] - theirs
    assert pairwise(gaps) == difference(list(ours), list(theirs))
    gaps[:, 2] = np.nan
    found = pairwise(gaps)
    assert found.mean == pytest.approx(ours.mean() - theirs[:2].mean())
    assert found.low < found.mean < found.high
    with pytest.raises(ValueError, match="no pair"):
        pairwise(np.full((2, 3, 200), np.nan))


def test_bits_are_the_images_that_are_right(uniform: Record) -> None:
    task = amc_gym.task_of(uniform.best.plan)
    bits = Bits.of(task.model, task.test)
    assert bits.accuracy == pytest.approx(amc_gym.accuracy(task.model, task.test))
    with torch.inference_mode():
        right = task.model(task.test.batch(slice(7))).argmax(1) == task.test.labels[:7]
    assert bits.array[:7].tolist() == right.tolist()


@pytest.mark.thorough
def test_images_may_lie_in_a_folder_that_no_variable_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AMC_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("AMC_DATA_ROOT", raising=False)
    root, folder = tmp_path / "data", tmp_path / "study"
    for green, part in enumerate(("train", "val")):
        for red, label in enumerate(("dark", "light")):
            directory = root / part / label
            directory.mkdir(parents=True)
            for i in range(8):
                colour = (red * 200, green * 200, 20 * i)
                Image.new("RGB", (16, 16), colour).save(directory / f"{i}.png")
    options = {"dataset": "folder?size=16", "data_root": str(root), "weights": "random"}
    setting = setting_of(ENV, options | {"recovery": "none"}, episodes=1)
    store = Store(folder)
    store.prepare()
    store.save(execute(Run(setting, "uniform", 0)))
    arguments = [str(folder), *SHORT, "--recipe.batch-size", "8"]
    assert main([*arguments, "--data-root", str(root)]) == 0
    assert {o.agent for o in load_all(folder / "finetuned")} == {FULL, "uniform"}


def test_the_middle_run_is_taken(uniform: Record) -> None:
    def made(seed: int, reward: float) -> Record:
        run = replace(uniform.run, agent="random", seed=seed)
        return replace(uniform, run=run, best=replace(uniform.best, reward=reward))

    runs = [made(0, 0.9), made(1, 0.7), made(2, 0.8), made(3, 0.6)]
    assert [run.run.seed for run in middle(runs, 1)] == [1]
    assert [run.run.seed for run in middle(runs, 2)] == [1, 2]
    assert len(middle(runs, 9)) == 4
    assert middle([uniform], 3) == [uniform]


OPTIONS = {
    "resource": "macs",
    "preserve_ratio": 0.2,
    "granularity": "channel",
    "reward": "accuracy",
    "action_mode": "clamp",
    "importance": "magnitude",
    "recovery": "reconstruct",
    "metric": "top1",
    "max_sparsity": 0.8,
    "channel_multiple": 1,
    "reward_images": 400,
    "precision": "float32",
    "latency": {"device": "a", "table": "0" * 64},
}


def changed(record: Record, **parts: Any) -> Record:
    """Return a record whose plan has some parts replaced."""
    plan = replace(record.best.plan, **parts)
    return replace(record, best=replace(record.best, plan=plan))


def test_jobs_have_names_of_their_own(uniform: Record, tmp_path: Path) -> None:
    jobs = jobs_of([uniform], RECIPE, 2, tmp_path)
    longer = jobs_of([uniform], replace(RECIPE, epochs=3), 2, tmp_path)
    assert [job.agent for job in jobs] == [FULL, "uniform"] * 2
    assert [job.recipe.seed for job in jobs] == [0, 0, 1, 1]
    assert len({job.name for job in jobs + longer}) == 8


def test_what_was_finished_with_earlier_formats_is_found_again(tmp_path: Path) -> None:
    found = CompressionPlan(
        kept={"first": (0, 1, 2, 5), "second": (3,)},
        task={"task": "MobileNet", "dataset": "digits", "weights": "bundled"},
        options=OPTIONS,
        fingerprints=dict.fromkeys(("model", "calibration", "reward", "test"), "0" * 64),
        measured=Measured(0.5, 400, 1000, 100, 7),
        versions={"torch": "2.9.0"},
    )
    for plan in (found, CompressionPlan.from_dict(found.to_dict())):
        job = FineTuning("uniform", 0, plan, 1.0, 1.0, RECIPE, tmp_path)
        assert (job.name, job.plan_name) == ("uniform-seed0-a021aa51", "uniform-seed0-14e7915e")
        job = replace(job, agent="plan 00", separators=(",", ":"))
        assert (job.name, job.plan_name) == ("plan-00-seed0-25da4b5c", "plan-00-seed0-78b9d25f")


def test_the_full_network_is_trained_once_whatever_plan_stands_first(
    uniform: Record, tmp_path: Path
) -> None:
    other = changed(uniform, kept={})
    of_one = jobs_of([uniform], RECIPE, 1, tmp_path)
    of_other = jobs_of([other], RECIPE, 1, tmp_path, recovery="nonlinear")
    assert of_one[0].name == of_other[0].name
    assert of_one[1].name != of_other[1].name
    another = changed(uniform, fingerprints={"model": "another"})
    assert jobs_of([another], RECIPE, 1, tmp_path)[0].name != of_one[0].name


def test_plans_of_one_agent_have_files_of_their_own(uniform: Record, tmp_path: Path) -> None:
    # On a Pareto front an agent has one seed and many budgets.
    other = changed(uniform, kept={})
    of_one, of_other = (jobs_of([r], RECIPE, 2, tmp_path)[1::2] for r in (uniform, other))
    assert of_one[0].plan_name == of_one[1].plan_name
    assert of_one[0].plan_name != of_other[0].plan_name


def test_a_study_is_fine_tuned_once(
    study: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    assert main([str(study), *SHORT]) == 0
    folder = study / "finetuned"
    outcomes = load_all(folder)
    rows = rows_of(outcomes)
    assert [row.agent for row in rows] == [FULL, "uniform"]
    full, pruned = rows
    # The full network stays accurate; the pruned one becomes it (80 % before).
    assert full.before > 0.97
    assert pruned.before < 0.85 < 0.9 < pruned.after
    assert pruned.macs < 0.21
    (outcome,) = (o for o in outcomes if o.agent == "uniform")
    assert outcome.network is not None
    network = amc_gym.load(folder / outcome.network)
    plan = outcome.plan
    assert plan is not None
    assert Bits.of(network, amc_gym.task_of(plan).test) == outcome.after
    (path,) = (folder / "plans").glob("uniform-seed0-*.json")
    assert CompressionPlan.load(path) == plan
    with (folder / "finetuned.csv").open() as file:
        assert [row["agent"] for row in csv.DictReader(file)] == [FULL, "uniform"]
    assert "500 test images" in (folder / "finetuned.md").read_text()
    assert (folder / "finetuned.png").stat().st_size > 2_000
    assert not list(folder.glob("*.checkpoint.pt"))

    written = {path: path.stat().st_mtime_ns for path in folder.glob("*-seed*.json")}
    left = folder / f"{outcome.name}.checkpoint.pt"  # as if killed just before it was removed
    left.touch()
    assert main([str(study), *SHORT]) == 0
    assert {path: path.stat().st_mtime_ns for path in written} == written
    assert not left.exists()
    assert "2 of 2 are finished already" in capsys.readouterr().err


def test_another_network_teaches_the_plans_and_the_full_network_alike(
    study: Path, uniform: Record, tmp_path: Path
) -> None:
    taught = [*SHORT, "--recipe.distillation", "0.9", "--teacher", "ResNet56"]
    assert main([str(study), *taught, "--out", str(tmp_path / "taught")]) == 0
    outcomes = load_all(tmp_path / "taught")
    assert {(o.agent, o.teacher) for o in outcomes} == {(FULL, "ResNet56"), ("uniform", "ResNet56")}
    assert ", taught by ResNet56." in (tmp_path / "taught" / "finetuned.md").read_text()

    jobs = jobs_of([uniform], RECIPE, 1, tmp_path)
    named = {job.name for job in jobs + jobs_of([uniform], RECIPE, 1, tmp_path, teacher="ResNet56")}
    assert len(named) == 4
    with pytest.raises(ValueError, match="differ in teachers"):
        rows_of([outcomes[0], replace(outcomes[1], teacher=None)])


def test_a_teacher_without_a_part_in_the_loss_is_refused(
    study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(study), *SHORT, "--teacher", "ResNet56"]) == 2
    assert "--teacher needs --recipe.distillation" in capsys.readouterr().err


def test_a_teacher_without_bundled_weights_is_refused_before_any_job(
    study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    taught = [*SHORT, "--recipe.distillation", "0.9", "--teacher", "Nobody"]
    assert main([str(study), *taught, "--out", str(tmp_path / "taught")]) == 2
    assert "no weights of Nobody for digits are bundled" in capsys.readouterr().err
    assert not (tmp_path / "taught").exists()


def test_weights_that_moved_since_the_search_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state = resolve("MobileNet").model.state_dict()
    torch.save(state, tmp_path / "mine.pt")
    options = {"weights": str(tmp_path / "mine.pt"), "reward_images": 50}
    store = Store(tmp_path / "study")
    store.prepare()
    store.save(execute(Run(setting_of(ENV, options, episodes=1), "uniform", 0)))
    (tmp_path / "mine.pt").rename(tmp_path / "moved.pt")
    assert main([str(store.folder), *SHORT]) == 2
    assert "no longer at" in capsys.readouterr().err
    assert not (store.folder / "finetuned").exists()
    assert main([str(store.folder), *SHORT, "--weights", str(tmp_path / "moved.pt")]) == 0
    # What is finished needs neither weights nor images.
    assert main([str(store.folder), *SHORT]) == 0
    assert {o.agent for o in load_all(store.folder / "finetuned")} == {FULL, "uniform"}


def test_a_published_study_without_its_plans_is_refused_by_name(tmp_path: Path) -> None:
    published = RESULTS / "shrinking" / "plain20-cifar10"
    shutil.copy(published / "outcomes.parquet", tmp_path)
    with pytest.raises(ValueError, match=r"plans/.*\.json is missing beside it: copy the folder"):
        load_all(tmp_path)


def test_an_interrupted_job_goes_on(uniform: Record, tmp_path: Path) -> None:
    class StoppedError(Exception):
        pass

    def stop(epochs: int) -> None:
        raise StoppedError

    jobs = [jobs_of([uniform], RECIPE, 1, tmp_path / name)[1] for name in ("whole", "cut")]
    whole = work(jobs[0], lambda epochs: None)
    with pytest.raises(StoppedError):
        work(jobs[1], stop)
    told: list[int] = []
    resumed = work(jobs[1], told.append)
    assert told == [1, 2]  # the epoch at which it goes on, and the next
    assert resumed.after == whole.after
    assert load_all(tmp_path / "cut") == [resumed]


@pytest.mark.parametrize(("room", "kept"), [(0.7, True), (0.3, False)])
def test_large_networks_are_kept_in_half_precision_or_not(
    uniform: Record, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, room: float, kept: bool
) -> None:
    (_, job) = jobs_of([uniform], replace(RECIPE, epochs=1), 1, tmp_path)
    plan = job.plan
    task = amc_gym.task_of(plan)
    state = amc_gym.compress(task, plan).state_dict()
    size = sum(tensor.nbytes for tensor in state.values())
    monkeypatch.setattr("benchmarks.finetuning.jobs.LARGEST", room * size)
    outcome = work(job, lambda _: None)
    assert (outcome.network is not None) == kept
    if outcome.network is not None:
        path = tmp_path / outcome.network
        assert path.stat().st_size < 0.8 * size
        assert Bits.of(amc_gym.load(path), task.test) == outcome.after


def test_searches_are_compared_with_the_best_rule(uniform: Record, tmp_path: Path) -> None:
    def judged(agent: str, right: int) -> Outcome:
        sides = [first_right(count, outcome.after.split) for count in (940, right)]
        return replace(outcome, agent=agent, before=sides[0], after=sides[1])

    job = jobs_of([uniform], replace(RECIPE, epochs=1), 1, tmp_path)[1]
    outcome = work(job, lambda epochs: None)
    full, searched = judged(FULL, 950), judged("random", 930)
    rows = rows_of([full, searched, judged("uniform", 900), judged("deep", 910)])
    against = {row.agent: row.against_rule for row in rows}
    assert against[FULL] is None
    assert against["deep"] is None
    assert against["random"] is not None
    assert against["uniform"] is not None
    assert against["random"].mean == pytest.approx(0.02)
    assert against["uniform"].mean == pytest.approx(-0.01)
    assert all(row.against_rule is None for row in rows_of([full, searched]))


def test_shrunk_plans_are_compared_with_those_cut_first_and_the_full_network_is_the_same(
    uniform: Record, tmp_path: Path
) -> None:
    recipe = replace(RECIPE, epochs=2, shrink=1, averaging=0.5)
    full, shrunk = jobs_of([uniform], recipe, 1, tmp_path)
    assert full == jobs_of([uniform], replace(recipe, shrink=0), 1, tmp_path)[0]
    outcome = work(shrunk, lambda epochs: None)
    others = [
        replace(outcome, agent=agent, recipe=full.recipe.described(), recovery="bn")
        for agent in (FULL, "uniform")
    ]
    rows = rows_of([outcome, *others])
    assert {row.agent for row in rows} == {FULL, "uniform", "uniform, shrunk"}
    longer = replace(outcome, recipe=outcome.recipe | {"shrink": 2})
    with pytest.raises(ValueError, match="differ in shrinking"):
        rows_of([outcome, longer, *others])


def test_what_cannot_be_compared_is_refused(uniform: Record, tmp_path: Path) -> None:
    job = jobs_of([uniform], replace(RECIPE, epochs=1), 1, tmp_path)[1]
    outcome = work(job, lambda epochs: None)
    with pytest.raises(ValueError, match="full network is not fine-tuned"):
        rows_of([outcome])
    other = replace(outcome, recipe=outcome.recipe | {"epochs": 7})
    with pytest.raises(ValueError, match="differ in recipes"):
        rows_of([outcome, other])
    broken = tmp_path / "broken.json"
    broken.write_text("{}")
    with pytest.raises(ValueError, match=r"broken.json is not an outcome"):
        Outcome.load(broken)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--agents", "uniform,nobody"), "no finished run of nobody"),
        (("--seeds", "0"), "--seeds must be at least 1"),
        (("--recovery", "magic"), "recovery step"),
    ],
)
def test_bad_arguments(
    study: Path, arguments: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(study), *arguments]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.thorough
def test_another_recipe_goes_to_another_folder(study: Path, tmp_path: Path) -> None:
    out = tmp_path / "with less decay"
    less = ("--recipe.weight-decay", "0.0001", "--agents", "uniform")
    assert main([str(study), *SHORT, *less, "--out", str(out)]) == 0
    assert {outcome.recipe["weight_decay"] for outcome in load_all(out)} == {0.0001}


def test_an_empty_folder_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path)]) == 2
    assert "no finished runs" in capsys.readouterr().err
