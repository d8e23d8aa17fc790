"""Which cells of a study are searched, each with its space; and settings drawn from a space."""

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
"""A value of each key of a space."""


@dataclass(frozen=True)
class SearchedCell:
    """A cell with what is searched in it."""

    resolved: ResolvedExperiment
    experiment: Experiment
    """As the cell's file says now; searched keys in it are replaced by those of a trial."""
    space: Mapping[str, Domain]
    trials: int | None
    """That it is to have, where the study says so."""
    sampler_seed: int
    prune: PruneSettings

    @property
    def cell(self) -> str:
        """Its name inside the study."""
        return self.resolved.cell

    def with_values(self, values: Values) -> Experiment:
        """The cell's experiment with other values of the searched keys.

        Raises pydantic's ValidationError for values that the schema refuses.
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
    """The study and its cells that are searched, or those of them that `only` names.

    Cells without a space, and SVM cells, which select within their own run, are passed over.

    Raises ConfigError: what `resolve_study` raises; a study without a search section; a glob that
    no cell has; a cell that two items name; a space with values that make no experiment.
    """
    study = resolve_study(name)
    if not study.search:
        raise ConfigError(
            f"{label(study.source / STUDY_FILE)} has no search section: nothing says which "
            "settings are searched; docs/search.md shows one"
        )
    found, problems = _matched(study)
    if problems:
        raise config_error(study.name, problems)
    wanted = chosen_cells(only, study.name, found, "search of")
    return study, tuple(cell for cell in found.values() if cell.cell in wanted)


def settings_of(experiment: Experiment, values: Values) -> dict[str, Any]:
    """The dotted keys that values of a space set; `units` and `layers` make model.hidden."""
    hidden = experiment.model.hidden
    found: dict[str, Any] = {k: v for k, v in values.items() if k not in (UNITS, LAYERS)}
    if UNITS in values or LAYERS in values:
        units, layers = values.get(UNITS, hidden[0]), values.get(LAYERS, len(hidden))
        found["model.hidden"] = (units,) * int(layers)
    return found


def _matched(study: ResolvedStudy) -> tuple[dict[str, SearchedCell], list[Problem]]:
    """The searched cells by name, in the study's order, and what is wrong with their searches."""
    names = [cell.cell for cell in study.all_cells]
    places = [study.document.place(("search", k)).where for k in range(len(study.search))]
    problems: list[Problem] = []
    for item, where in zip(study.search, places, strict=True):
        for glob in item.cells:
            if not any(fnmatchcase(cell, glob) for cell in names):
                near = did_you_mean(glob, names) or f"; the cells are {', '.join(names)}"
                text = f"no cell of the study has this name{near}"
                problems.append(Problem(f"{where}  cells: {shown(glob)}", text))
    found: dict[str, SearchedCell] = {}
    for resolved in study.all_cells:
        cell, experiment = resolved.cell, resolved.experiment
        matching = [k for k, item in enumerate(study.search) if _names(item, cell)]
        if len(matching) > 1:
            first, second, *_ = (places[k] for k in matching)
            problems.append(Problem(second, f"names {shown(cell)}, which {first} names as well"))
        elif matching and isinstance(experiment, Experiment):
            item = study.search[matching[0]]
            about = (item.domains, item.trials or None, item.sampler_seed, item.prune)
            found[cell] = SearchedCell(resolved, experiment, *about)
            problems += _illegal(found[cell], study.document, matching[0])
        elif matching and cell in study.search[matching[0]].cells:
            filters = isinstance(experiment, FilterExperiment)
            why = "without an error to select by" if filters else "which selects within its own run"
            text = f"{shown(cell)} is {KINDS[type(experiment)]}, {why}"
            problems.append(Problem(places[matching[0]], text))
    return found, problems


def _names(item: Search, cell: str) -> bool:
    return any(fnmatchcase(cell, glob) for glob in item.cells)


def _illegal(cell: SearchedCell, document: Document, number: int) -> list[Problem]:
    """What is wrong with the corners of a cell's space: values contradict the cell's others."""
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
            text = f"makes no experiment of {shown(cell.cell)} with {given}: {why}"
            return [document.problem((*path, "space", key), text, f"space.{key}")]
    return []
