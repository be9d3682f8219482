"""JSON from untrusted sources: limited in size, strict, and checked by a schema.

Plans, records, latency tables, descriptions of exports, cards and submissions are all read here.
None of them is code, and nothing is unpickled.
"""

from __future__ import annotations

import hashlib
import json
import math
import reprlib
import stat
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, NoReturn, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from amc_gym._utils.names import printable

LARGEST = 8 * 2**20
"""Most bytes of a file; a plan of ResNet-50 has less than one MiB."""

MOST_NAMES = 100_000
"""Most names in one object; a network has some thousand layers."""

WHOLE = 2**53
"""Largest count: integers up to here are exact in every JSON reader."""


class DocumentError(ValueError):
    """Raised for a file or text that is not what it should be; the message is one line."""


def _one_line(text: str) -> str:
    if not text.isprintable() or not text.strip():
        raise ValueError("should be one line of printable text")
    return text


Name = Annotated[str, Field(min_length=1, max_length=500), AfterValidator(_one_line)]
"""Text of one line that is not empty."""

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Natural = Annotated[int, Field(ge=0, le=WHOLE)]
Positive = Annotated[int, Field(ge=1, le=WHOLE)]
Share = Annotated[float, Field(ge=0, le=1)]
Accuracy = Share
Seconds = Annotated[float, Field(ge=0)]


class Schema(BaseModel):
    """Schema of a JSON object: exactly these names and types, with finite numbers."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False, frozen=True)


S = TypeVar("S", bound=Schema)


def read(path: Path, largest: int = LARGEST) -> Any:
    """Return the content of a JSON file.

    Args:
        path: the file.
        largest: most bytes of the file.

    Raises:
        DocumentError: it is too large, not a regular file, or not strict JSON; see ``parse``.
        OSError: it is missing or cannot be read.
    """
    return parse(read_bytes(path, largest))


def read_text(path: Path, largest: int = LARGEST) -> str:
    """Return the text of a regular file in UTF-8 of at most ``largest`` bytes.

    Raises:
        DocumentError: as ``read_bytes``, or it is not text.
        OSError: it is missing or cannot be read.
    """
    try:
        return read_bytes(path, largest).decode("utf-8")
    except UnicodeDecodeError:
        raise DocumentError("it is not text in UTF-8") from None


def read_bytes(path: Path, largest: int = LARGEST) -> bytes:
    """Return the content of a regular file of at most ``largest`` bytes.

    Raises:
        DocumentError: it is larger, or it is a folder, a device or a pipe, which may never end.
        OSError: it is missing or cannot be read.
    """
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise DocumentError("it is not a regular file")
    with path.open("rb") as file:
        content = file.read(largest + 1) if status.st_size <= largest else b""
    if status.st_size > largest or len(content) > largest:
        raise DocumentError(f"it has more than {largest:,} bytes")
    return content


def checksum(content: Any) -> str:
    """Return the SHA-256 of a document's content, independent of the order of names."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def parse(text: str | bytes) -> Any:
    """Parse JSON text by the standard: no NaN, and each name once in an object.

    Raises:
        DocumentError: the text is not such JSON, or nested too deeply.
    """
    try:
        return json.loads(
            text if isinstance(text, str) else text.decode("utf-8"),
            object_pairs_hook=_table,
            parse_float=_finite,
            parse_constant=_refuse_constant,
        )
    except RecursionError:
        raise DocumentError("not JSON: it is nested too deeply") from None
    except UnicodeDecodeError:
        raise DocumentError("not JSON: it is not text in UTF-8") from None
    except DocumentError:
        raise
    except ValueError as error:
        raise DocumentError(f"not JSON: {error}") from None


def check(schema: type[S], content: Any) -> S:
    """Return the content after checking it against a schema.

    Raises:
        DocumentError: it does not fit; the message names the first place.
    """
    if not isinstance(content, Mapping):
        raise DocumentError(f"it should be a table, not {_short(content)}")
    try:
        return schema.model_validate(content)
    except ValidationError as error:
        problems = error.errors(include_url=False, include_context=False)
    where = printable(" ".join(map(str, _path(problems[0]["loc"]))), 200)
    more = f", and {len(problems) - 1} more" if len(problems) > 1 else ""
    raise DocumentError(f"its {where} {_said(problems[0])}{more}")


TYPES = {
    "int_type": "a whole number",
    "float_type": "a number",
    "string_type": "a text",
    "bool_type": "true or false",
    "list_type": "a list",
    "dict_type": "a table",
    "model_type": "a table",
}
"""pydantic's kind of error -> what the value should be."""


def _path(loc: Sequence[str | int]) -> Iterator[str | int]:
    """Yield the names and indices of a location, without pydantic's names of alternatives."""
    for part in loc:
        text = str(part)
        if not text.startswith(("[key]", "constrained-", "list[", "dict[", "function-")):
            yield part


def _said(problem: Mapping[str, Any]) -> str:
    if problem["type"] == "missing":
        return "is missing"
    if problem["type"] == "extra_forbidden":
        return "is unknown"
    text = f"should be {TYPES[problem['type']]}" if problem["type"] in TYPES else problem["msg"]
    for words in ("Value error, ", "Input ", "String "):
        text = text.removeprefix(words)
    return printable(f"{text}, not {_short(problem['input'])}", 500)


def _short(value: Any) -> str:
    return printable(reprlib.repr(value), 100)


def _table(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(pairs) > MOST_NAMES:
        raise DocumentError(f"a table of it has more than {MOST_NAMES:,} names")
    table = dict(pairs)
    if len(table) < len(pairs):
        twice = Counter(name for name, _ in pairs).most_common(1)[0][0]
        raise DocumentError(f"not JSON: {printable(twice, 100)!r} stands twice in a table")
    return table


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise DocumentError(f"not JSON: {text[:40]} is too large a number")
    return value


def _refuse_constant(text: str) -> NoReturn:
    raise DocumentError(f"not JSON: {text} is not a number")
