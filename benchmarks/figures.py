"""The figures of a run of the benchmarks: one number a round, kept in a CSV file.

RESULTS.md, the tables and the plots of docs/performance.md are made from that file alone.
"""

from __future__ import annotations

import csv
import io
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

from dae_cli.files import write_text

OWN_FIELDS = ("measure", "contender", "unit", "threads", "values", "note")


@dataclass(frozen=True)
class About:
    """What all figures of a run depend on, as text."""

    mode: str
    """normal, quick (tiny sizes: figures that mean nothing) or full."""
    engine: str
    """What `--engine auto` chose: the engine that "ours" means."""
    cpu: str
    cores: str
    vectors: str
    system: str
    libraries: str
    commit: str
    """Empty where there is none; ends with -dirty if there were changes."""
    measured: str
    """The day."""


@dataclass(frozen=True)
class Figure:
    """What one contender reached in each round of one measure; empty: it could not be had."""

    measure: str
    contender: str
    unit: str
    threads: str
    values: tuple[float, ...]
    note: str = ""

    @property
    def median(self) -> float:
        """The median over the rounds."""
        return statistics.median(self.values)


@dataclass(frozen=True)
class Table:
    """All figures of a run."""

    about: About
    figures: tuple[Figure, ...]
    _by_key: Mapping[tuple[str, str], Figure] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        keyed = {(figure.measure, figure.contender): figure for figure in self.figures}
        if len(keyed) < len(self.figures):
            raise ValueError("a contender occurs twice in one measure")
        object.__setattr__(self, "_by_key", keyed)

    def get(self, measure: str, contender: str) -> Figure | None:
        """Return a figure; None if it was not measured or could not be had."""
        figure = self._by_key.get((measure, contender))
        return figure if figure is not None and figure.values else None

    def of(self, measure: str) -> list[Figure]:
        """Return the figures of a measure in their order, those that could not be had as well."""
        return [figure for figure in self.figures if figure.measure == measure]


def fastest(figures: Iterable[Figure | None]) -> Figure | None:
    """Return the figure of the smallest median among those that are there."""
    there = [figure for figure in figures if figure is not None]
    return min(there, key=lambda figure: figure.median, default=None)


def ratios(above: Figure, below: Figure) -> tuple[float, ...]:
    """Return above / below, round by round: what disturbs a round disturbs both alike."""
    return tuple(a / b for a, b in zip(above.values, below.values, strict=True))


def to_csv(table: Table) -> str:
    """Return the file's text: one row a figure, with all it depends on; six digits."""
    text = io.StringIO()
    names = [*OWN_FIELDS, *(f.name for f in fields(About))]
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    for figure in table.figures:
        values = " ".join(f"{value:.6g}" for value in figure.values)
        writer.writerow(asdict(figure) | {"values": values} | asdict(table.about))
    return text.getvalue()


def from_csv(text: str) -> Table:
    """Return the table of a file's text.

    Raises:
        ValueError: there is no row, or the rows are not of one run.
    """
    rows = list(csv.DictReader(io.StringIO(text)))
    abouts = {About(**{f.name: row[f.name] for f in fields(About)}) for row in rows}
    if len(abouts) != 1:
        raise ValueError(f"the rows must be of one run; these are of {len(abouts)}")
    return Table(abouts.pop(), tuple(_figure(row) for row in rows))


def _figure(row: Mapping[str, str]) -> Figure:
    values = tuple(float(value) for value in row["values"].split())
    return Figure(**{name: row[name] for name in OWN_FIELDS if name != "values"}, values=values)


def rounded(about: About, figures: Sequence[Figure]) -> Table:
    """Return a table with the digits that its file will hold."""
    return from_csv(to_csv(Table(about, tuple(figures))))


def write(table: Table, path: Path) -> None:
    """Write the file, whole or not at all."""
    write_text(path, to_csv(table))


def read(path: Path) -> Table:
    """Read the file; ValueError as above."""
    return from_csv(path.read_text(encoding="utf-8"))
