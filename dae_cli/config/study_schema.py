"""The schema of a study.yaml: its own keys, what is searched in its cells, what is drawn of them.

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
    """What a figure's claim comes to in numbers; of `at_least`, `at_most`, `grows` one is given."""

    measure: MeasureName = Field(description="what is measured of the filters")
    at_least: float | None = Field(None, description="of each cell")
    at_most: float | None = Field(None, description="of each cell")
    grows: bool = Field(False, description="from cell to cell, with intervals apart, for each seed")

    @model_validator(mode="after")
    def _one_bar(self) -> Expectation:
        if (self.at_least is not None) + (self.at_most is not None) + self.grows != 1:
            raise ValueError("needs one of at_least, at_most and grows")
        return self


_CellName = Annotated[_Text, Field(json_schema_extra=expects("a cell's name"))]


class Figure(Settings):
    """One picture of a study on filters."""

    name: str = Field(
        pattern=r"^[a-z0-9][a-z0-9-]*$",
        json_schema_extra=expects("text of small letters, digits and hyphens, for its file"),
    )
    title: _Text = Field(description="what stands over the picture")
    cells: tuple[_CellName, ...] = Field(
        min_length=1,
        strict=False,
        json_schema_extra=expects("a list of the cells it shows, side by side"),
    )
    kind: FigureKind = Field("filters", description="what is drawn")
    """patches and components show the images that the cells learn from, not their filters."""
    scale: Literal["shared", "tile"] = Field(
        "shared", description="one grey scale for all tiles, or each tile's own"
    )
    units: tuple[Annotated[int, Field(ge=0)], ...] = Field(
        (), strict=False, description="the units that a zoom shows"
    )
    paper: str = ""
    """The figure of the paper that it replicates."""
    claim: str = ""
    """What the paper says of it."""
    expect: Expectation | None = None
    """The claim in numbers; without it the claim is left to the eye."""

    @model_validator(mode="after")
    def _zoom_has_units(self) -> Figure:
        if bool(self.units) != (self.kind == "zoom"):
            raise ValueError("units must be given of a zoom, and of nothing else")
        return self


Reference = Literal["destruction", "model"]
"""What a cell is compared with: the paper's number of its model at the very destruction of the
cell, or whatever destruction was selected for the cell."""
_FIGURES = expects("a list of items with name, title, cells")
FigureList = Annotated[
    tuple[Figure, ...], Field(min_length=1, strict=False, json_schema_extra=_FIGURES)
]
_ReferenceSetting = Annotated[
    Reference,
    Field(
        description="the paper's number at a cell's own destruction, or that of its model, "
        "whatever its destruction"
    ),
]


_LEFT_OUT: Any = None
"""What cells share is merged as it is written (`StudyFile`); here it is only checked."""


class StudySettings(Settings):
    """A study.yaml."""

    title: _Text = Field(json_schema_extra=expects("text, one line that names the study"))
    paper: _Text = ""
    """What is replicated, for the report."""
    reference: _ReferenceSetting = "destruction"
    claims: bool = True
    """Whether the paper's claims are judged by its results."""
    shared: SettingsFile = _LEFT_OUT
    per_dataset: dict[str, SettingsFile] = Field(default_factory=dict)
    """By the name of a data set, the user's own as well."""
    search: tuple[Search, ...] = Field(
        (),
        min_length=1,
        strict=False,
        json_schema_extra=expects("a list of items with cells and space"),
    )
    """What `dae search` selects on validation."""
    figures: FigureList = ()
    """What is drawn, of cells that are trained for their filters."""


class SavedStudy(Settings):
    """A settings.yaml of a results folder: a study with the whole settings of its cells."""

    study: _Text
    title: _Text = ""
    paper: _Text = ""
    reference: _ReferenceSetting = "destruction"
    claims: bool = True
    figures: FigureList = ()
    changed: dict[str, _Text] = Field(default_factory=dict)
    """What `--set` changed of a cell, which keeps its name."""
    cells: dict[str, SettingsFile]


@dataclass(frozen=True)
class StudyFile:
    """A study.yaml as it was read: its settings, and the document for what cells share."""

    document: Document = field(default_factory=Document)
    settings: StudySettings = field(default_factory=lambda: StudySettings.model_construct(title=""))
    """As far as they are sound."""
    complete: bool = True
    """False if the file could not be read; nothing can be said to be missing then."""
    data_from: Path | None = None
    """Where paths of own data begin, where that is not the study's folder."""

    @cached_property
    def shared(self) -> Document:
        """What all cells share."""
        there = isinstance(self.document.get(("shared",)), dict)
        return self.document.part(("shared",)) if there else Document()

    @cached_property
    def shared_with_facts(self) -> tuple[Document, list[Problem]]:
        """The same with what is known of own data, looked at once for all cells."""
        return with_facts(self.shared)

    @cached_property
    def per_dataset(self) -> dict[str, Document]:
        """What cells of the same data set share."""
        return self.document.sections("per_dataset")


def read_study_file(folder: Path, data_from: Path | None = None) -> tuple[StudyFile, list[Problem]]:
    """The study.yaml of a folder and every problem in it; `data_from` as in `StudyFile`."""
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
    """What is right in a study.yaml, without what cells share."""
    value = {k: v for k, v in document.value.items() if k not in ("shared", "per_dataset")}
    if not errors_of(StudySettings, value):
        return StudySettings.model_validate(value)
    title = value.get("title")
    return StudySettings.model_construct(
        title=title.strip() if isinstance(title, str) else "",
        figures=tuple(figure for _, figure in sound_figures(document)),
    )


def sound_figures(document: Document) -> list[tuple[str | int, Figure]]:
    """The items of `figures` that are right in themselves, with their numbers from 0."""
    return [
        (number, Figure.model_validate(item))
        for number, item in document.items(("figures",))
        if not errors_of(Figure, item)
    ]


def same_names(document: Document) -> Iterator[tuple[KeyPath, Problem]]:
    """Figures that would be files of the same name."""
    names = set[str]()
    for number, figure in sound_figures(document):
        path = ("figures", number)
        if figure.name in names:
            text = f"a second figure with the name {figure.name}"
            yield path, document.problem(path, text)
        names.add(figure.name)


def _unknown_datasets(document: Document, folder: Path) -> Iterator[tuple[KeyPath, Problem]]:
    """Settings for data sets that are neither the benchmark's nor a cell's own."""
    keys = [name for name, _ in document.items(("per_dataset",)) if isinstance(name, str)]
    names = [name for name in keys if name not in DATASETS]
    known = [*DATASETS, *(_own_datasets(document, folder) if names else ())]
    for name in names:
        if name not in known:
            near = did_you_mean(name, known) or f"; the data sets are {', '.join(known)}"
            path = ("per_dataset", name)
            yield path, document.problem(path, f"unknown data set{near}")


def _own_datasets(document: Document, folder: Path) -> list[str]:
    """The names of own data that a study's cells name, or share."""
    cells = (read_file(file, label(file))[0] for file in cell_files(folder).values())
    named = [document.get(("shared", "dataset"))]
    named += [cell.get(("dataset",)) for cell in cells if cell is not None]
    paths = [name for name in named if isinstance(name, OwnDataset) or str(name).endswith(SUFFIXES)]
    return list(dict.fromkeys(str(OwnDataset(Path(str(path)))) for path in paths))


def _given_above(document: Document) -> Iterator[tuple[KeyPath, Problem]]:
    """The data set of settings that are those of a data set."""
    for name, _ in document.items(("per_dataset",)):
        path = ("per_dataset", name, "dataset")
        if document.has(path):
            yield path, document.problem(path, "is given by the key above it")
