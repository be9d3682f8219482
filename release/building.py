"""Wheels and source archive of a version, checked for their size and metadata."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
WEIGHTS = Path(__file__).with_name("weights")

LARGEST = 12 * 10**6
"""Most bytes of the package's wheel; larger weights go into the wheel of weights."""


def build(out: Path) -> list[Path]:
    """Build wheel and source archive of the package, and the wheel of weights.

    Args:
        out: folder of the files.

    Returns:
        The files.

    Raises:
        subprocess.CalledProcessError: a build fails, or PyPI would not accept the result.
        ValueError: the wheel is too large.
    """
    _python("build", "--outdir", str(out), str(ROOT))  # builds the wheel from the archive
    _python("build", "--wheel", "--outdir", str(out), str(WEIGHTS))
    files = sorted(path for path in out.iterdir() if path.suffix in (".whl", ".gz"))
    _python("twine", "check", "--strict", *map(str, files))
    for wheel in out.glob("amc_gym-*.whl"):
        if (size := wheel.stat().st_size) > LARGEST:
            raise ValueError(
                f"{wheel.name} has {size:,} bytes, more than {LARGEST:,}: move weights to "
                f"{WEIGHTS.relative_to(ROOT)}"
            )
    return files


def _python(module: str, *arguments: str) -> None:
    subprocess.run([sys.executable, "-m", module, *arguments], check=True)
