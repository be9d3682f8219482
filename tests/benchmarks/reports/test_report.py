"""Reports on complete, partial and mixed folders of results."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from matplotlib.image import imread
from rich.console import Console
from small_study import variant

import agents
from benchmarks.reports.figures import far_below
from benchmarks.reports.html.style import styles
from benchmarks.reports.looks import AGENTS, COLOURED, REST, looks_of, with_colours
from benchmarks.reports.report import write
from benchmarks.reports.sections import origin
from benchmarks.studies.records import Record, Store
from benchmarks.studies.runs import BenchmarkError, Setting

Said = Callable[[Console], str]


def test_partial_results_are_reported(
    tmp_path: Path, record: Record, console: Console, said: Said
) -> None:
    store = Store(tmp_path)
    for each in (
        variant(record, "one", 0, 0.8),
        variant(record, "one", 1, 0.6),
        variant(record, "other_agent", 0, 0.5),
    ):
        store.save(each)
    (tmp_path / "half.json").write_text('{"format":')
    write(tmp_path, console)
    text = (tmp_path / "report.md").read_text()
    full = record.full
    assert (
        f"| full network |  |  |  | {100 * full.reward_accuracy:.1f} "
        f"| {100 * full.test_accuracy:.1f} | 100.0 |" in text
    )
    assert "| one | 2 | 3 | 3 | 70.0 [60.0, 80.0] | 60.0 [50.0, 70.0] |" in text
    assert "| other_agent | 1 | 3 | 3 | 50.0 | 40.0 |" in text
    assert text.index("| one |") < text.index("| other_agent |")
    assert "20 reward images" in text
    assert "500 test images" in text
    assert str(record.machine["cpu"]) in text
    assert f"torch {record.versions['torch']}" in text
    assert "`half.json`" in text
    assert "half.json does not count" in said(console)
    assert "70.0 [60.0, 80.0]" in said(console)


def test_the_csv_holds_full_precision(tmp_path: Path, record: Record, console: Console) -> None:
    store = Store(tmp_path)
    store.save(variant(record, "one", 0, 1 / 3))
    write(tmp_path, console)
    full, one = csv.DictReader((tmp_path / "report.csv").read_text().splitlines())
    assert float(full["test_accuracy"]) == record.full.test_accuracy
    assert float(one["reward"]) == 1 / 3
    assert (one["agent"], one["seeds"], one["reward_low"]) == ("one", "1", "")


def test_pictures_show_something(tmp_path: Path, record: Record, console: Console) -> None:
    store = Store(tmp_path)
    for seed in range(2):
        store.save(variant(record, "one", seed, 0.5 + 0.1 * seed))
    write(tmp_path, console)
    for name in ("learning-curves.png", "policies.png"):
        picture = imread(tmp_path / name)
        assert picture.shape[1] == 900
        # Lines or bars in the agent's colour have to be there.
        colour = [int(looks_of(["one"])["one"][0][i : i + 2], 16) / 255 for i in (1, 3, 5)]
        assert (abs(picture[..., :3] - colour) < 0.02).all(-1).sum() > 200


def test_every_agent_of_the_full_study_looks_different() -> None:
    agents = [f"agent {i}" for i in range(24)]
    for looks in (looks_of(agents), styles(agents)):
        assert len(set(looks.values())) == 24


def _module(factory: Callable[..., object]) -> str:
    return getattr(factory, "func", factory).__module__


def test_an_agent_has_one_colour_in_all_figures() -> None:
    ours = {n for n, each in agents.FACTORIES.items() if "small_" not in _module(each.factory)}
    assert ours <= AGENTS.keys()
    assert len({AGENTS[name] for name in AGENTS if name not in ("sac", "ppo", "td3")}) >= 27
    for name in ("gp", "one of mine"):
        alone, among = looks_of([name])[name], looks_of([name, "random", "uniform"])[name]
        assert alone == among
    looks = looks_of(["gp", 'gp(first="uniform")', "gp-uniform", "gpu"])
    assert {looks[name][0] for name in looks if name != "gpu"} == {AGENTS["gp"]}
    assert len(set(looks.values())) == 4  # with_colours apart by dashes


def test_a_panel_has_eight_colours_the_papers_agent_among_them() -> None:
    order = [f"agent {i}" for i in range(20)]
    assert with_colours(order) == order[:COLOURED]
    assert with_colours([*order, "amc-ddpg"]) == [*order[: COLOURED - 1], "amc-ddpg"]
    assert with_colours(order[:3]) == order[:3]


def test_only_what_is_far_below_leaves_the_frame() -> None:
    assert 0.1 < far_below([0.1, 0.80, 0.83, 0.86, 0.9]) < 0.8
    assert far_below([0.72, 0.80, 0.83, 0.86, 0.9]) < 0.72
    assert far_below([0.8]) == 0.8  # a single value is in the frame


def test_many_agents_are_grey_and_named_at_their_ends(
    tmp_path: Path, record: Record, console: Console
) -> None:
    greys = []
    for n in (2, 14):
        store = Store(tmp_path / str(n))
        store.prepare()
        for i in range(n):
            each = variant(record, f"agent {i}", 0, 0.5 + 0.01 * i)
            store.save(each)
        write(store.folder, console)
        picture = imread(store.folder / "learning-curves.png")[..., :3]
        rest = [int(REST[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        greys.append((abs(picture - rest) < 0.02).all(-1).sum())
    assert greys[0] < 50
    assert greys[1] > 500


def test_weight_pruning_has_policies_too(tmp_path: Path, record: Record, console: Console) -> None:
    weights = {unit: 1 for unit in record.full.channels}
    pruned = replace(record.best.plan, kept={}, weights=weights)
    each = replace(record, best=replace(record.best, plan=pruned))
    assert each.best.kept == weights
    Store(tmp_path).save(each)
    write(tmp_path, console)
    assert (tmp_path / "policies.png").exists()


def test_settings_are_reported_apart(tmp_path: Path, record: Record, console: Console) -> None:
    store = Store(tmp_path)
    settings = []
    for episodes in (3, 4):
        each = variant(record, "one", 0, 0.5, episodes)
        settings.append(each.run.setting)
        store.save(each)
    sections = write(tmp_path, console)
    assert [section.setting for section in sections] == settings
    text = (tmp_path / "report.md").read_text()
    for setting in settings:
        assert f"learning-curves-{setting.digest}.png" in text
        assert (tmp_path / f"policies-{setting.digest}.png").exists()


def test_an_empty_folder_is_a_clear_error(tmp_path: Path, console: Console) -> None:
    with pytest.raises(BenchmarkError, match="no finished runs"):
        write(tmp_path / "nothing", console)
    assert not (tmp_path / "nothing").exists()


@pytest.mark.parametrize(
    ("weights", "shown"),
    [("bundled", "bundled"), ("/home/me/net.pth.tar", "net.pth.tar")],
)
def test_reports_name_files_of_weights_without_their_folders(
    setting: Setting, weights: str, shown: str
) -> None:
    given = replace(setting, source={"task": "MobileNet", "dataset": None, "weights": weights})
    assert origin(given) == f"task MobileNet, weights {shown}"
    assert origin(replace(setting, source={})) == "made from objects"
