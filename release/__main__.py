"""The command line: ``python -m release``, or ``make release``."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import tyro

from release import building, model_cards


def release(out: Path = Path("runs/release")) -> None:
    """Build wheels and source archive, write model cards, and list all files with checksums.

    Args:
        out: a folder that does not exist yet.
    """
    if out.exists():
        sys.exit(f"release: {out} exists: remove it, or choose another with --out")
    out.mkdir(parents=True)
    building.build(out)
    model_cards.write(out / "models")
    files = sorted(path for path in out.rglob("*") if path.is_file())
    sums = [
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(out)}"
        for path in files
    ]
    (out / "SHA256SUMS").write_text("\n".join(sums) + "\n", "utf-8")
    for path in files:
        print(f"{path.stat().st_size:>12,}  {path}")


if __name__ == "__main__":
    tyro.cli(release)
