"""The searched cells of a study with their search spaces, and the settings of a trial."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from dae_cli.config.experiments import ResolvedExperiment, ResolvedStudy, resolve_study
from dae_cli.config.messages import Problem, config_error
from dae_cli.config.names import STUDY_FILE, chosen_cells, label
from dae_cli.config.reader import Document
from dae_cli.config.rules import contradictions
from dae_cli.config.schema import KINDS, Experiment, FilterExperiment
from dae_cli.config.search_space import LAYERS, UNITS, Domain, PruneSettings, Search, Value
from dae_cli.errors import ConfigError, did_you_mean, shown

Values = Mapping[str, Value]
"""One value for each key of a space."""


@dataclass(frozen=True)
class SearchedCell:
    """A cell with its search space."""

    resolved: ResolvedExperiment
    experiment: Experiment
    """The cell's current experiment; trials replace the searched settings."""
    space: Mapping[str, Domain]
    trials: int | None
    """Number of trials, if the study sets it."""
    sampler_seed: int
    prune: PruneSettings

    @property
    def cell(self) -> str:
        """Name within the study."""
        return self.resolved.cell

    def with_values(self, values: Values) -> Experiment:
        """Return the cell's experiment with other values of the searched keys.

        Raises pydantic's ValidationError for values that the schema rejects.
        """
        settings = self.experiment.model_dump()
        for key, value in settings_of(self.experiment, values).items():
            *sections, name = key.split(".")
            level: dict[str, Any] = settings
            for section in sections:
                level = level[section]
            level[name] = value
        return Experiment.model_validate(settings)


def resolve_search(
    name: str, only: Sequence[str] = ()
) -> tuple[ResolvedStudy, tuple[SearchedCell, ...]]:
    """Return a study and its searched cells, or those of them that `only` names.

    Cells without a search space are skipped, and so are SVMs, whose runs select their own
    hyperparameters.

    Raises ConfigError: as in `resolve_study`; a study without a search section; a glob without a
    matching cell; a cell that two items match; a space with values of an invalid experiment.
    """
    study = resolve_study(name)
    if not study.search:
        raise ConfigError(
            f"{label(study.source / STUDY_FILE)} has no search section; add one that lists the "
            "settings to search (see docs/search.md)"
        )
    found, problems = _matched(study)
    if problems:
        raise config_error(study.name, problems)
    wanted = chosen_cells(only, study.name, found, "search of")
    return study, tuple(cell for cell in found.values() if cell.cell in wanted)


def settings_of(experiment: Experiment, values: Values) -> dict[str, Any]:
    """Return the settings by dotted key for values of a space; `units`, `layers` become hidden."""
    hidden = experiment.model.hidden
    found: dict[str, Any] = {k: v for k, v in values.items() if k not in (UNITS, LAYERS)}
    if UNITS in values or LAYERS in values:
        units, layers = values.get(UNITS, hidden[0]), values.get(LAYERS, len(hidden))
        found["model.hidden"] = (units,) * int(layers)
    return found


def _matched(study: ResolvedStudy) -> tuple[dict[str, SearchedCell], list[Problem]]:
    """Return the searched cells by name, in the study's order, and the problems of their search."""
    names = [cell.cell for cell in study.all_cells]
    places = [study.document.place(("search", k)).where for k in range(len(study.search))]
    problems: list[Problem] = []
    for item, where in zip(study.search, places, strict=True):
        for glob in item.cells:
            if not any(fnmatchcase(cell, glob) for cell in names):
                near = did_you_mean(glob, names) or f"; the cells are {', '.join(names)}"
                text = f"matches no cell of the study{near}"
                problems.append(Problem(f"{where}  cells: {shown(glob)}", text))
    found: dict[str, SearchedCell] = {}
    for resolved in study.all_cells:
        cell, experiment = resolved.cell, resolved.experiment
        matching = [k for k, item in enumerate(study.search) if _names(item, cell)]
        if len(matching) > 1:
            first, second, *_ = (places[k] for k in matching)
            text = f"matches {shown(cell)}, which {first} matches too; remove it from one of them"
            problems.append(Problem(second, text))
        elif matching and isinstance(experiment, Experiment):
            item = study.search[matching[0]]
            about = (item.domains, item.trials or None, item.sampler_seed, item.prune)
            found[cell] = SearchedCell(resolved, experiment, *about)
            problems += _illegal(found[cell], study.document, matching[0])
        elif matching and cell in study.search[matching[0]].cells:
            filters = isinstance(experiment, FilterExperiment)
            why = "has no validation error" if filters else "selects its own settings in its run"
            text = f"{shown(cell)} cannot be searched: it is {KINDS[type(experiment)]} and {why}"
            problems.append(Problem(places[matching[0]], text))
    return found, problems


def _names(item: Search, cell: str) -> bool:
    return any(fnmatchcase(cell, glob) for glob in item.cells)


def _illegal(cell: SearchedCell, document: Document, number: int) -> list[Problem]:
    """Report the first corner of a cell's space that contradicts the cell's other settings."""
    first = {key: domain.ends[0] for key, domain in cell.space.items()}
    last = {key: domain.ends[-1] for key, domain in cell.space.items()}
    corners = [(next(iter(first)), last)]
    corners += [(k, {**first, k: end}) for k, domain in cell.space.items() for end in domain.ends]
    path = ("search", number)
    for key, values in corners:
        settings = cell.with_values(values).model_dump(exclude_defaults=True)
        written = Document(settings, {(): document.place(path)})
        for _, why in contradictions(written, Experiment):
            given = ", ".join(f"{k} {v}" for k, v in values.items())
            text = f"makes {shown(cell.cell)} invalid with {given}: {why}"
            return [document.problem((*path, "space", key), text, f"space.{key}")]
    return []
