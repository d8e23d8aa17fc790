"""Names, files and overrides to resolved experiments; resolved experiments to YAML.

Merge order, the later one wins: `shared` of study.yaml, its `per_dataset` entry, the cell file,
`--set`. An SVM takes of what is shared the sections that an SVM has (kinds.py). Every problem of
all these is gathered and raised as one ConfigError.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from dae_cli.config.checks import as_experiment, missing_keys
from dae_cli.config.contradictions import contradictions
from dae_cli.config.dump import dump_yaml as dump_yaml
from dae_cli.config.entries import Layer, merge
from dae_cli.config.kinds import (
    SVM,
    Kind,
    as_network,
    kind_of,
    mixed_problems,
    taken,
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
from dae_cli.config.problems import Problem, config_error, shown
from dae_cli.config.schema import AnyExperiment, DatasetName, Experiment
from dae_cli.config.search_space import SearchEntry
from dae_cli.config.study_files import (
    Reference,
    StudyFile,
    dataset_of,
    first_comment,
    read_layer,
    read_study_file,
)
from dae_cli.config.words import known_keys
from dae_cli.errors import ConfigError


@dataclass(frozen=True)
class ResolvedExperiment:
    """An experiment with every setting known. `name` is `study/cell`, or the file's stem."""

    name: str
    experiment: AnyExperiment
    source: Path
    """The cell file or experiment file."""
    reference: Reference = "destruction"
    """What it is compared with; its study says so."""

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
    draft, found = _draft(study, target.file, over)
    problems += [*found, *wrong, *_missing_problems([draft], None), *draft.contradictions]
    problems += unused_overrides(over, [draft.kind], f"{shown(target.name)} is")
    if problems or draft.experiment is None:
        raise config_error(target.name, problems)
    return ResolvedExperiment(target.name, draft.experiment, target.file, study.reference)


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
    problems += _folder_problems(target.folder, files)
    over, wrong = parse_overrides(overrides)
    drafts = []
    for file in files.values():
        draft, found = _draft(study, file, over)
        drafts.append(draft)
        problems += found
    problems += [*_unused_datasets(study, drafts), *wrong]
    chosen = [draft for draft in drafts if draft.source.stem in wanted]
    problems += _missing_problems(chosen, target.folder / STUDY_FILE)
    problems += [problem for draft in chosen for problem in draft.contradictions]
    if chosen:
        problems += unused_overrides(over, [d.kind for d in chosen], "every cell asked for is")
    everything = tuple(
        ResolvedExperiment(
            f"{target.name}/{draft.source.stem}", draft.experiment, draft.source, study.reference
        )
        for draft in drafts
        if draft.experiment is not None
    )
    cells = tuple(cell for cell in everything if cell.cell in wanted)
    problems += _same_cells(cells)
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
    draft, problems = _draft(StudyFile(), path, {})
    problems += [*_missing_problems([draft], None), *draft.contradictions]
    if problems or draft.experiment is None:
        raise config_error(label(path), problems)
    return draft.experiment


@dataclass(frozen=True)
class _Draft:
    """One cell after merging: the experiment if there is one, and what the whole lacks."""

    source: Path
    own_dataset: str | None
    """The data set without overrides."""
    experiment: AnyExperiment | None
    kind: Kind
    missing: list[str]
    contradictions: list[Problem]


def _draft(study: StudyFile, file: Path, over: Layer) -> tuple[_Draft, list[Problem]]:
    """Merge a cell file with its study and the overrides; the problems are those of the file."""
    own, problems = read_layer(file)
    cell = own or {}
    dataset = dataset_of(study.shared, cell, over)
    shared = study.layers_for(dataset)
    kind = kind_of(merge(*shared, cell))  # which --set does not change
    merged = merge(*(taken(layer, kind) for layer in shared), cell, taken(over, kind))
    problems += mixed_problems(cell, merged.get(SVM))
    # What an unreadable file would have said cannot be called missing.
    missing = missing_keys(merged) if study.complete and own is not None else []
    draft = _Draft(
        file,
        dataset_of(study.shared, cell),
        as_experiment(merged),
        kind,
        missing,
        contradictions(merged),
    )
    return draft, problems


def _missing_problems(drafts: Sequence[_Draft], study_file: Path | None) -> list[Problem]:
    """Missing keys, each told once: at its cell, or at study.yaml if several cells lack it."""
    known = known_keys()
    lacking: dict[str, list[_Draft]] = {}
    for draft in drafts:
        for key in draft.missing:
            lacking.setdefault(key, []).append(draft)
    problems = []
    for key, cells in lacking.items():
        source, which = cells[0].source, ""
        if study_file is not None and len(cells) > 1:
            source = study_file
            which = f" for {', '.join(shown(draft.source.stem) for draft in cells)}"
        problems.append(Problem(label(source), f"{key} is missing{which}: {known[key].full()}"))
    return problems


def _folder_problems(folder: Path, files: dict[str, Path]) -> list[Problem]:
    problems = [
        Problem(label(file), "would be passed over; name it .yaml") for file in folder.glob("*.yml")
    ]
    if not files:
        problems.append(Problem(label(folder), "the study has no cells: add a .yaml file per cell"))
    return problems


def _unused_datasets(study: StudyFile, drafts: Sequence[_Draft]) -> list[Problem]:
    used = {draft.own_dataset for draft in drafts}
    if None in used:  # some cell's data set is not known
        return []
    return [
        entry.problem(f"per_dataset.{name}", "no cell uses this data set; remove it or add a cell")
        for name, entry in study.per_dataset.items()
        if name not in used and name in get_args(DatasetName)
    ]


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
