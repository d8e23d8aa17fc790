"""`--fail-if CONDITION`: results that a script or a CI job counts as a failure."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, fields
from math import isfinite
from typing import Annotated, Any, Literal, get_args, get_type_hints

import typer

from dae_cli.commands.help import OUTPUT
from dae_cli.commands.tables import row_facts, setting_value, setting_values
from dae_cli.errors import did_you_mean
from dae_cli.study.paper import Verdict
from dae_cli.study.rows import SETTING_COLUMNS, RunRow, TableRow

FailIf = Annotated[
    list[str] | None,
    typer.Option(
        "--fail-if",
        metavar="CONDITION",
        help="Exit with code 1 if a result meets this condition, such as verdict=worse or "
        "'test_error_percent>20', and with code 2 if no result has a value for it; repeatable.",
        rich_help_panel=OUTPUT,
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
_CONDITION = re.compile(rf"\s*([\w.]+)\s*({'|'.join(_OPERATORS)})\s*(.*?)\s*")
_VERDICTS = Literal[Verdict, "failed"]
_OFTEN_EMPTY = ("error", "remark", "trust")
"""Columns that are empty if all is well, so conditions on them can be checked without values."""
Facts = Mapping[str, Any]
"""A row's values by column."""


@dataclass(frozen=True)
class Condition:
    """A column, an operator, and a number, or a text for = and !=."""

    text: str
    column: str
    sign: str
    value: float | str

    def is_met_by(self, row: Facts) -> bool:
        """Return whether a row meets the condition; an empty field meets none."""
        value = row[self.column]
        if value in (None, ""):
            return False
        here = value if isinstance(self.value, float) else str(value)
        return _OPERATORS[self.sign](here, self.value)


def conditions(
    texts: Sequence[str],
    kind: type[RunRow] | type[TableRow],
    settings: Iterable[Mapping[str, str]] = (),
) -> list[Condition]:
    """Parse conditions on the columns of a table; raise BadParameter for anything else.

    Args:
        settings: each cell's settings that are columns, too.
    """
    types = get_type_hints(kind) | {"verdict": _VERDICTS}
    columns = {one.name: types[one.name] for one in fields(kind) if one.name != "settings"}
    for own in settings:
        for key, value in setting_values(own).items():
            is_number = isinstance(value, int | float) and not isinstance(value, bool)
            columns[key] = float if is_number or (value is None and key in columns) else str
    return conditions_on(columns, texts)


def conditions_on(columns: Mapping[str, Any], texts: Sequence[str]) -> list[Condition]:
    """Parse conditions on columns, given with their types; see `conditions`."""
    return [_condition(text, columns) for text in texts]


def _condition(text: str, columns: Mapping[str, Any]) -> Condition:
    def wrong(problem: str) -> typer.BadParameter:
        return typer.BadParameter(f"{text!r}: {problem}", param_hint="--fail-if")

    if not (match := _CONDITION.fullmatch(text)):
        raise wrong("expected COLUMN, an operator (= != < > <= >=) and a value")
    column, sign, value = match.groups()
    if column not in columns:
        near = did_you_mean(column, columns) or f"; the columns are {', '.join(columns)}"
        raise wrong(f"there is no column {column}{near}")
    if {columns[column], *get_args(columns[column])} & {int, float}:
        with suppress(ValueError):
            if isfinite(number := float(value)):
                return Condition(text, column, sign, number)
        raise wrong(f"{column} is a number; expected a number after {sign}")
    if sign not in ("=", "!="):
        raise wrong(f"{column} is text; expected the operator = or !=")
    values = [one for one in get_args(columns[column]) if isinstance(one, str)]
    if column in ("verdict", "outcome") and value not in values:
        near = did_you_mean(value, values) or f"; the {column}s are {', '.join(values)}"
        raise wrong(f"there is no {column} {value!r}{near}")
    if column in SETTING_COLUMNS:
        value = str(setting_value(value))
    return Condition(text, column, sign, value)


def fail_where(asked: Sequence[Condition], rows: Iterable[RunRow | TableRow]) -> int:
    """Check conditions on rows of runs.csv or table.csv; see `failed_conditions`."""
    return failed_conditions(asked, [(row.cell, row_facts(row)) for row in rows])


def failed_conditions(asked: Sequence[Condition], rows: Sequence[tuple[str, Facts]]) -> int:
    """Print each named row that meets a condition, and return the exit code.

    It is 1 if a row meets a condition, else 2 if a condition cannot be checked because no row has
    a value, such as a verdict on own data.
    """
    code, lines = 0, list[str]()
    for condition in asked:
        column, text = condition.column, f"--fail-if {condition.text}"
        empty = all(row[column] in (None, "") for _, row in rows)
        if rows and empty and column not in _OFTEN_EMPTY:
            lines.append(f"{text}: no row has a value for {column}; use another column")
            code = code or 2
        met = [(name, row[column]) for name, row in rows if condition.is_met_by(row)]
        lines += [f"{text}: {name} has {value}" for name, value in met]
        code = 1 if met else code
    typer.echo("".join(f"{line}\n" for line in dict.fromkeys(lines)), err=True, nl=False)
    return code
