"""The schema of a study.yaml: its own keys, searches and figures. An example:

title: "ICML 2008, Table 1"
paper: "Vincent et al., ICML 2008"
shared:
  model: {hidden: [1000, 1000, 1000]}
per_dataset:
  convex: {finetune: {learning_rate: 0.05}}
search:
  - cells: convex-*
    space:
      units: {low: 500, high: 3000, step: 500}
      layers: {choices: [1, 2, 3]}
      pretrain.learning_rate: {low: 0.005, high: 0.2, log: true}
    trials: 8
    sampler_seed: 0
    prune: {after_trials: 5, from_epoch: 10}
figures:
  - name: gaussian
    title: "200 units, Gaussian corruption"
    cells: [gaussian]
    claim: "Gaussian corruption gives oriented, local edge detectors."
    expect: {measure: gabor_percent, at_least: 60}
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, model_validator

from dae_cli.config.messages import KeyPath, Problem, errors_of, problems_with
from dae_cli.config.names import STUDY_FILE, cell_files, label
from dae_cli.config.own_data import SUFFIXES, with_facts, with_names
from dae_cli.config.reader import Document, Place, read_file
from dae_cli.config.schema import Settings, SettingsFile, expects
from dae_cli.config.search_space import Search, space_problems
from dae_cli.data.datasets import DATASETS, OwnDataset
from dae_cli.errors import did_you_mean

_Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]

FigureKind = Literal["filters", "zoom", "patches", "components"]
MeasureName = Literal[
    "gabor_percent", "local_percent", "extent_pixels", "locality", "orientation_selectivity"
]


class Expectation(Settings):
    """A figure's claim as a condition: `at_least`, `at_most` or `grows`."""

    measure: MeasureName = Field(description="the measure of the filters")
    at_least: float | None = Field(None, description="the lower limit for each cell")
    at_most: float | None = Field(None, description="the upper limit for each cell")
    grows: bool = Field(
        False,
        description="whether the measure grows from cell to cell, without overlapping intervals, "
        "for each seed",
    )

    @model_validator(mode="after")
    def _one_bar(self) -> Expectation:
        if (self.at_least is not None) + (self.at_most is not None) + self.grows != 1:
            raise ValueError("must have exactly one of at_least, at_most and grows")
        return self


_CellName = Annotated[_Text, Field(json_schema_extra=expects("a cell's name"))]


class Figure(Settings):
    """One picture of a filter study."""

    name: str = Field(
        pattern=r"^[a-z0-9][a-z0-9-]*$",
        json_schema_extra=expects("text of lowercase letters, digits and hyphens (a file name)"),
    )
    title: _Text = Field(description="the title above the picture")
    cells: tuple[_CellName, ...] = Field(
        min_length=1,
        strict=False,
        json_schema_extra=expects("a list of the cells to show, from left to right"),
    )
    kind: FigureKind = Field("filters", description="the content of the picture")
    """patches and components show the training images of the cells, not their filters."""
    scale: Literal["shared", "tile"] = Field(
        "shared", description="one grey scale for all tiles, or one per tile"
    )
    units: tuple[Annotated[int, Field(ge=0)], ...] = Field(
        (), strict=False, description="the units that a zoom shows"
    )
    paper: str = ""
    """The figure of the paper that this picture replicates."""
    claim: str = ""
    """The paper's claim about the figure."""
    expect: Expectation | None = None
    """The claim as a condition; without it the report does not judge the claim."""

    @model_validator(mode="after")
    def _zoom_has_units(self) -> Figure:
        if bool(self.units) != (self.kind == "zoom"):
            raise ValueError("kind: zoom needs units; no other kind has them")
        return self


Reference = Literal["destruction", "model"]
"""The published result that a cell is compared with: that of its model at the cell's own
destruction, or at any destruction."""
_FIGURES = expects("a list of items with name, title, cells")
FigureList = Annotated[
    tuple[Figure, ...], Field(min_length=1, strict=False, json_schema_extra=_FIGURES)
]
_ReferenceSetting = Annotated[
    Reference,
    Field(description="the published result of a cell's model at the same destruction, or at any"),
]


_LEFT_OUT: Any = None
"""Shared settings are only checked here; `StudyFile` merges them as they were written."""


class StudySettings(Settings):
    """A study.yaml."""

    title: _Text = Field(json_schema_extra=expects("one line of text, the name of the study"))
    paper: _Text = ""
    """The replicated publication, for the report."""
    reference: _ReferenceSetting = "destruction"
    claims: bool = True
    """Whether the report judges the paper's claims."""
    shared: SettingsFile = _LEFT_OUT
    per_dataset: dict[str, SettingsFile] = Field(default_factory=dict)
    """Shared settings by the name of a data set, including the user's own."""
    search: tuple[Search, ...] = Field(
        (),
        min_length=1,
        strict=False,
        json_schema_extra=expects("a list of items with cells and space"),
    )
    """What `dae search` varies."""
    figures: FigureList = ()
    """The pictures of cells that are trained for their filters."""


class SavedStudy(Settings):
    """A settings.yaml of a results folder: a study with all settings of its cells."""

    study: _Text
    title: _Text = ""
    paper: _Text = ""
    reference: _ReferenceSetting = "destruction"
    claims: bool = True
    figures: FigureList = ()
    changed: dict[str, _Text] = Field(default_factory=dict)
    """Settings that `--set` changed, by the name of the cell."""
    cells: dict[str, SettingsFile]


@dataclass(frozen=True)
class StudyFile:
    """A study.yaml: its own settings, and the document with the shared settings of its cells."""

    document: Document = field(default_factory=Document)
    settings: StudySettings = field(default_factory=lambda: StudySettings.model_construct(title=""))
    """The valid settings."""
    complete: bool = True
    """False if the file could not be read, so that no key can be reported as missing."""
    data_from: Path | None = None
    """The folder that paths of own data are relative to, by default the study's."""

    @cached_property
    def shared(self) -> Document:
        """The shared settings of all cells."""
        there = isinstance(self.document.get(("shared",)), dict)
        return self.document.part(("shared",)) if there else Document()

    @cached_property
    def shared_with_facts(self) -> tuple[Document, list[Problem]]:
        """`shared` with the facts of own data, which are read once for all cells."""
        return with_facts(self.shared)

    @cached_property
    def per_dataset(self) -> dict[str, Document]:
        """The shared settings of the cells of each data set."""
        return self.document.sections("per_dataset")


def read_study_file(folder: Path, data_from: Path | None = None) -> tuple[StudyFile, list[Problem]]:
    """Return the study.yaml of a folder and all its problems; `data_from` as in `StudyFile`."""
    path = folder / STUDY_FILE
    keys = f"a mapping with the keys {', '.join(StudySettings.model_fields)}"
    document, problems = read_file(path, label(path), what=keys)
    if document is None or not document.value:
        if document is not None and not problems:
            problems.append(Problem(label(path), f"must be {keys}"))
        return StudyFile(Document({}, {(): Place(label(path))}), complete=False), problems
    document, of_data = with_names(document, data_from or folder, ("shared", "dataset"))
    problems += of_data
    others = [*_given_above(document), *same_names(document), *space_problems(document)]
    others += _unknown_datasets(document, folder)
    problems += problems_with(StudySettings, document, label(path), others)
    return StudyFile(document, _sound(document), data_from=data_from), problems


def _sound(document: Document) -> StudySettings:
    """Return the valid part of a study.yaml, without shared settings."""
    value = {k: v for k, v in document.value.items() if k not in ("shared", "per_dataset")}
    if not errors_of(StudySettings, value):
        return StudySettings.model_validate(value)
    title = value.get("title")
    return StudySettings.model_construct(
        title=title.strip() if isinstance(title, str) else "",
        figures=tuple(figure for _, figure in sound_figures(document)),
    )


def sound_figures(document: Document) -> list[tuple[str | int, Figure]]:
    """Return the valid items of `figures` with their indices from 0."""
    return [
        (number, Figure.model_validate(item))
        for number, item in document.items(("figures",))
        if not errors_of(Figure, item)
    ]


def same_names(document: Document) -> Iterator[tuple[KeyPath, Problem]]:
    """Report figures with the same name, because their files would be the same."""
    names = set[str]()
    for number, figure in sound_figures(document):
        path = ("figures", number)
        if figure.name in names:
            text = f"another figure is named {figure.name} too; rename one of them"
            yield path, document.problem(path, text)
        names.add(figure.name)


def _unknown_datasets(document: Document, folder: Path) -> Iterator[tuple[KeyPath, Problem]]:
    """Report settings for data sets that are neither in the benchmark nor own data of a cell."""
    keys = [name for name, _ in document.items(("per_dataset",)) if isinstance(name, str)]
    names = [name for name in keys if name not in DATASETS]
    known = [*DATASETS, *(_own_datasets(document, folder) if names else ())]
    for name in names:
        if name not in known:
            near = did_you_mean(name, known) or f"; the data sets are {', '.join(known)}"
            path = ("per_dataset", name)
            yield path, document.problem(path, f"unknown data set{near}")


def _own_datasets(document: Document, folder: Path) -> list[str]:
    """Return the names of own data in a study's cells and shared settings."""
    cells = (read_file(file, label(file))[0] for file in cell_files(folder).values())
    named = [document.get(("shared", "dataset"))]
    named += [cell.get(("dataset",)) for cell in cells if cell is not None]
    paths = [name for name in named if isinstance(name, OwnDataset) or str(name).endswith(SUFFIXES)]
    return list(dict.fromkeys(str(OwnDataset(Path(str(path)))) for path in paths))


def _given_above(document: Document) -> Iterator[tuple[KeyPath, Problem]]:
    """Report a `dataset` inside settings of `per_dataset`."""
    for name, _ in document.items(("per_dataset",)):
        path = ("per_dataset", name, "dataset")
        if document.has(path):
            yield path, document.problem(path, "is already given by the key above; remove it")
