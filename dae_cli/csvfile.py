"""Write and read CSV files; the columns of a file are the fields of a dataclass.

Types such as `Count` and `Percent` define the values and the format of a column. Other floats have
four decimals, a bool is yes or no, an empty cell is None. Row classes may list optional columns:

- `SPARSE`: columns left out if every row has the given text;
- `LATER`: columns that earlier versions did not write; a missing one has the field's default.

A field that maps keys to texts has one column per key, at its place among the others. The columns
are in alphabetical order and empty if a row lacks the key. If the row class lists the possible keys
in `KEYS`, they are in that order and all rows have the same.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import fields
from functools import cache
from math import inf
from pathlib import Path
from types import NoneType
from typing import Annotated, Any, TypeVar, get_args, get_origin, get_type_hints

from pydantic import (
    AfterValidator,
    PlainSerializer,
    SerializationInfo,
    TypeAdapter,
    ValidationError,
)

from dae_cli.errors import RunFolderError, some
from dae_cli.files import write_text

Row = TypeVar("Row")

MAX_BYTES = 100_000_000
"""Largest file to read; the wrong rows of a thousand runs take seven million bytes."""
_MOST_SHOWN = 60
"""Characters of a value that a message shows."""


def number(expected: str, possible: Callable[[float], bool]) -> AfterValidator:
    """Return a validator that raises ValueError(expected) if a number is not possible."""

    def check(value: float) -> float:
        if not possible(value):
            raise ValueError(expected)
        return value

    return AfterValidator(check)


def written(text: Callable[[Any], str]) -> PlainSerializer:
    """Return a serializer that formats a column in CSV files only."""

    def serialize(value: Any, info: SerializationInfo) -> Any:
        return text(value) if info.context is _IN_CSV else value

    return PlainSerializer(serialize)


_IN_CSV = object()
Exact = Annotated[float, written(repr)]
"""A float written with all digits."""
from_0 = number("a number of 0 or more", lambda value: 0 <= value < inf)
_percent = number("a number from 0 to 100", lambda value: 0 <= value <= 100)
_count = number("a number of 0 or more, up to 2^53", lambda value: 0 <= value <= 2**53)
Count = Annotated[int, _count]
"""A count that a float can represent exactly."""
Percent = Annotated[float, _percent, written("{:.2f}".format)]
Level = Annotated[float, _percent, written("{:g}".format)]
"""A percentage from the settings, written with as many digits as it needs."""
Minutes = Annotated[float, from_0, written("{:.1f}".format)]
PValue = Annotated[
    float, number("a number from 0 to 1", lambda p: 0 <= p <= 1), written("{:.3g}".format)
]


class _Columns:
    """The columns that a row class defines."""

    def __init__(self, kind: Any) -> None:
        self.types: dict[str, Any] = get_type_hints(kind)
        self.names = [f.name for f in fields(kind)]
        self.sparse: Mapping[str, str] = getattr(kind, "SPARSE", {})
        self.optional = {*self.sparse, *getattr(kind, "LATER", ())}
        self.mapping = next((n for n in self.names if get_origin(self.types[n]) is Mapping), "")
        """Name of the field with a column for each key, if any."""
        self.keys: Sequence[str] = getattr(kind, "KEYS", ())
        self.read = {name: _reader(name, self.types[name]) for name in self.names}
        self.adapter: TypeAdapter[Any] = TypeAdapter(kind)

    def without(self, lacking: Collection[str], keys: Iterable[str]) -> list[str]:
        """Return the columns of a file without some, with the keys at their place."""
        names: list[str] = []
        for name in self.names:
            if name not in lacking:
                names += keys if name == self.mapping else [name]
        return names

    def keys_in(self, header: Sequence[str]) -> list[str]:
        """Return the columns that are keys of the mapping; raise ValueError if others are wrong."""
        lacking = self.optional.difference(header)
        keys: list[str] = []
        if self.mapping:
            first = self.without(lacking, [self.mapping]).index(self.mapping)
            keys = list(header[first : first + 1 + len(header) - len(self.names) + len(lacking)])
        known = self.in_order(set(self.keys).intersection(keys)) if self.keys else keys
        if list(header) != self.without(lacking, known) or len(set(header)) < len(header):
            such = [f"settings such as {self.keys[0]}"] if self.keys else []
            names = ", ".join(self.without(lacking, such))
            other = [name for name in keys if name not in (*known, *self.names)]
            which = f" ({some(other)} is unknown)" if other else ""
            raise ValueError(f"wrong columns{which}; expected {names}")
        return keys

    def in_order(self, keys: Iterable[str]) -> list[str]:
        """Return keys of the mapping in the order of their columns."""
        return sorted(keys, key=self.keys.index if self.keys else None)


@cache
def _columns(kind: Any) -> _Columns:
    return _Columns(kind)


def csv_text(lines: Iterable[Iterable[object]]) -> str:
    """Return CSV text; lines end with a line feed on every system."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(lines)
    return text.getvalue()


def rows_to_csv(rows: Sequence[Any], kind: Any, without: Collection[str] = ()) -> str:
    """Return rows of a kind as CSV text with a header, leaving out the columns `without`."""
    columns, lines = _columns(kind), [column_texts(row) for row in rows]
    keys = columns.in_order({name for line in lines for name in line}.difference(columns.names))
    needless = {n for n, text in columns.sparse.items() if all(line[n] == text for line in lines)}
    names = columns.without(needless.union(without), keys)
    return csv_text([names, *([line.get(name, "") for name in names] for line in lines)])


def write_rows(path: Path, rows: Sequence[Any], kind: Any, *, make_folder: bool = True) -> None:
    """Write a CSV file atomically; raise OutputError if that fails."""
    write_text(path, rows_to_csv(rows, kind), make_folder=make_folder)


def column_texts(row: Any) -> dict[str, str]:
    """Return the texts of a row by column, as in its file."""
    texts: dict[str, str] = {}
    kind: Any = type(row)
    for name, value in _columns(kind).adapter.dump_python(row, context=_IN_CSV).items():
        texts |= value if isinstance(value, dict) else {name: _text(value)}
    return texts


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.4f}" if isinstance(value, float) else str(value)


def read_rows(
    path: Path, kind: type[Row], max_bytes: int = MAX_BYTES, remedy: str = "move the file away"
) -> list[Row]:
    """Return the rows of a file; an empty list if there is no file.

    Raises RunFolderError, with the remedy, if the file is invalid.
    """
    try:
        with path.open("rb") as file:
            content = file.read(max_bytes + 1)
        if len(content) > max_bytes:
            raise RunFolderError(
                f"{path}: has more than {max_bytes} bytes, the most that dae writes; {remedy}"
            )
        text = content.decode("utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return []
    except (OSError, UnicodeDecodeError) as error:
        raise RunFolderError(f"{path}: cannot be read ({error}); {remedy}") from error
    return parse_rows(text, str(path), kind, remedy)


def parse_rows(
    text: str, where: str, kind: type[Row], remedy: str = "move the file away"
) -> list[Row]:
    """Return the rows of CSV text.

    Raises RunFolderError with `where`, line and column if the text is invalid.
    """
    row_class: Any = kind
    columns = _columns(row_class)
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = next(reader, [])
        keys = columns.keys_in(header)
        return [_row(kind, columns, header, keys, record) for record in reader]
    except (ValueError, csv.Error) as error:
        line = max(1, reader.line_num)
        raise RunFolderError(f"{where}:{line}: {error}; {remedy}") from error


def _row(
    kind: Any,
    columns: _Columns,
    header: Sequence[str],
    keys: Collection[str],
    record: Sequence[str],
) -> Any:
    """Return a row; raise ValueError with column, value and the expected values."""
    if len(record) != len(header):
        raise ValueError(f"found {len(record)} values, expected {len(header)}")
    texts = {**columns.sparse, **dict(zip(header, record, strict=True))}
    values = {n: columns.read[n](text) for n, text in texts.items() if n not in keys}
    if columns.mapping:
        every = bool(columns.keys)
        values[columns.mapping] = {key: texts[key] for key in keys if every or texts[key]}
    try:
        return kind(**values)
    except ValidationError as error:
        detail = error.errors(include_url=False)[0]
    name, expected = str(detail["loc"][0]), detail["msg"]
    if detail["type"] == "literal_error":
        options = get_args(columns.types[name])
        expected = ", ".join(str(option) or "nothing" for option in options)
    elif detail["type"] == "value_error":
        expected = str(detail["ctx"]["error"])
    raise ValueError(_misfit(name, texts.get(name, detail["input"]), expected))


_READ: dict[Any, Callable[[str], Any]] = {
    bool: {"yes": True, "no": False}.__getitem__,
    int: int,
    float: float,
}
_EXPECTED = {bool: "yes or no", int: "a number", float: "a number"}


def _reader(name: str, hint: Any) -> Callable[[str], Any]:
    """Return a function that converts the text of a column."""
    options = get_args(hint) if NoneType in get_args(hint) else (hint,)
    convert = _READ.get(options[0], str)

    def read(text: str) -> Any:
        if text == "" and NoneType in options:
            return None
        try:
            return convert(text)
        except (KeyError, ValueError):
            raise ValueError(_misfit(name, text, _EXPECTED[options[0]])) from None

    return read


def _misfit(name: str, value: object, expected: str) -> str:
    shown = repr(value)
    shown = shown if len(shown) <= _MOST_SHOWN else f"{shown[:_MOST_SHOWN]}…"
    return f"{name} is {shown}, expected {expected}"
