"""The files of this wheel: the weights beside the code that the package's own wheel leaves out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

ROOT = Path(__file__).parents[2]


class Weights(BuildHookInterface[Any]):
    """Take every file of weights but the digits', which the package's own wheel holds."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Name the files and their places in the wheel."""
        zoo = ROOT / "amc_gym" / "zoo"
        for path in (*zoo.glob("weights/*.safetensors"), *zoo.glob("small/trained/*.safetensors")):
            if not path.stem.endswith("-digits"):
                build_data["force_include"][str(path)] = path.relative_to(ROOT).as_posix()
