"""CSV files: a dataclass for each, whose fields are its columns; one way to write and to read.

Types say what a column may hold and how it is written: `Count`, `Percent` and so on; a float of
no such type has four decimals, a bool is yes or no, an empty cell is None. A row class may name
columns that a file can lack:

- `SPARSE`: with the text that each has in every row of a file that lacks it;
- `LATER`: always written, but not by earlier versions; the field's default stands for them.

A field that maps keys to texts has a column for each key, at its place among the others: in
alphabetical order, empty where the row has it not; or as the row class lists the possible keys in
`KEYS`, where all rows have the same.
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
"""Of one file; the wrong rows of a thousand runs take seven million."""
_MOST_SHOWN = 60
"""Characters of a value in a message."""


def number(expected: str, possible: Callable[[float], bool]) -> AfterValidator:
    """Refuse other numbers than those `expected`, in a message with these words."""

    def check(value: float) -> float:
        if not possible(value):
            raise ValueError(expected)
        return value

    return AfterValidator(check)


def written(text: Callable[[Any], str]) -> PlainSerializer:
    """Return how a column is written as text, in CSV alone."""

    def serialize(value: Any, info: SerializationInfo) -> Any:
        return text(value) if info.context is _IN_CSV else value

    return PlainSerializer(serialize)


_IN_CSV = object()
Exact = Annotated[float, written(repr)]
"""Written with all its digits."""
from_0 = number("a number of 0 or more", lambda value: 0 <= value < inf)
_percent = number("a number from 0 to 100", lambda value: 0 <= value <= 100)
_count = number("a number of 0 or more, up to 2^53", lambda value: 0 <= value <= 2**53)
Count = Annotated[int, _count]
"""So few that a float has it exactly."""
Percent = Annotated[float, _percent, written("{:.2f}".format)]
Level = Annotated[float, _percent, written("{:g}".format)]
"""A percentage that was set, with as many digits as it needs."""
Minutes = Annotated[float, from_0, written("{:.1f}".format)]
PValue = Annotated[
    float, number("a number from 0 to 1", lambda p: 0 <= p <= 1), written("{:.3g}".format)
]


class _Columns:
    """What a row class says of its file's columns."""

    def __init__(self, kind: Any) -> None:
        self.types: dict[str, Any] = get_type_hints(kind)
        self.names = [f.name for f in fields(kind)]
        self.sparse: Mapping[str, str] = getattr(kind, "SPARSE", {})
        self.optional = {*self.sparse, *getattr(kind, "LATER", ())}
        self.mapping = next((n for n in self.names if get_origin(self.types[n]) is Mapping), "")
        """The field that has a column for each key; empty where none has."""
        self.keys: Sequence[str] = getattr(kind, "KEYS", ())
        self.read = {name: _reader(name, self.types[name]) for name in self.names}
        self.adapter: TypeAdapter[Any] = TypeAdapter(kind)

    def without(self, lacking: Collection[str], keys: Iterable[str]) -> list[str]:
        """Return the columns of a file that lacks some, with the keys at their place."""
        names: list[str] = []
        for name in self.names:
            if name not in lacking:
                names += keys if name == self.mapping else [name]
        return names

    def keys_in(self, header: Sequence[str]) -> list[str]:
        """Return the columns that are keys of the mapping; ValueError where others are wrong."""
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
            which = f" ({some(other)} is none)" if other else ""
            raise ValueError(f"its columns are not those that dae writes{which}: {names}")
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
    """Write a CSV file whole or not at all; OutputError where that cannot be."""
    write_text(path, rows_to_csv(rows, kind), make_folder=make_folder)


def column_texts(row: Any) -> dict[str, str]:
    """Return the columns of a row as they stand in its file."""
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
    """Return the rows of a file; none where there is no such file.

    Raises RunFolderError where it is not as dae writes it; the message ends with the remedy.
    """
    try:
        with path.open("rb") as file:
            content = file.read(max_bytes + 1)
        if len(content) > max_bytes:
            raise RunFolderError(
                f"{path}: has more than {max_bytes} bytes, which dae never writes; {remedy}"
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
    """Return the rows of CSV text, called `where` in messages, which name line and column.

    Raises RunFolderError where it is not as dae writes it.
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
    """Return a row; ValueError names column, value and what it may be."""
    if len(record) != len(header):
        raise ValueError(f"{len(record)} values found, {len(header)} expected")
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
    """Return what turns the text of a column into a value."""
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
