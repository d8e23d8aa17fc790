"""Names, files and overrides to resolved experiments; resolved experiments to YAML.

Merge order, the later one wins: `shared` of study.yaml, its `per_dataset` entry, the cell file,
`--set`. An SVM takes of what is shared the sections that an SVM has (kinds.py). Every problem of
all these is gathered and raised as one ConfigError.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dae_cli.config.drafts import (
    Draft,
    draft_of,
    figure_problems,
    folder_problems,
    missing_problems,
    unused_datasets,
)
from dae_cli.config.dump import differing
from dae_cli.config.dump import dump_yaml as dump_yaml
from dae_cli.config.entries import Layer
from dae_cli.config.figures import Figure
from dae_cli.config.kinds import (
    as_network,
    unused_overrides,
)
from dae_cli.config.names import (
    STUDY_FILE,
    asked_cells,
    cell_files,
    find_target,
    label,
    study_folders,
    unknown_cell,
)
from dae_cli.config.overrides import parse_overrides
from dae_cli.config.problems import Problem, config_error
from dae_cli.config.schema import AnyExperiment, Experiment, FilterExperiment
from dae_cli.config.search_space import SearchEntry
from dae_cli.config.study_files import (
    Reference,
    StudyFile,
    first_comment,
    read_study_file,
)
from dae_cli.errors import ConfigError, shown


@dataclass(frozen=True)
class ResolvedExperiment:
    """An experiment with every setting known. `name` is `study/cell`, or the file's stem."""

    name: str
    experiment: AnyExperiment
    source: Path
    """The cell file or experiment file."""
    reference: Reference = "destruction"
    """What it is compared with; its study says so."""
    changed: tuple[str, ...] = ()
    """Settings that `--set` made others than those of the files, whose name the cell keeps."""

    @property
    def network(self) -> Experiment:
        """The experiment of a cell that is known to be no SVM; TypeError if it is one."""
        return as_network(self.experiment)

    @property
    def cell(self) -> str:
        """The name inside its study: the last part of `name`."""
        return self.name.rpartition("/")[2]


@dataclass(frozen=True)
class ResolvedStudy:
    """A study with its cells, in the natural order of their names."""

    name: str
    title: str
    source: Path
    """The study's folder."""
    cells: tuple[ResolvedExperiment, ...]
    """Those asked for."""
    all_cells: tuple[ResolvedExperiment, ...]
    """Those of the study's files, with the same `--set`."""
    paper: str = ""
    reference: Reference = "destruction"
    """What the cells are compared with."""
    search: tuple[SearchEntry, ...] = ()
    """What `dae search` selects on validation."""
    figures: tuple[Figure, ...] = ()
    """What is drawn, of a study on filters."""
    claims: bool = True
    """Whether the paper's claims are judged by its results."""

    @property
    def changed(self) -> dict[str, str]:
        """What `--set` changed of each cell that is no longer what its file says."""
        return {cell.cell: ", ".join(cell.changed) for cell in self.all_cells if cell.changed}

    @property
    def is_of_filters(self) -> bool:
        """Whether its cells are trained for their filters alone: figures, and no table."""
        return any(isinstance(cell.experiment, FilterExperiment) for cell in self.all_cells)


@dataclass(frozen=True)
class StudyListing:
    """A study that can be named, its cells, and the first comment line of each cell file."""

    name: str
    title: str
    cells: tuple[str, ...]
    source: Path
    reproduces: tuple[str, ...] = ()


def resolve_experiment(name: str, overrides: Sequence[str] = ()) -> ResolvedExperiment:
    """The one experiment that a name (`study/cell`) or path means, with `--set` applied.

    Raises ConfigError: unknown name, a study instead of a cell, or all problems of its files
    (its own and its study.yaml) and of the overrides.
    """
    target = find_target(name)
    if target.file is None:
        cells = ", ".join(shown(f"{target.name}/{cell}") for cell in cell_files(target.folder))
        raise ConfigError(f"{shown(name)} is a study, not one experiment; name a cell: {cells}")
    in_study = (target.folder / STUDY_FILE).is_file()
    study, problems = read_study_file(target.folder) if in_study else (StudyFile(), [])
    over, wrong = parse_overrides(overrides)
    draft, found = draft_of(study, target.file, over)
    problems += [*found, *wrong, *missing_problems([draft], None), *draft.contradictions]
    problems += unused_overrides(over, [draft.kind], f"{shown(target.name)} is")
    if problems or draft.experiment is None:
        raise config_error(target.name, problems)
    changed = _changed(study, draft, over)
    return ResolvedExperiment(target.name, draft.experiment, target.file, study.reference, changed)


def resolve_study(
    name: str, overrides: Sequence[str] = (), only: Sequence[str] = ()
) -> ResolvedStudy:
    """All cells of a study, or those that `only` names (`convex-25`, `rect-*`), with `--set`.

    Raises ConfigError: unknown name or cell, a single experiment instead of a study, or all
    problems of all its files and of the overrides, such as two cells that say the same.
    """
    target = find_target(name)
    if target.file is not None:
        raise ConfigError(f"{shown(name)} is one experiment, not a study; train it with dae train")
    files = cell_files(target.folder)
    wanted = asked_cells(only, target.name, files) or list(files)
    for cell in wanted:
        if cell not in files:
            raise unknown_cell(cell, target.name, files)
    study, problems = read_study_file(target.folder)
    problems += folder_problems(target.folder, files)
    over, wrong = parse_overrides(overrides)
    drafts = []
    for file in files.values():
        draft, found = draft_of(study, file, over)
        drafts.append(draft)
        problems += found
    problems += [*unused_datasets(study, drafts), *wrong]
    chosen = [draft for draft in drafts if draft.source.stem in wanted]
    problems += missing_problems(chosen, target.folder / STUDY_FILE)
    problems += [problem for draft in chosen for problem in draft.contradictions]
    if chosen:
        problems += unused_overrides(over, [d.kind for d in chosen], "every cell asked for is")
    everything = tuple(
        ResolvedExperiment(
            f"{target.name}/{draft.source.stem}",
            draft.experiment,
            draft.source,
            study.reference,
            _changed(study, draft, over),
        )
        for draft in drafts
        if draft.experiment is not None
    )
    cells = tuple(cell for cell in everything if cell.cell in wanted)
    problems += [*_same_cells(cells), *figure_problems(study, drafts, target.folder)]
    if problems:
        raise config_error(target.name, problems)
    return ResolvedStudy(
        target.name,
        study.title,
        target.folder,
        cells,
        everything,
        study.paper,
        study.reference,
        study.search,
        study.figures,
        study.claims,
    )


def resolve_cells(name: str, overrides: Sequence[str] = ()) -> tuple[ResolvedExperiment, ...]:
    """The experiment that `name` means, or all of them if it means a study. Raises ConfigError."""
    if find_target(name).file is None:
        return resolve_study(name, overrides).cells
    return (resolve_experiment(name, overrides),)


def list_studies() -> list[StudyListing]:
    """Every study that can be named. A study.yaml that cannot be read has an empty title."""
    listings = []
    for name, folder in study_folders().items():
        study, _ = read_study_file(folder)
        files = cell_files(folder)
        notes = tuple(first_comment(file) for file in files.values())
        listings.append(StudyListing(name, study.title, tuple(files), folder, notes))
    return listings


def load_resolved(path: Path) -> AnyExperiment:
    """The experiment of a config.yaml, as `dump_yaml` wrote it.

    No study.yaml beside it is read. Raises ConfigError with every problem in the file.
    """
    draft, problems = draft_of(StudyFile(), path, {})
    problems += [*missing_problems([draft], None), *draft.contradictions]
    if problems or draft.experiment is None:
        raise config_error(label(path), problems)
    return draft.experiment


def _changed(study: StudyFile, draft: Draft, over: Layer) -> tuple[str, ...]:
    """What overrides changed of a cell; nothing where its files alone are no experiment."""
    if not over or draft.experiment is None:
        return ()
    before = draft_of(study, draft.source, {})[0].experiment
    return differing(before, draft.experiment) if before else ()


def _same_cells(cells: Sequence[ResolvedExperiment]) -> list[Problem]:
    first: dict[AnyExperiment, ResolvedExperiment] = {}
    problems = []
    for cell in cells:
        other = first.setdefault(cell.experiment, cell)
        if other is not cell:
            same = f"resolves to the same experiment as {shown(other.cell)}"
            text = f"{same}; a study needs each one once"
            problems.append(Problem(label(cell.source), text))
    return problems
