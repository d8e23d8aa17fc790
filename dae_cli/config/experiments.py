"""Names, files and overrides to resolved experiments.

Merge order, the later one wins: `shared` of study.yaml, its `per_dataset` entry, the cell file,
`--set`. Of what a study shares, and of `--set`, a cell takes the sections that its kind has, so
that networks and SVMs may stand in one study. Every problem of all these is gathered and raised as
one ConfigError.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from dae_cli.config.dump import differing, differing_settings
from dae_cli.config.messages import (
    KeyPath,
    Problem,
    config_error,
    errors_of,
    expected,
    known_keys,
    problems_with,
)
from dae_cli.config.names import (
    DATA_SUFFIX,
    STUDY_FILE,
    Target,
    cell_files,
    chosen_cells,
    find_target,
    label,
    study_folders,
)
from dae_cli.config.own_data import with_facts, with_names
from dae_cli.config.reader import MAX_DEPTH, Document, Place, merge, read_file, read_value
from dae_cli.config.rules import contradictions, mixed_problems, unused_overrides
from dae_cli.config.schema import (
    AnyExperiment,
    FilterExperiment,
    Kind,
    SettingsFile,
    kind_of,
)
from dae_cli.config.search_space import Search
from dae_cli.config.study_schema import (
    Figure,
    Reference,
    StudyFile,
    read_study_file,
    sound_figures,
)
from dae_cli.data.datasets import DATASETS, OwnDataset
from dae_cli.errors import ConfigError, did_you_mean, shown

_EXAMPLE = "write key=value, for example pretrain.epochs=10"


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
    search: tuple[Search, ...] = ()
    """What `dae search` selects on validation."""
    figures: tuple[Figure, ...] = ()
    """What is drawn, of a study on filters."""
    claims: bool = True
    """Whether the paper's claims are judged by its results."""
    document: Document = field(default_factory=Document, compare=False, repr=False)
    """Its study.yaml, for messages about it."""

    @property
    def changed(self) -> dict[str, str]:
        """What `--set` changed of each cell that is no longer what its file says."""
        return {cell.cell: ", ".join(cell.changed) for cell in self.all_cells if cell.changed}

    @property
    def differing_settings(self) -> dict[str, dict[str, str]]:
        """Of each cell, the settings in which the cells differ: columns of the study's tables."""
        settings = differing_settings([cell.experiment for cell in self.all_cells])
        return {cell.cell: own for cell, own in zip(self.all_cells, settings, strict=True)}

    @property
    def is_own_data_study(self) -> bool:
        """Whether all its data are the user's own: no published number is to be compared with."""
        datasets = [cell.experiment.dataset for cell in self.all_cells]
        return bool(datasets) and all(isinstance(one, OwnDataset) for one in datasets)

    def dataset(self, name: str) -> str:
        """The data set of this name, with its facts where it is a user's own."""
        own = (cell.experiment.dataset for cell in self.all_cells)
        return next((dataset for dataset in own if dataset == name), name)

    @property
    def is_filter_study(self) -> bool:
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


@dataclass(frozen=True)
class Draft:
    """A cell after merging, before it is known to be an experiment."""

    source: Path
    own_dataset: object
    """The data set without overrides."""
    kind: Kind
    """Without overrides."""
    experiment: AnyExperiment | None
    missing: tuple[KeyPath, ...]
    problems: list[Problem]
    """Of its file, and sections that its kind of experiment has not."""
    contradictions: list[Problem]

    @property
    def cell(self) -> str:
        """Its name inside its study."""
        return self.source.stem


def resolve_experiment(
    name: str, overrides: Sequence[str] = (), swept: Sequence[str] = ()
) -> ResolvedExperiment:
    """The one experiment that a name (`study/cell`) or path means, with `--set` applied.

    `swept`: further settings as those of `--set`, of one combination of `--grid`.

    Raises ConfigError: unknown name, a study instead of a cell, or all problems of its files
    (its own and its study.yaml) and of the overrides.
    """
    target, file = find_experiment(name)
    in_study = (target.folder / STUDY_FILE).is_file()
    study, problems = read_study_file(target.folder) if in_study else (StudyFile(), [])
    return _resolve_file(target.name, file, study, problems, overrides, swept)


def find_experiment(name: str) -> tuple[Target, Path]:
    """The one experiment that a name or path means, and its file.

    Raises ConfigError: unknown name, or a study instead of a cell.
    """
    target = find_target(name)
    if target.file is None:
        cells = ", ".join(shown(f"{target.name}/{cell}") for cell in cell_files(target.folder))
        raise ConfigError(
            f"{shown(name)} is a study, not one experiment; name a cell, or its folder of results: "
            f"{cells}"
        )
    return target, target.file


def find_study(name: str) -> Target:
    """The study that a name or path means. Raises ConfigError: unknown name, or an experiment."""
    target = find_target(name)
    if target.file is not None:
        raise ConfigError(f"{shown(name)} is one experiment, not a study; train it with dae train")
    return target


def load_resolved(path: Path) -> AnyExperiment:
    """The experiment of a config.yaml, as `dump_yaml` wrote it.

    No study.yaml beside it is read. Raises ConfigError with every problem in the file.
    """
    return _resolve_file(label(path), path, StudyFile(), [], ()).experiment


def _resolve_file(
    name: str,
    file: Path,
    study: StudyFile,
    problems: list[Problem],
    overrides: Sequence[str],
    swept: Sequence[str] = (),
) -> ResolvedExperiment:
    """The experiment of one file, `problems` being those of its study."""
    over, wrong = parse_overrides(overrides, swept)
    draft = _read_draft(study, file, over)
    missing = _missing_problems([draft], file)
    problems += [*draft.problems, *wrong, *missing, *draft.contradictions]
    problems += unused_overrides(over, [draft.kind], f"{shown(name)} is")
    if problems or draft.experiment is None:
        raise config_error(name, problems)
    return _resolved(name, draft.experiment, study, draft, overrides, swept)


def resolve_study(
    name: str,
    overrides: Sequence[str] = (),
    only: Sequence[str] = (),
    data_from: Path | None = None,
    swept: Sequence[str] = (),
) -> ResolvedStudy:
    """All cells of a study, or those that `only` names (`convex-25`, `rect-*`), with `--set`.

    `data_from`: where paths of own data begin, if that is not the study's folder.
    `swept`: further settings as those of `--set`, of one combination of `--grid`.

    Raises ConfigError: unknown name or cell, a single experiment instead of a study, or all
    problems of all its files and of the overrides, such as two cells that say the same.
    """
    target = find_study(name)
    folder, files = target.folder, cell_files(target.folder)
    wanted = chosen_cells(only, target.name, files)
    study, problems = read_study_file(folder, data_from)
    problems += _folder_problems(folder, files)
    over, wrong = parse_overrides(overrides, swept)
    drafts = [_read_draft(study, file, over) for file in files.values()]
    problems += [problem for draft in drafts for problem in draft.problems]
    problems += [*_unused_datasets(study, drafts), *wrong]
    chosen = [draft for draft in drafts if draft.cell in wanted]
    problems += _missing_problems(chosen, folder / STUDY_FILE)
    problems += [problem for draft in chosen for problem in draft.contradictions]
    if chosen:
        problems += unused_overrides(over, [d.kind for d in chosen], "every cell asked for is")
    everything = tuple(
        _resolved(f"{target.name}/{draft.cell}", draft.experiment, study, draft, overrides, swept)
        for draft in drafts
        if draft.experiment is not None
    )
    cells = tuple(cell for cell in everything if cell.cell in wanted)
    problems += _same_names_of_data(everything)
    if not swept:
        problems += _same_cells(cells, overrides)
    # A sweep has no figures: its cells are others.
    problems += _figure_problems(
        study.document, drafts, [] if swept else sound_figures(study.document)
    )
    if problems:
        raise config_error(target.name, problems)
    about = study.settings
    return ResolvedStudy(
        name=target.name,
        title=about.title,
        source=folder,
        cells=cells,
        all_cells=everything,
        paper=about.paper,
        reference=about.reference,
        search=about.search,
        figures=about.figures,
        claims=about.claims,
        document=study.document,
    )


def resolve_cells(name: str, overrides: Sequence[str] = ()) -> tuple[ResolvedExperiment, ...]:
    """The experiment that `name` means, or all of them if it means a study. Raises ConfigError."""
    if find_target(name).file is None:
        return resolve_study(name, overrides).cells
    return (resolve_experiment(name, overrides),)


def list_studies() -> list[StudyListing]:
    """Every study that can be named."""
    return [list_study(name, folder) for name, folder in study_folders().items()]


def list_study(name: str, folder: Path) -> StudyListing:
    """A study and its cells. A study.yaml that cannot be read has an empty title."""
    study, _ = read_study_file(folder)
    files = cell_files(folder)
    notes = tuple(first_comment(file) for file in files.values())
    return StudyListing(name, study.settings.title, tuple(files), folder, notes)


def first_comment(path: Path) -> str:
    """The first line of a file without its `# `: what the file reproduces; '' if it has none."""
    try:
        with path.open(encoding="utf-8-sig", errors="replace") as lines:
            line = lines.readline(500).strip()
    except OSError:
        return ""
    return line.lstrip("# ") if line.startswith("#") else ""


def read_settings_file(
    path: Path, data_from: Path | None = None
) -> tuple[Document | None, list[Problem]]:
    """The settings of a cell or experiment file (None if unreadable), and what is wrong in it."""
    document, problems = read_file(path, label(path))
    if document is not None:
        document, wrong = with_names(document, data_from or path.parent)
        if document.has(("file",)) and (path.parent / STUDY_FILE).is_file():
            text = f"declares data: name the file {path.stem}{DATA_SUFFIX}, which is no cell"
            return document, [document.problem(("file",), text)]
        problems += wrong or problems_with(SettingsFile, document)
    return document, problems


def parse_overrides(
    arguments: Sequence[str], swept: Sequence[str] = ()
) -> tuple[Document, list[Problem]]:
    """The merged `--set` arguments, and all that is wrong with them in the order they were given.

    Those of one combination of `--grid`, `swept`, are merged after them.

    Each is a dotted key, `=`, and a value read by the rules of a file. A value may set a whole
    section (`model={tied: false}`); it is merged key by key, like a section of a file. Setting the
    same key twice, directly or through its section, is a problem.
    """
    over, problems = Document(), list[Problem]()
    seen: dict[str, Place] = {}
    for number, argument in enumerate((*arguments, *swept)):
        key, _, text = argument.partition("=")
        key = key.strip()
        option = "--set" if number < len(arguments) else "--grid"
        place = Place(f"{option} {shown(argument)}", number, argument_key=key)
        wrong = _malformed(argument, key, seen)
        found = [Problem(place.where, wrong)] if wrong else []
        if not wrong:
            seen[key] = place
            value, found = read_value(text, place)
            if value is not None:
                nested, wrong_data = with_names(value.part((), under=tuple(key.split("."))), Path())
                found += wrong_data or problems_with(SettingsFile, nested)
                over = merge(over, nested)
        problems += found
    return over, problems


def _malformed(argument: str, key: str, seen: dict[str, Place]) -> str:
    """What is wrong with an argument as such; empty if nothing is."""
    if any("\ud800" <= character <= "\udfff" for character in argument):  # bytes of no text
        return "is not UTF-8 text"
    if "=" not in argument:
        return f"has no =; {_EXAMPLE}"
    if not all(key.split(".")) or key.count(".") > MAX_DEPTH:
        return f"names no key; {_EXAMPLE}"
    for other, earlier in seen.items():
        if f"{key}.".startswith(f"{other}.") or f"{other}.".startswith(f"{key}."):
            return f"given twice: {earlier.where} sets {shown(other)} already"
    return ""


def _read_draft(study: StudyFile, file: Path, over: Document) -> Draft:
    """Merge a cell file with its study and the overrides."""
    return merged_cell(study, file, *read_settings_file(file, study.data_from), over)


def merged_cell(
    study: StudyFile, file: Path, own: Document | None, problems: list[Problem], over: Document
) -> Draft:
    """Merge what a cell says itself (None: its file is unreadable) with its study and overrides."""
    layers = [study.shared_with_facts, with_facts(own or Document()), with_facts(over)]
    (shared, _), (cell, _), (over, _) = layers
    dataset = merge(shared, cell, over).get(("dataset",))
    by_dataset = study.per_dataset.get(dataset) if isinstance(dataset, str) else None
    below = (shared, by_dataset or Document())
    kind = kind_of(merge(*below, cell).value)  # which --set does not change
    merged = merge(*(layer.only(kind) for layer in below), cell, over.only(kind))
    merged_kind = kind_of(merged.value)
    errors = errors_of(merged_kind, merged.value)
    wrong = {error["loc"][:2] for error in errors if error["type"] != "missing"}
    of_data = [problem for _, found in layers for problem in found]
    missing = tuple(error["loc"] for error in errors if error["type"] == "missing")
    return Draft(
        file,
        merge(shared, cell).get(("dataset",)),
        kind,
        None if errors else merged_kind.model_validate(merged.value),
        # What an unreadable file would have said cannot be called missing.
        missing if study.complete and own is not None else (),
        [*problems, *(of_data or mixed_problems(merged, merged_kind))],
        [merged.problem(*p) for p in contradictions(merged, merged_kind, wrong) if not of_data],
    )


def _resolved(
    name: str,
    experiment: AnyExperiment,
    study: StudyFile,
    draft: Draft,
    overrides: Sequence[str],
    swept: Sequence[str],
) -> ResolvedExperiment:
    """The cell, with what `--set` changed of it; nothing where its files are no experiment.

    What is swept is in the name of a variant.
    """
    changed: tuple[str, ...] = ()
    if overrides:
        before = _read_draft(study, draft.source, parse_overrides((), swept)[0]).experiment
        changed = differing(before, experiment) if before else ()
    return ResolvedExperiment(name, experiment, draft.source, study.settings.reference, changed)


def _missing_problems(drafts: Sequence[Draft], study_file: Path) -> list[Problem]:
    """Missing keys, each reported once: at its cell, or at study.yaml if several cells lack it."""
    known = known_keys(SettingsFile)
    lacking: dict[str, list[Draft]] = {}
    for draft in drafts:
        for path in draft.missing:
            lacking.setdefault(".".join(map(str, path)), []).append(draft)
    problems = []
    for key, cells in lacking.items():
        source, which = cells[0].source, ""
        if len(cells) > 1:
            source = study_file
            which = f" for {', '.join(shown(draft.cell) for draft in cells)}"
        problems.append(Problem(label(source), f"{key} is missing{which}: {expected(known[key])}"))
    return problems


def _folder_problems(folder: Path, files: dict[str, Path]) -> Iterator[Problem]:
    """A study without cells, and files that would be passed over."""
    for file in folder.glob("*.yml"):
        yield Problem(label(file), "would be passed over; name it .yaml")
    if not files:
        yield Problem(label(folder), "the study has no cells: add a .yaml file per cell")


def _unused_datasets(study: StudyFile, drafts: Sequence[Draft]) -> Iterator[Problem]:
    """Settings for data sets that no cell has."""
    used = [draft.own_dataset for draft in drafts]
    for name, _ in study.document.items(("per_dataset",)):
        if name in DATASETS and name not in used and None not in used:
            text = "no cell uses this data set; remove it or add a cell"
            yield study.document.problem(("per_dataset", name), text)


def _same_cells(cells: Sequence[ResolvedExperiment], overrides: Sequence[str]) -> Iterator[Problem]:
    first: dict[AnyExperiment, ResolvedExperiment] = {}
    for cell in cells:
        other = first.setdefault(cell.experiment, cell)
        if other is not cell:
            same = f"resolves to the same experiment as {shown(other.cell)}"
            remedy = "a study needs each one once"
            if overrides:
                remedy = f"with this --set; choose one of them: --only {cell.cell}"
            yield Problem(label(cell.source), f"{same}; {remedy}")


def _same_names_of_data(cells: Sequence[ResolvedExperiment]) -> Iterator[Problem]:
    """Own data of one name that two files declare: runs and tables would mix them."""
    first: dict[str, OwnDataset] = {}
    for cell in cells:
        if isinstance(own := cell.experiment.dataset, OwnDataset):
            other = first.setdefault(own, own)
            if other.path != own.path:
                text = f"{own.path} and {other.path} declare data of one name; rename one of them"
                yield Problem(label(cell.source), text)


def _figure_problems(
    study: Document, drafts: Sequence[Draft], figures: Sequence[tuple[str | int, Figure]]
) -> Iterator[Problem]:
    """Cells for filters stand by themselves, and figures are of nothing else."""
    cells = {draft.cell: draft for draft in drafts}
    for number, figure in figures:
        path, who = ("figures", number), f"figure {figure.name}:"
        for cell in dict.fromkeys(figure.cells):
            if cell not in cells:
                text = f"{who} the study has no cell {shown(cell)}{did_you_mean(cell, cells)}"
                yield study.problem((*path, "cells"), text)
            elif isinstance(experiment := cells[cell].experiment, FilterExperiment):
                most = experiment.model.hidden[0]
                for unit in figure.units:
                    if unit >= most:
                        text = f"{who} {shown(cell)} has no unit {unit}: from 0 to {most - 1}"
                        yield study.problem((*path, "units"), text)
    others = [cell for cell, draft in cells.items() if draft.kind is not FilterExperiment]
    if others and len(others) < len(cells):
        text = f"{', '.join(others)} cannot stand beside cells that are trained for their filters"
        yield Problem(study.place(()).where, f"{text}; put them into a study of their own")
    if figures and others and len(others) == len(cells):
        text = "figures are drawn of filters: cells of mnist, photographs or own data, no finetune"
        yield study.problem(("figures",), f"{text}; there is none")
