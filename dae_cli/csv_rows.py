"""CSV files of dataclass rows: written alike everywhere, read as strictly as they were written."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Sequence
from math import inf
from pathlib import Path
from types import NoneType
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from dae_cli.errors import RunFolderError

Row = TypeVar("Row")

MAX_BYTES = 100_000_000
"""Of one file; the wrong rows of a thousand runs take seven million."""

_SHARES = ("_percent", "half_width_95")
"""Ends of the names of columns that are in percent of something."""


def csv_text(lines: Iterable[Iterable[object]]) -> str:
    """Return CSV text; lines end with a line feed on every system."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(lines)
    return text.getvalue()


def yes_or_no(value: bool) -> str:
    """Return a truth value as it stands in the files."""
    return "yes" if value else "no"


def text_of(path: Path, max_bytes: int = MAX_BYTES, remedy: str = "move it away") -> str:
    """Read a CSV file whole.

    Raises:
        FileNotFoundError: there is none; what that means is for the caller to say.
        RunFolderError: it cannot be read, is no text, or has more than `max_bytes`.
    """
    try:
        with path.open("rb") as file:
            content = file.read(max_bytes + 1)
        if len(content) > max_bytes:
            raise RunFolderError(
                f"{path}: has more than {max_bytes} bytes, which dae never writes; {remedy}"
            )
        return content.decode("utf-8")
    except FileNotFoundError:
        raise
    except (OSError, UnicodeDecodeError) as error:
        raise RunFolderError(f"{path}: cannot be read ({error}); {remedy}") from error


def parse_rows(
    text: str,
    where: str,
    columns: Callable[[Sequence[str]], Sequence[str]],
    make: Callable[[dict[str, str]], Row],
    remedy: str = "move the file away",
) -> list[Row]:
    """Return the rows below the header.

    Args:
        text: of the file.
        where: its name in messages.
        columns: given those of the file, returns those that dae would have written; may raise
            ValueError where these are others.
        make: turns the texts of a line, by column, into a row; raises ValueError where it cannot.
        remedy: ends the message of an error.

    Raises:
        RunFolderError: the columns or a value are not as dae writes them.
    """
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = next(reader, [])
        if header != list(columns(header)):
            raise ValueError("its columns are not those that dae writes")
        return [make(_by_column(header, record)) for record in reader]
    except (ValueError, csv.Error) as error:
        line = max(1, reader.line_num)
        raise RunFolderError(f"{where}:{line}: {error}; {remedy}") from error


def rows_in(path: Path, kind: type[Row]) -> list[Row]:
    """Return the rows of a file that has a column for each field of a dataclass; none without it.

    Raises:
        RunFolderError: it cannot be read, or is not as dae writes it.
    """
    types = get_type_hints(kind)
    try:
        text = text_of(path)
    except FileNotFoundError:
        return []
    return parse_rows(
        text, str(path), lambda _: list(types), lambda found: kind(**values_of(types, found))
    )


def _by_column(header: Sequence[str], record: Sequence[str]) -> dict[str, str]:
    if len(record) != len(header):
        raise ValueError(f"{len(record)} values found, {len(header)} expected")
    return dict(zip(header, record, strict=True))


def values_of(types: dict[str, Any], found: dict[str, str]) -> dict[str, Any]:
    """Return the values of texts by column, for the fields of a dataclass.

    Raises:
        ValueError: a text is not of its field's type; the message names the column.
    """
    return {name: _value(name, types[name], text) for name, text in found.items()}


def _value(name: str, kind: Any, text: str) -> Any:
    options = get_args(kind) if NoneType in get_args(kind) else (kind,)
    if text == "" and NoneType in options:
        return None
    if get_origin(kind) is Literal and text not in get_args(kind):
        expected = ", ".join(str(option) or "nothing" for option in get_args(kind))
        raise ValueError(f"{name} is {text[:40]!r}, expected {expected}")
    if options[0] is bool:
        if text not in ("yes", "no"):
            raise ValueError(f"{name} is {text[:40]!r}, expected yes or no")
        return text == "yes"
    if options[0] not in (int, float):
        return text
    try:
        return options[0](text)
    except ValueError:
        raise ValueError(f"{name} is {text[:40]!r}, expected a number") from None


def require_possible(values: dict[str, Any]) -> None:
    """Make sure that every number is one that could have been written.

    Raises:
        ValueError: one is not; the message names the column.
    """
    for name, value in values.items():
        if not isinstance(value, int | float):
            continue
        most = 100.0 if name.endswith(_SHARES) else inf
        if not 0 <= value <= most or value == inf:
            range_ = "from 0 to 100" if most == 100.0 else "of 0 or more"
            raise ValueError(f"{name} is {value}, expected a number {range_}")
