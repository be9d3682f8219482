"""Image folders: decoded once, cached with a checksum; bad files are named."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from amc_gym._utils.paths import cache_root
from amc_gym.engine.cache import engines
from amc_gym.engine.engine import Engine
from amc_gym.engine.options import EngineOptions
from amc_gym.zoo.datasets import _load, cache, imagenette, listing, load
from amc_gym.zoo.datasets.folder import imagenet, photographs
from amc_gym.zoo.datasets.sort import sort
from amc_gym.zoo.resolving import resolve


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write 6 training and 8 validation images in each of two classes, each of another colour."""
    monkeypatch.setenv("AMC_CACHE", str(tmp_path / "cache"))
    colour = 0
    for part, count in (("train", 6), ("val", 8)):
        for name in ("cat", "dog"):
            directory = tmp_path / "data" / part / name
            directory.mkdir(parents=True)
            for i in range(count):
                colour += 5
                Image.new("RGB", (20, 14), (colour, 0, 255)).save(directory / f"{i}.png")
    return tmp_path / "data"


def fresh(root: Path, options: str = ""):
    """Load the splits as a new process would."""
    _load.cache_clear()
    return load(f"folder?size=8{options}", root)


def colours(split) -> list[int]:
    return split.images[:, 0, 4, 4].tolist()


def test_images_are_decoded_labelled_and_parted(root: Path) -> None:
    splits = fresh(root)
    assert splits.classes == 2
    assert splits.reward.images.shape == splits.test.images.shape == (8, 3, 8, 8)
    assert sorted(colours(splits.train)) == list(range(5, 61, 5))
    assert sorted(colours(splits.reward) + colours(splits.test)) == list(range(65, 141, 5))
    assert splits.reward.labels.bincount().tolist() == [4, 4]
    for split in (splits.reward, splits.test):
        assert [int(c > 100) for c in colours(split)] == split.labels.tolist()
    assert (splits.reward.images[:, 2] == 255).all()


def test_the_image_is_the_centre_after_the_shorter_side_is_resized(root: Path) -> None:
    stripes = np.zeros((16, 32, 3), np.uint8)
    stripes[:, 8:24] = 255  # a white square in the middle, black to its left and right
    file = root / "stripes.png"
    Image.fromarray(stripes).save(file)
    image = cache.Decoding(resize=16, size=16)(file)
    assert image.shape == (3, 16, 16)
    assert (image == 255).all()


def test_the_second_time_nothing_is_decoded(root: Path, monkeypatch) -> None:
    first = fresh(root)
    monkeypatch.setattr(cache, "_decode", None)
    again = fresh(root)
    assert again.reward is not first.reward
    assert again.reward.fingerprint == first.reward.fingerprint
    assert again.calibration.fingerprint == first.calibration.fingerprint


def test_the_second_time_no_content_is_hashed(root: Path, monkeypatch) -> None:
    first = fresh(root)

    class Untouched:
        def __getattr__(self, name: str):
            raise AssertionError(f"{name} is computed again")

    monkeypatch.setattr("amc_gym.tasks.split.hashlib", Untouched())
    monkeypatch.setattr(cache, "_checksum", None)
    again = fresh(root)
    for name in ("train", "calibration", "reward", "test"):
        one, other = getattr(first, name), getattr(again, name)
        assert one.fingerprint == other.fingerprint
        assert one.image_hashes == other.image_hashes


def test_hashes_in_a_damaged_card_are_not_believed(root: Path) -> None:
    fingerprint = fresh(root).test.fingerprint
    for file in cache_root().glob("*.json"):
        file.write_text(file.read_text().replace(fingerprint, "0" * 64))
    with pytest.warns(UserWarning, match="is damaged"):
        assert fresh(root).test.fingerprint == fingerprint


def test_files_are_listed_again_only_where_a_folder_has_changed(root: Path, monkeypatch) -> None:
    monkeypatch.setattr(listing, "MANY", 0)
    monkeypatch.setattr(listing, "SETTLED", 0)
    first = fresh(root)
    with monkeypatch.context() as patch:
        patch.setattr(listing, "_found", None)
        assert fresh(root).reward.fingerprint == first.reward.fingerprint
    Image.new("RGB", (9, 9), (7, 7, 7)).save(root / "val" / "cat" / "new.png")
    again = fresh(root)
    assert len(again.reward) + len(again.test) == 17


@pytest.mark.parametrize("empty", [False, True])
def test_classes_without_validation_images_are_no_harm(root: Path, empty: bool) -> None:
    for name in ("bat", "eel"):
        (root / "train" / name).mkdir()
        Image.new("RGB", (9, 9), (200, 7, len(name))).save(root / "train" / name / f"{name}.png")
        if empty:
            (root / "val" / name).mkdir()
    splits = fresh(root)
    assert splits.classes == 4
    assert set(splits.reward.labels.tolist()) == set(splits.test.labels.tolist()) == {1, 2}
    task = resolve("Plain20", dataset="folder?size=16", data_root=root, weights="random")
    assert task.model(task.example).shape == (1, 4)


def test_photographs_of_a_folder_need_no_labels(root: Path) -> None:
    found = photographs(root / "val", 8)
    assert not found.labelled
    assert sorted(colours(found)) == list(range(65, 141, 5))
    with pytest.raises(OSError, match="holds no images"):
        photographs(cache_root(), 8)


def test_a_changed_file_or_another_size_is_decoded_anew(root: Path) -> None:
    first = fresh(root)
    for file in (root / "val").rglob("*.png"):
        Image.new("RGB", (9, 9), (7, 7, 7)).save(file)
    assert set(colours(fresh(root).test)) == {7}
    assert fresh(root, "&resize=10").train.fingerprint == first.train.fingerprint
    assert len(list(cache_root().glob("*.npy"))) == 3 + 2 + 3


@pytest.mark.parametrize("what", ["npy", "json"])
def test_a_damaged_cache_is_noticed_and_made_again(root: Path, what: str) -> None:
    fingerprint = fresh(root).test.fingerprint
    for file in cache_root().glob(f"*.{what}"):
        content = bytearray(file.read_bytes())
        content[-1] ^= 1
        file.write_bytes(content)
    with pytest.warns(UserWarning, match="is damaged: its images are decoded again"):
        assert fresh(root).test.fingerprint == fingerprint
    assert fresh(root).test.fingerprint == fingerprint


def test_an_interrupted_decoding_leaves_nothing(root: Path, monkeypatch) -> None:
    def interrupted(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(cache, "_attempt", interrupted)
        with pytest.raises(KeyboardInterrupt):
            fresh(root)
    assert list(cache_root().iterdir()) == []
    assert len(fresh(root).reward) == 8


def test_unreadable_images_are_named_and_refused_or_skipped(root: Path) -> None:
    bad = root / "val" / "dog" / "3.png"
    bad.write_bytes(bad.read_bytes()[:40])
    for _ in range(2):  # the second time they come from the cache
        with pytest.raises(OSError, match=r"1 of 8 files.*dog/3\.png.*unreadable=skip"):
            fresh(root)
        with pytest.warns(UserWarning, match=r"left out 1 unreadable images: .*dog/3\.png"):
            splits = fresh(root, "&unreadable=skip")
        assert len(splits.reward) + len(splits.test) == 15
        for split in (splits.reward, splits.test):
            assert [int(c > 100) for c in colours(split)] == split.labels.tolist()
    assert {tuple(json.loads(f.read_text())["unreadable"]) for f in cache_root().glob("*n")}


def test_a_registered_network_takes_the_folders_classes(root: Path) -> None:
    task = resolve("Plain20", dataset="folder?size=16", data_root=root, weights="random")
    assert task.model(task.example).shape == (1, 2)
    assert dict(task.source)["dataset"] == "folder?size=16"
    made = Engine(engines.analysis(task), EngineOptions())
    assert made.evaluator(made.graph.full).images == 8


def test_reward_images_may_be_named(root: Path) -> None:
    splits = fresh(root, "&reward=13")
    assert (len(splits.reward), len(splits.test)) == (13, 3)
    assert sorted(splits.reward.labels.bincount().tolist()) == [6, 7]
    assert len(fresh(root, "&reward=0").reward) == 8
    with pytest.raises(ValueError, match=r"reward must be less than the 16 images of .*val.* 16"):
        fresh(root, "&reward=16")


def test_classes_without_validation_images_count_as_wrong_answers(root: Path) -> None:
    shutil.rmtree(root / "val" / "cat")
    splits = fresh(root)
    assert splits.classes == 2
    assert set(splits.reward.labels.tolist()) == {1}  # "dog" keeps its place behind "cat"
    task = resolve("Plain20", dataset="folder?size=16", data_root=root, weights="random")
    made = Engine(engines.analysis(task), EngineOptions())
    answers = task.model(task.reward.batch(slice(None))).argmax(1)
    assert made.evaluator(made.graph.full).score == pytest.approx(
        float((answers == 1).float().mean())
    )


def test_imagenette_has_all_training_images_and_a_thousand_reward_images(
    root: Path, monkeypatch
) -> None:
    root.rename(root.with_name("imagenette2-160"))
    monkeypatch.setattr(imagenette, "REWARD", 10)
    for name, size in (("imagenette", 160), ("imagenette96", 96)):
        splits = load(name, root.parent)
        assert [len(s) for s in (splits.train, splits.reward, splits.test)] == [12, 10, 6]
        assert splits.train.images.shape[1:] == (3, size, size)


def test_missing_folders_and_classes_are_named(root: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(OSError, match=r"empty.train must be a folder with one folder"):
        load("folder", tmp_path / "empty")
    with pytest.raises(ValueError, match=r"must have them, got 2"):
        imagenet(root)
    (root / "val" / "cow").mkdir()
    with pytest.raises(ValueError, match=r"classes that train lacks: \['cow'\]"):
        fresh(root)
    (root / "val" / "cow").rmdir()
    for file in (root / "val").rglob("*.png"):
        file.unlink()
    with pytest.raises(OSError, match="holds 0 images"):
        fresh(root)


def flattened(val: Path) -> dict[str, str]:
    """Move images out of their classes' folders; return the class of each file's name."""
    classes = {}
    for file in sorted(val.glob("*/*.png")):
        place = val / f"{file.parent.name}{file.name}"
        classes[place.name] = file.parent.name
        file.rename(place)
    for directory in ("cat", "dog"):
        (val / directory).rmdir()
    return classes


@pytest.mark.parametrize("style", ["names", "numbers", "csv"])
def test_a_flat_folder_is_refused_with_the_command_that_sorts_it(root: Path, style: str) -> None:
    before = fresh(root)
    val = root / "val"
    classes = flattened(val)
    with pytest.raises(OSError, match=r"python -m amc_gym\.zoo\.datasets\.sort .*val LOC_val"):
        fresh(root)
    labels = root / ("labels.csv" if style == "csv" else "labels.txt")
    lines = {
        "names": [f"{name} {label}" for name, label in classes.items()],
        "numbers": [f"{name} {['cat', 'dog'].index(label)}" for name, label in classes.items()],
        "csv": ["ImageId,PredictionString"]
        + [f"{Path(name).stem},{label} 1 2 3 4 " for name, label in classes.items()],
    }[style]
    labels.write_text("\n".join([lines[0], *lines[2:]]))
    if style != "csv":  # whose first line names the columns
        with pytest.raises(ValueError, match=r"no line for 'cat1\.png': nothing was moved"):
            sort(val, labels, root / "train")
    labels.write_text("\n".join(lines))
    assert sort(val, labels, root / "train") == len(classes) == 16
    after = fresh(root)
    for split in ("reward", "test"):
        assert sorted(colours(getattr(after, split))) == sorted(colours(getattr(before, split)))


def test_labels_of_unknown_classes_move_nothing(root: Path) -> None:
    classes = flattened(root / "val")
    labels = root / "labels.txt"
    labels.write_text("\n".join(f"{name} {label}" for name, label in classes.items()) + "\nx.png 2")
    with pytest.raises(ValueError, match="there is no class '2' among the 2 folders"):
        sort(root / "val", labels, root / "train")
    assert len(list((root / "val").glob("*.png"))) == 16
