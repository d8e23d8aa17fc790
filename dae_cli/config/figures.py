"""The `figures` section of a study.yaml: what is drawn of its cells, and what that should show.

A list; each item is a picture, with the claim that it stands for and how the claim is measured:

    figures:
      - name: gaussian
        title: "200 units, Gaussian corruption"
        cells: [gaussian]
        paper: "JMLR 2010, Fig. 6 (right)"
        claim: "Gaussian corruption gives oriented, local edge detectors."
        expect: {measure: gabor_percent, at_least: 60}
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Annotated, Literal

from pydantic import Field, ValidationError, model_validator

from dae_cli.config.entries import Entry, find, plain
from dae_cli.config.problems import Problem, did_you_mean
from dae_cli.config.schema import Settings
from dae_cli.config.words import keys_of
from dae_cli.errors import shown

FigureKind = Literal["filters", "zoom", "patches", "components"]
MeasureName = Literal[
    "gabor_percent", "local_percent", "extent_pixels", "locality", "orientation_selectivity"
]

_Text = Annotated[str, Field(min_length=1)]
_Cells = Annotated[tuple[_Text, ...], Field(min_length=1, strict=False)]


class Expectation(Settings):
    """What a figure's claim comes to in numbers; of `at_least`, `at_most`, `grows` one is given."""

    measure: Annotated[MeasureName, Field(description="what is measured of the filters")]
    at_least: Annotated[float | None, Field(description="of each cell")] = None
    at_most: Annotated[float | None, Field(description="of each cell")] = None
    grows: Annotated[
        bool, Field(description="from cell to cell, with intervals apart, for each seed")
    ] = False

    @model_validator(mode="after")
    def _one_bar(self) -> Expectation:
        if (self.at_least is not None) + (self.at_most is not None) + self.grows != 1:
            raise ValueError("needs one of at_least, at_most and grows")
        return self


class Figure(Settings):
    """One picture of a study on filters."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$", description="of its file")]
    title: Annotated[_Text, Field(description="what stands over the picture")]
    cells: Annotated[_Cells, Field(description="the cells it shows, side by side")]
    kind: Annotated[FigureKind, Field(description="what is drawn")] = "filters"
    """patches and components show the images that the cells learn from, not their filters."""
    scale: Annotated[
        Literal["shared", "tile"],
        Field(description="one grey scale for all tiles, or each tile's own"),
    ] = "shared"
    units: Annotated[
        tuple[Annotated[int, Field(ge=0)], ...],
        Field(strict=False, description="the units that a zoom shows"),
    ] = ()
    paper: str = ""
    """The figure of the paper that it replicates."""
    claim: str = ""
    """What the paper says of it."""
    expect: Expectation | None = None
    """The claim in numbers; without it the claim is left to the eye."""


def read_figures(section: Entry | None) -> tuple[tuple[Figure, ...], list[Problem]]:
    """The items of a `figures` section, none if there is no section, and every problem in it."""
    if section is None:
        return (), []
    if not isinstance(section.value, tuple) or not section.value:
        return (), [section.problem("figures", "must be a list of items with name, title, cells")]
    found: dict[str, Figure] = {}
    problems = []
    for number, item in enumerate(section.value, start=1):
        key = f"figures item {number}"
        if not isinstance(item.value, dict):
            problems.append(item.problem(key, "must be a mapping with name, title and cells"))
            continue
        try:
            figure = Figure.model_validate(plain(item))
        except ValidationError as error:
            problems += _told(error, item, key)
            continue
        if figure.name in found:
            problems.append(item.problem(key, f"a second figure with the name {figure.name}"))
        if bool(figure.units) != (figure.kind == "zoom"):
            problems.append(item.problem(key, "units must be given of a zoom, and of nothing else"))
        found[figure.name] = figure
    return tuple(found.values()), problems


def _told(error: ValidationError, item: Entry, key: str) -> list[Problem]:
    known = keys_of(Figure)
    problems = []
    for detail in error.errors(include_url=False, include_context=False):
        names = [step for step in detail["loc"] if isinstance(step, str)]
        path = ".".join(names)
        entry = find(item.items, tuple(names)) or item
        if detail["type"] == "extra_forbidden":
            text = f"unknown key{did_you_mean(path, known)}; the keys are {', '.join(known)}"
        elif detail["type"] == "missing":
            text = f"{path} is missing: {known[path].full()}"
        elif detail["type"] == "value_error":
            text = detail["msg"].removeprefix("Value error, ")
        else:
            text = f"must be {known[path].full()}" if path in known else detail["msg"]
        problems.append(entry.problem(f"{key}: {path}" if path else key, text))
    return problems


def unknown_cells(figures: Collection[Figure], cells: Collection[str], where: str) -> list[Problem]:
    """Cells that figures name and the study has not."""
    problems = []
    for figure in figures:
        for cell in dict.fromkeys(figure.cells):
            if cell not in cells:
                text = f"the study has no cell {shown(cell)}{did_you_mean(cell, cells)}"
                problems.append(Problem(where, f"figure {figure.name}: {text}"))
    return problems
