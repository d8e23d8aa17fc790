"""`--fail-if CONDITION`: results that a script or a CI job counts as a failure."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, fields
from math import isfinite
from typing import Annotated, Any, get_args, get_type_hints

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
        "'test_error_percent>20'; repeatable.",
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
_VERDICTS = (*get_args(Verdict), "failed")


@dataclass(frozen=True)
class Condition:
    """A column, an operator, and a number, or a text for = and !=."""

    text: str
    column: str
    sign: str
    value: float | str

    def is_met_by(self, row: RunRow | TableRow) -> bool:
        """Return whether a row meets the condition; an empty field meets none."""
        value = row_facts(row)[self.column]
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
    types = get_type_hints(kind)
    columns = {one.name: types[one.name] for one in fields(kind) if one.name != "settings"}
    for own in settings:
        for key, value in setting_values(own).items():
            is_number = isinstance(value, int | float) and not isinstance(value, bool)
            columns[key] = float if is_number or (value is None and key in columns) else str
    return [_condition(text, columns) for text in texts]


def _condition(text: str, columns: Mapping[str, type]) -> Condition:
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
    if column == "verdict" and value not in _VERDICTS:
        near = did_you_mean(value, _VERDICTS) or f"; the verdicts are {', '.join(_VERDICTS)}"
        raise wrong(f"there is no verdict {value!r}{near}")
    if column in SETTING_COLUMNS:
        value = str(setting_value(value))
    return Condition(text, column, sign, value)


def fail_where(asked: Sequence[Condition], rows: Iterable[RunRow | TableRow]) -> None:
    """Print each row that meets a condition, and exit with code 1 if there is one.

    Report a condition that no row can meet, such as a verdict on own data.
    """
    rows = list(rows)
    for condition in asked:
        if rows and all(row_facts(row)[condition.column] in (None, "") for row in rows):
            typer.echo(
                f"--fail-if {condition.text}: no row has a value for {condition.column}", err=True
            )
    lines = [
        f"--fail-if {condition.text}: {row.cell} has {row_facts(row)[condition.column]}"
        for condition in asked
        for row in rows
        if condition.is_met_by(row)
    ]
    if lines:
        typer.echo("\n".join(lines), err=True)
        raise typer.Exit(1)
