"""Times of layers over (channels in, channels out) on a coarse grid, in a file that can be shared.

Between the points of the grid times are interpolated bilinearly.  They never decrease when a
channel is added: measured times are made monotone by least squares, so that the budget rule
(Algorithm 1) works for latency as it does for MACs.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import FailFast, Field

from amc_gym._utils import documents
from amc_gym._utils.documents import WHOLE, DocumentError, Name, Positive, Schema, Sha256
from amc_gym._utils.files import write_json
from amc_gym.compression.latency.layers import Geometry
from amc_gym.compression.latency.timing import LONGEST_NS, LatencyError

FORMAT = "amc-gym latency 1"

Nanoseconds = Annotated[int, Field(ge=-WHOLE, le=WHOLE)]
Channels = Annotated[list[Positive], FailFast(), Field(min_length=1, max_length=10_000)]


class GridSchema(Schema):
    """A ``Grid`` in a file; its times are checked later."""

    inputs: Channels
    outputs: Channels
    ns: Annotated[list[Annotated[list[Nanoseconds], FailFast()]], FailFast()]


class DeviceSchema(Schema):
    """A ``Device`` in a file."""

    name: Name
    runtime: Name
    version: Name
    threads: Positive
    batch: Positive


class TableSchema(Schema):
    """A table file; older ones have no ``block``."""

    format: Literal["amc-gym latency 1"]
    sha256: Sha256
    device: DeviceSchema
    overhead: Annotated[int, Field(ge=0, lt=LONGEST_NS)]
    grids: Annotated[dict[Name, GridSchema], Field(min_length=1)]
    portable: bool
    block: Positive = 1


@dataclass(frozen=True)
class Grid:
    """Times of one geometry.

    Attributes:
        inputs: channel counts, ascending, (I,).  Depthwise convolutions have one: (1,).
        outputs: channel counts, ascending, (O,).
        ns: nanoseconds, (I, O), non-decreasing along both axes.
    """

    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    ns: tuple[tuple[int, ...], ...]

    @classmethod
    def of(cls, inputs: tuple[int, ...], outputs: tuple[int, ...], ns: np.ndarray) -> Grid:
        """Make measured times monotone.

        Uses least squares along one axis and then the other: the second regression keeps the order
        that the first one made, because it never swaps two ordered rows.
        """
        from scipy.optimize import isotonic_regression  # slow to import

        for axis in (0, 1):
            ns = np.apply_along_axis(lambda line: isotonic_regression(line).x, axis, ns)
        rounded = np.maximum(1, np.rint(ns)).astype(np.int64)
        return cls(inputs, outputs, tuple(tuple(map(int, row)) for row in rounded))


@dataclass(frozen=True)
class Device:
    """Device that times belong to.

    Attributes:
        name: of the processor or GPU.
        runtime: a name in ``runtimes.RUNTIMES``.
        version: of the runtime's package.
        threads: number of threads of the runtime.
        batch: images at a time.
    """

    name: str
    runtime: str
    version: str
    threads: int
    batch: int

    def __str__(self) -> str:
        threads = f"{self.threads} thread{'s'[: self.threads > 1]}"
        return f"{self.name}, {self.runtime} {self.version}, {threads}, batch {self.batch}"


@dataclass(frozen=True)
class LatencyTable:
    """A device's times for the layers of one network.

    Attributes:
        device: the device that was measured.
        grids: geometry's key -> times.
        overhead: nanoseconds of a whole network outside of its layers.
        portable: whether it may be used on other machines, because it was written to be shared.
        block: channels that the device computes at once: a layer takes as long as one whose
            channels are rounded up to multiples of it.
    """

    device: Device
    grids: Mapping[str, Grid]
    overhead: int
    portable: bool = False
    block: int = 1

    @property
    def fingerprint(self) -> str:
        """sha256 of device and times."""
        return hashlib.sha256(_canonical(self._content()).encode()).hexdigest()

    def check(self, layers: Mapping[str, Geometry], widths: Mapping[str, tuple[int, int]]) -> None:
        """Refuse a network of which the table does not hold every layer.

        Args:
            layers: name -> geometry.
            widths: name -> channels in and out of the uncompressed network.

        Raises:
            LatencyError: it was measured for another network.
        """
        for name, geometry in layers.items():
            grid = self.grids.get(geometry.key)
            if grid is None:
                raise LatencyError(
                    f"the latency table is of another network: it has no times for layer {name!r}, "
                    f"{geometry.key}; it has {', '.join(list(self.grids)[:3])}, ..."
                )
            inputs, outputs = widths[name]
            if outputs > grid.outputs[-1] or (len(grid.inputs) > 1 and inputs > grid.inputs[-1]):
                raise LatencyError(
                    f"the latency table is of a narrower network: layer {name!r} has {inputs} "
                    f"inputs and {outputs} outputs, and its times end at {grid.inputs[-1]} and "
                    f"{grid.outputs[-1]}"
                )

    def save(self, path: Path) -> Path:
        """Write the table completely or not at all."""
        path.parent.mkdir(parents=True, exist_ok=True)
        content = {"format": FORMAT, "sha256": self.fingerprint, **self._content()}
        content["portable"] = self.portable
        return write_json(path, content)

    @classmethod
    def load(cls, path: Path, here: str | None = None) -> LatencyTable:
        """Read a table that ``save`` wrote.

        Args:
            path: the file.
            here: name of the device that it is to be used on; None skips this check.

        Raises:
            LatencyError: it is not such a table, was changed, has impossible times, or was measured
                on another device and not written to be shared.
            OSError: the file is missing.
        """
        try:
            content = documents.read(path)
            if isinstance(content, dict) and content.get("format") != FORMAT:
                raise LatencyError(f"{path} is not a latency table of the format {FORMAT!r}")
            said = documents.check(TableSchema, content)
        except DocumentError as error:
            raise LatencyError(f"{path} is not a latency table: {error}") from error
        claimed, portable = said.sha256, said.portable
        grids = {
            key: Grid(tuple(grid.inputs), tuple(grid.outputs), tuple(map(tuple, grid.ns)))
            for key, grid in said.grids.items()
        }
        device = Device(**said.device.model_dump())
        table = cls(device, grids, said.overhead, portable, said.block)
        if claimed != table.fingerprint:
            raise LatencyError(f"{path} was changed since it was written: measure it again")
        table._check_times(path)
        if here is not None and not portable and table.device.name != here:
            raise LatencyError(
                f"{path} was measured on {table.device.name!r}, and this is {here!r}: measure one "
                "here, or write it there with `amc-gym latency-table --out`, to be shared"
            )
        return table

    def _check_times(self, path: Path) -> None:
        for key, grid in self.grids.items():
            shaped = len(grid.ns) == len(grid.inputs) and all(
                len(row) == len(grid.outputs) for row in grid.ns
            )
            ascending = all(list(c) == sorted(set(c)) for c in (grid.inputs, grid.outputs))
            if not shaped or not ascending:
                raise LatencyError(f"{path}: the grid of {key!r} has no times for its channels")
            ns = np.array(grid.ns)
            if (ns <= 0).any() or (ns > LONGEST_NS).any():
                raise LatencyError(f"{path}: {key!r} has times of zero, below it, or of hours")
            if (np.diff(ns, axis=0) < 0).any() or (np.diff(ns, axis=1) < 0).any():
                raise LatencyError(f"{path}: times of {key!r} fall when channels are added")

    def _content(self) -> dict[str, Any]:
        grids = {key: asdict(grid) for key, grid in self.grids.items()}
        content = {"device": asdict(self.device), "overhead": self.overhead, "grids": grids}
        # Older tables, without blocks, keep their fingerprints, by which plans refer to them.
        return content if self.block == 1 else {**content, "block": self.block}


def _canonical(content: Mapping[str, Any]) -> str:
    return json.dumps(content, sort_keys=True, separators=(",", ":"))
