"""Resolve names, files and overrides to experiments.

Later settings override earlier ones: `shared` of study.yaml, its `per_dataset` entry, the cell
file, `--set`. A cell ignores shared sections and overrides that do not apply to its kind, so one
study can contain networks and SVMs. All problems are collected and raised as one ConfigError.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
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
    """An experiment with all its settings. `name` is `study/cell`, or the file's stem."""

    name: str
    experiment: AnyExperiment
    source: Path
    """The cell file or experiment file."""
    reference: Reference = "destruction"
    """What it is compared with, as set by its study."""
    changed: tuple[str, ...] = ()
    """Settings that `--set` changed; the name stays the same."""

    @property
    def cell(self) -> str:
        """Name within the study: the last part of `name`."""
        return self.name.rpartition("/")[2]


@dataclass(frozen=True)
class ResolvedStudy:
    """A study with its cells, in the natural order of their names."""

    name: str
    title: str
    source: Path
    """The study's folder."""
    cells: tuple[ResolvedExperiment, ...]
    """The selected cells."""
    all_cells: tuple[ResolvedExperiment, ...]
    """All cells of the study, with the same `--set`."""
    paper: str = ""
    reference: Reference = "destruction"
    """What the cells are compared with."""
    search: tuple[Search, ...] = ()
    """What `dae search` varies."""
    figures: tuple[Figure, ...] = ()
    """The pictures of a filter study."""
    claims: bool = True
    """Whether the report judges the paper's claims."""
    document: Document = field(default_factory=Document, compare=False, repr=False)
    """The study.yaml, for messages about it."""

    @property
    def argument(self) -> str:
        """The study as an argument of a command: its path if its name alone is not found."""
        named = study_folders().get(self.name)
        if not (self.source / STUDY_FILE).is_file() or (named and named.samefile(self.source)):
            return shlex.quote(self.name)
        return shlex.quote(f"{label(self.source)}/")

    @property
    def changed(self) -> dict[str, str]:
        """Settings that `--set` changed, by the name of the cell."""
        return {cell.cell: ", ".join(cell.changed) for cell in self.all_cells if cell.changed}

    @property
    def differing_settings(self) -> dict[str, dict[str, str]]:
        """Each cell's values of the settings in which cells differ; the tables have them."""
        settings = differing_settings([cell.experiment for cell in self.all_cells])
        return {cell.cell: own for cell, own in zip(self.all_cells, settings, strict=True)}

    @property
    def is_own_data_study(self) -> bool:
        """Whether all data are the user's own, so no published numbers exist."""
        datasets = [cell.experiment.dataset for cell in self.all_cells]
        return bool(datasets) and all(isinstance(one, OwnDataset) for one in datasets)

    def dataset(self, name: str) -> str:
        """Return the data set of this name, with its facts if it is the user's own."""
        own = (cell.experiment.dataset for cell in self.all_cells)
        return next((dataset for dataset in own if dataset == name), name)

    @property
    def is_filter_study(self) -> bool:
        """Whether the cells are trained only for their filters: pictures, no table."""
        return any(isinstance(cell.experiment, FilterExperiment) for cell in self.all_cells)


@dataclass(frozen=True)
class StudyListing:
    """A study, its cells, and the first comment line of each cell file."""

    name: str
    title: str
    cells: tuple[str, ...]
    source: Path
    reproduces: tuple[str, ...] = ()


@dataclass(frozen=True)
class Draft:
    """A cell after merging; it may be invalid."""

    source: Path
    own_dataset: object
    """The data set without overrides."""
    kind: Kind
    """The kind without overrides."""
    experiment: AnyExperiment | None
    missing: tuple[KeyPath, ...]
    problems: list[Problem]
    """Problems of the file, and sections that its kind of experiment does not have."""
    contradictions: list[Problem]

    @property
    def cell(self) -> str:
        """Name within the study."""
        return self.source.stem


def resolve_experiment(
    name: str, overrides: Sequence[str] = (), swept: Sequence[str] = ()
) -> ResolvedExperiment:
    """Return the experiment with a name (`study/cell`) or path, with `--set` applied.

    `swept`: one combination of `--grid`, in the form of `--set`.

    Raises ConfigError: unknown name, a study instead of a cell, or all problems of its files
    (its own and its study.yaml) and of the overrides.
    """
    target, file = find_experiment(name)
    in_study = (target.folder / STUDY_FILE).is_file()
    study, problems = read_study_file(target.folder) if in_study else (StudyFile(), [])
    return _resolve_file(target.name, file, study, problems, overrides, swept)


def find_experiment(name: str) -> tuple[Target, Path]:
    """Return the experiment with a name or path, and its file.

    Raises ConfigError: unknown name, or a study instead of a cell.
    """
    target = find_target(name)
    if target.file is None:
        cells = ", ".join(shown(f"{target.name}/{cell}") for cell in cell_files(target.folder))
        raise ConfigError(
            f"{shown(name)} is a study, not one experiment; pass one of its cells: {cells}"
        )
    return target, target.file


def find_study(name: str) -> Target:
    """Return the study with a name or path. Raises ConfigError: unknown name, or an experiment."""
    target = find_target(name)
    if target.file is not None:
        raise ConfigError(f"{shown(name)} is one experiment, not a study; train it with dae train")
    return target


def load_resolved(path: Path) -> AnyExperiment:
    """Return the experiment of a config.yaml, which `dump_yaml` wrote.

    A study.yaml in its folder is ignored. Raises ConfigError with all problems in the file.
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
    """Return the experiment of one file. `problems` are those of its study."""
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
    """Return a study with all its cells, or those in `only` (`convex-25`, `rect-*`).

    `data_from`: the folder that paths of own data are relative to, by default the study's.
    `swept`: one combination of `--grid`, in the form of `--set`.

    Raises ConfigError: unknown name or cell, a single experiment instead of a study, or all
    problems of all its files and of the overrides, such as two identical cells.
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
        problems += unused_overrides(over, [d.kind for d in chosen], "every selected cell is")
    everything = tuple(
        _resolved(f"{target.name}/{draft.cell}", draft.experiment, study, draft, overrides, swept)
        for draft in drafts
        if draft.experiment is not None
    )
    cells = tuple(cell for cell in everything if cell.cell in wanted)
    problems += _same_names_of_data(everything)
    if not swept:
        problems += _same_cells(cells, overrides)
    # A sweep has no figures because its cells have other names.
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
    """Return the experiment, or all cells of the study, with this name. Raises ConfigError."""
    if find_target(name).file is None:
        return resolve_study(name, overrides).cells
    return (resolve_experiment(name, overrides),)


def list_studies() -> list[StudyListing]:
    """Return all studies that can be given by name."""
    return [list_study(name, folder) for name, folder in study_folders().items()]


def list_study(name: str, folder: Path) -> StudyListing:
    """Return a study and its cells. The title is empty if study.yaml cannot be read."""
    study, _ = read_study_file(folder)
    files = cell_files(folder)
    notes = tuple(first_comment(file) for file in files.values())
    return StudyListing(name, study.settings.title, tuple(files), folder, notes)


def first_comment(path: Path) -> str:
    """Return the comment on a file's first line, which says what the file reproduces, or ''."""
    try:
        with path.open(encoding="utf-8-sig", errors="replace") as lines:
            line = lines.readline(500).strip()
    except OSError:
        return ""
    return line.lstrip("# ") if line.startswith("#") else ""


def read_settings_file(
    path: Path, data_from: Path | None = None
) -> tuple[Document | None, list[Problem]]:
    """Return the settings of a cell or experiment file (None if unreadable) and its problems."""
    document, problems = read_file(path, label(path))
    if document is not None:
        document, wrong = with_names(document, data_from or path.parent)
        if document.has(("file",)) and (path.parent / STUDY_FILE).is_file():
            text = f"declares data, so it is not a cell; rename it to {path.stem}{DATA_SUFFIX}"
            return document, [document.problem(("file",), text)]
        problems += wrong or problems_with(SettingsFile, document)
    return document, problems


def parse_overrides(
    arguments: Sequence[str], swept: Sequence[str] = ()
) -> tuple[Document, list[Problem]]:
    """Return the merged `--set` arguments, and all their problems in the order of the arguments.

    `swept`, one combination of `--grid`, is merged after them.

    An argument is a dotted key, `=`, and a value with the syntax of a file. A value can set a whole
    section (`model={tied: false}`), which is merged key by key, like a section of a file. Setting a
    key twice, directly or through its section, is a problem.
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
            if option == "--set" and len(split_values(text)) > 1:
                found = [replace(one, text=one.text + _hint_at_grid(argument)) for one in found]
        problems += found
    return over, problems


def split_values(text: str) -> list[str]:
    """Split at commas outside brackets and quotes."""
    parts, depth, quote = [""], 0, ""
    for letter in text:
        if quote:
            quote = "" if letter == quote else quote
        elif letter in "'\"":
            quote = letter
        depth += (letter in "[{") - (letter in "]}") if not quote else 0
        if letter == "," and depth == 0 and not quote:
            parts.append("")
        else:
            parts[-1] += letter
    return [part.strip() for part in parts]


def _hint_at_grid(argument: str) -> str:
    """Return how to give several values; '' for an unknown key or a list without brackets."""
    key, _, text = argument.partition("=")
    if key.strip() == "seed":
        return " (for several seeds, pass --seeds)"
    known = known_keys(SettingsFile).get(key.strip())
    if known is None or (known.get("type") == "array" and "[" not in text):
        return ""
    return f" (for a run with each of these values, pass --grid {shlex.quote(argument)})"


def _malformed(argument: str, key: str, seen: dict[str, Place]) -> str:
    """Return the problem with an argument's form, or ''."""
    if any("\ud800" <= character <= "\udfff" for character in argument):  # undecodable bytes
        return "is not UTF-8 text"
    if "=" not in argument:
        return f"has no =; {_EXAMPLE}"
    if not all(key.split(".")) or key.count(".") > MAX_DEPTH:
        return f"has no valid key; {_EXAMPLE}"
    for other, earlier in seen.items():
        if f"{key}.".startswith(f"{other}.") or f"{other}.".startswith(f"{key}."):
            return f"given twice: {earlier.where} already sets {shown(other)}"
    return ""


def _read_draft(study: StudyFile, file: Path, over: Document) -> Draft:
    """Merge a cell file with its study and the overrides."""
    return merged_cell(study, file, *read_settings_file(file, study.data_from), over)


def merged_cell(
    study: StudyFile, file: Path, own: Document | None, problems: list[Problem], over: Document
) -> Draft:
    """Merge a cell's own settings (None: its file is unreadable) with its study and overrides."""
    layers = [study.shared_with_facts, with_facts(own or Document()), with_facts(over)]
    (shared, _), (cell, _), (over, _) = layers
    dataset = merge(shared, cell, over).get(("dataset",))
    by_dataset = study.per_dataset.get(dataset) if isinstance(dataset, str) else None
    below = (shared, by_dataset or Document())
    kind = kind_of(merge(*below, cell).value)  # --set does not change it
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
        # A key is not missing if it may be in a file that cannot be read.
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
    """Return the cell with the settings that `--set` changed, if its files alone are valid.

    Swept settings are not among them, because the name of a variant contains them.
    """
    changed: tuple[str, ...] = ()
    if overrides:
        before = _read_draft(study, draft.source, parse_overrides((), swept)[0]).experiment
        changed = differing(before, experiment) if before else ()
    return ResolvedExperiment(name, experiment, draft.source, study.settings.reference, changed)


def _missing_problems(drafts: Sequence[Draft], study_file: Path) -> list[Problem]:
    """Report each missing key once: at its cell, or at study.yaml if several cells lack it."""
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
    """Report a study without cells, and files that would be ignored."""
    for file in folder.glob("*.yml"):
        yield Problem(label(file), f"would be ignored; rename it to {shown(file.stem)}.yaml")
    if not files:
        yield Problem(label(folder), "the study has no cells; add one .yaml file per cell")


def _unused_datasets(study: StudyFile, drafts: Sequence[Draft]) -> Iterator[Problem]:
    """Report settings for data sets that no cell uses."""
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
            same = f"is the same experiment as {shown(other.cell)}"
            remedy = "remove one of the two"
            if overrides:
                remedy = f"with this --set; select one of them: --only {cell.cell}"
            yield Problem(label(cell.source), f"{same}; {remedy}")


def _same_names_of_data(cells: Sequence[ResolvedExperiment]) -> Iterator[Problem]:
    """Report two declarations of own data with one name: runs and tables would mix them."""
    first: dict[str, OwnDataset] = {}
    for cell in cells:
        if isinstance(own := cell.experiment.dataset, OwnDataset):
            other = first.setdefault(own, own)
            if other.path != own.path:
                text = f"{own.path} and {other.path} declare the same name; rename one of them"
                yield Problem(label(cell.source), text)


def _figure_problems(
    study: Document, drafts: Sequence[Draft], figures: Sequence[tuple[str | int, Figure]]
) -> Iterator[Problem]:
    """Report figures without a cell or unit, and cells for filters mixed with other cells."""
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
                        text = f"{who} {shown(cell)} has no unit {unit}; units are 0 to {most - 1}"
                        yield study.problem((*path, "units"), text)
    others = [cell for cell, draft in cells.items() if draft.kind is not FilterExperiment]
    if others and len(others) < len(cells):
        text = f"cells trained for their filters cannot be mixed with others ({', '.join(others)})"
        yield Problem(study.place(()).where, f"{text}; put them into separate studies")
    if figures and others and len(others) == len(cells):
        text = "no cell is trained for its filters; figures need cells of mnist, photographs or"
        yield study.problem(("figures",), f"{text} own data without finetune")
