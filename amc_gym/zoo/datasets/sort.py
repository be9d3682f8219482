"""Sort a flat folder of images into one folder per class: ``... sort FOLDER LABELS``.

ILSVRC distributes its validation images in one folder, with a file of their classes.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from pathlib import Path

NUMBER = re.compile(r"\d+")


def main(images: Path, labels: Path, /, train: Path | None = None) -> None:
    """Move each image of a flat folder into the folder of its class, within the same folder.

    Args:
        images: the flat folder, such as "imagenet/val".
        labels: file with one line for each image: its name or stem, then its class. As in
            LOC_val_solution.csv from Kaggle, or "ILSVRC2012_val_00000001.JPEG 65" from Caffe.
            A number is an index into the sorted folders of train.
        train: folder whose folders are the classes; by default "train" beside the images.
    """
    try:
        count = sort(images, labels, images.parent / "train" if train is None else train)
    except (OSError, ValueError) as error:
        raise SystemExit(f"error: {error}") from None
    print(f"{count:,} images in {images} are in the folders of their classes")


def sort(images: Path, labels: Path, train: Path) -> int:
    """Move images to the folders of their classes, or none if an image has no label.

    Returns:
        Number of moved images.

    Raises:
        OSError: a folder or file is missing.
        ValueError: a line cannot be read, a class is not among train's, an image has no label, or
            its class's folder already has a file of its name.
    """
    classes = sorted(each.name for each in train.iterdir() if each.is_dir())
    wanted = dict(_labels(labels, classes))
    found = sorted(each for each in images.iterdir() if each.is_file())
    moves = {}
    for file in found:
        label = wanted.get(file.name, wanted.get(file.stem))
        if label is None:
            raise ValueError(f"{labels} has no line for {file.name!r}: nothing was moved")
        moves[file] = images / label / file.name
        if moves[file].exists():
            raise ValueError(f"{moves[file]} already exists: nothing was moved")
    for file, place in moves.items():
        place.parent.mkdir(exist_ok=True)
        file.rename(place)
    return len(moves)


def _labels(path: Path, classes: list[str]) -> Iterator[tuple[str, str]]:
    """Yield the name of each image, with or without suffix, and its class."""
    known = set(classes)
    with path.open(newline="", encoding="utf-8") as file:
        rows = csv.reader(file) if path.suffix == ".csv" else (line.split() for line in file)
        for number, row in enumerate(rows, 1):
            if not row or row[0] == "ImageId":
                continue
            if len(row) < 2 or not row[1].split():
                raise ValueError(
                    f"{path}, line {number}: each line must be an image's name and its class, as "
                    f"in 'ILSVRC2012_val_00000001.JPEG 65' or LOC_val_solution.csv, not {row}"
                )
            label = row[1].split()[0]  # in Kaggle's file boxes follow
            if label not in known and NUMBER.fullmatch(label) and int(label) < len(classes):
                label = classes[int(label)]
            if label not in known:
                raise ValueError(
                    f"{path}, line {number}: there is no class {label!r} among the {len(classes)} "
                    "folders of train"
                )
            yield row[0], label


if __name__ == "__main__":
    import tyro

    tyro.cli(main)
