"""`--fail-if CONDITION`: results that a script or a CI job counts as a failure."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, fields
from math import isfinite
from typing import Annotated, Any, get_args

import typer

from dae_cli.commands.tables import row_facts
from dae_cli.errors import did_you_mean
from dae_cli.study.paper import Verdict
from dae_cli.study.rows import RunRow, TableRow

FailIf = Annotated[
    list[str] | None,
    typer.Option(
        "--fail-if",
        metavar="CONDITION",
        help="Exit code 1 where a result is so, such as verdict=worse or "
        "'test_error_percent>20'; repeatable.",
        show_default=False,
    ),
]
_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "!=": operator.ne,
    "=": operator.eq,
    "<": operator.lt,
    ">": operator.gt,
}
VERDICTS = (*get_args(Verdict), "failed")
_CONDITION = re.compile(r"\s*(\w+)\s*(<=|>=|!=|=|<|>)\s*(.*?)\s*")


@dataclass(frozen=True)
class Condition:
    """A column, how it is compared, and with what: a number, or a text for = and !=."""

    column: str
    sign: str
    value: float | str

    def holds(self, row: RunRow | TableRow) -> bool:
        """Whether a row is so; an empty field is equal to nothing."""
        value = row_facts(row)[self.column]
        if value in (None, ""):
            return False
        here = value if isinstance(self.value, float) else str(value)
        return _OPERATORS[self.sign](here, self.value)

    def __str__(self) -> str:
        value = f"{self.value:g}" if isinstance(self.value, float) else self.value
        return f"{self.column}{self.sign}{value}"


def conditions(texts: Sequence[str], kind: type[RunRow] | type[TableRow]) -> list[Condition]:
    """Read conditions on the columns of a table; BadParameter for anything else."""
    return [
        _condition(text, {field.name: str(field.type) for field in fields(kind)}) for text in texts
    ]


def _condition(text: str, columns: dict[str, str]) -> Condition:
    if not (match := _CONDITION.fullmatch(text)):
        raise _wrong(
            f"{text!r} is no condition; expected COLUMN, one of = != < > <= >=, and a value"
        )
    column, sign, value = match.groups()
    if column not in columns:
        near = did_you_mean(column, columns) or f"; the columns are {', '.join(columns)}"
        raise _wrong(f"{text!r}: there is no column {column}{near}")
    if "str" not in columns[column].replace("|", " ").split() and "Trust" not in columns[column]:
        with suppress(ValueError):
            if isfinite(number := float(value)):
                return Condition(column, sign, number)
        raise _wrong(f"{text!r}: {column} is a number; expected one after {sign}")
    if sign not in ("=", "!="):
        raise _wrong(f"{text!r}: {column} is a text; expected = or != before it")
    if column == "verdict" and value not in VERDICTS:
        near = did_you_mean(value, VERDICTS) or f"; they are {', '.join(VERDICTS)}"
        raise _wrong(f"{text!r}: there is no verdict {value!r}{near}")
    return Condition(column, sign, value)


def _wrong(message: str) -> typer.BadParameter:
    return typer.BadParameter(message, param_hint="--fail-if")


def fail(lines: Sequence[str]) -> None:
    """Print what failed and end with exit code 1; nothing where there is nothing."""
    if lines:
        typer.echo("\n".join(lines), err=True)
        raise typer.Exit(1)


def failures(asked: Sequence[Condition], rows: Iterable[RunRow] | Iterable[TableRow]) -> list[str]:
    """A line for each condition that holds of a row."""
    return [
        f"--fail-if {condition}: {row.cell} has {row_facts(row)[condition.column]}"
        for condition in asked
        for row in rows
        if condition.holds(row)
    ]
