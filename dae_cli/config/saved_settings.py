"""settings.yaml of a results folder: the study, with the settings that produced its rows.

    study: "icml2008"
    title: "ICML 2008, Table 1: rect-img and convex"
    reference: destruction
    cells:
      convex-25:
        dataset: convex
        model: {hidden: [1000, 1000, 1000], tied: true, init: glorot}
        …

Cells have the format of `dae show`, and figures that of study.yaml. `changed` lists the settings
that `--set` changed, because the names of cells do not show them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from dae_cli.config.dump import dump_yaml, one_line, quoted
from dae_cli.config.experiments import (
    ResolvedExperiment,
    ResolvedStudy,
    merged_cell,
    parse_overrides,
)
from dae_cli.config.messages import KeyPath, Problem, config_error, path_label, problems_with
from dae_cli.config.names import label
from dae_cli.config.own_data import with_names
from dae_cli.config.reader import Document, read_file
from dae_cli.config.rules import unused_overrides
from dae_cli.config.schema import AnyExperiment
from dae_cli.config.study_schema import SavedStudy, StudyFile, same_names
from dae_cli.errors import ConfigError, some

SETTINGS = "settings.yaml"
_HEAD = "# Written by dae: what the results in this folder were made with (docs/results.md)."
_LARGER = 20
"""Size limit in units of an experiment file's, enough for more than a thousand cells."""
_PLAIN_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def settings_text(study: ResolvedStudy) -> str:
    """Return the file's text, identical on every machine; `read_settings` reads the study back."""
    lines = [_HEAD, f"study: {quoted(study.name)}", f"title: {quoted(study.title)}"]
    if study.paper:
        lines.append(f"paper: {quoted(study.paper)}")
    lines.append(f"reference: {study.reference}")
    if not study.claims:
        lines.append("claims: false")
    if study.figures:
        figures = (figure.model_dump(exclude_defaults=True) for figure in study.figures)
        lines += ["figures:", *(f"  - {one_line(figure, quoted)}" for figure in figures)]
    if study.changed:
        lines.append("changed:")
        lines += [f"  {_key(cell)}: {quoted(what)}" for cell, what in study.changed.items()]
    lines.append("cells:")
    for cell in study.all_cells:
        lines.append(f"  {_key(cell.cell)}:")
        lines += [f"    {line}" for line in dump_yaml(cell.experiment).splitlines()]
    return "\n".join(lines) + "\n"


def _key(cell: str) -> str:
    return cell if _PLAIN_KEY.fullmatch(cell) else quoted(cell)


def read_settings(path: Path, source: Path) -> ResolvedStudy:
    """Return the study that `settings_text` wrote; `source` is its folder. Raises ConfigError."""
    document, problems = read_file(path, label(path), larger=_LARGER)
    if document is None:
        raise _unreadable(path, problems)
    for cell in [*document.sections("cells")]:
        document, of_data = with_names(document, path.parent, ("cells", cell, "dataset"))
        problems += of_data
    problems += problems_with(SavedStudy, document, label(path), same_names(document))
    experiments: dict[str, AnyExperiment] = {}
    for cell, own in document.sections("cells").items():
        draft = merged_cell(StudyFile(), path, own, [], Document())
        problems += [*draft.problems, *draft.contradictions]
        for missing in draft.missing:
            key = path_label(("cells", cell, *missing))
            problems.append(own.problem(missing, "is missing", key))
        if draft.experiment is not None:
            experiments[cell] = draft.experiment
    if problems:
        raise _unreadable(path, problems)
    saved = SavedStudy.model_validate({**document.value, "cells": {}})
    cells = tuple(
        ResolvedExperiment(
            f"{saved.study}/{cell}",
            experiment,
            path,
            saved.reference,
            (saved.changed[cell],) if cell in saved.changed else (),
        )
        for cell, experiment in experiments.items()
    )
    return ResolvedStudy(
        name=saved.study,
        title=saved.title,
        source=source,
        cells=cells,
        all_cells=cells,
        paper=saved.paper,
        reference=saved.reference,
        figures=saved.figures,
        claims=saved.claims,
    )


def _unreadable(path: Path, problems: Sequence[Problem]) -> ConfigError:
    wrong = config_error(label(path), problems)
    remedy = "move the file away, then pass the study with its --set and --out"
    return ConfigError(f"{wrong}\n{remedy}")


def require_fit(
    cells: Mapping[str, AnyExperiment], overrides: Sequence[str], folder: Path, remedy: str
) -> None:
    """Check that `--set` agrees with the settings that produced a folder's rows.

    Raises ConfigError: an argument is invalid or differs; the message has both values.
    """
    over, problems = parse_overrides(overrides)
    if cells:
        kinds = [type(experiment) for experiment in cells.values()]
        problems += unused_overrides(over, kinds, f"every cell of {label(folder)} is")
    if problems:
        raise config_error("--set", problems)
    misfits: dict[str, list[str]] = {}
    for cell, experiment in cells.items():
        for misfit in _misfits(experiment.model_dump(mode="json"), over, ()):
            misfits.setdefault(misfit, []).append(cell)
    if misfits:
        raise ConfigError(
            f"{label(folder)} was not made with these settings:\n"
            f"{format_misfits(misfits)}\n{remedy}"
        )


def _misfits(there: Mapping[str, Any], over: Document, path: KeyPath) -> Iterator[str]:
    """Yield each setting whose given value differs from the folder's, with both values."""
    for key, given in over.get(path).items():
        own, here = there.get(key), (*path, key)
        if isinstance(given, dict) and isinstance(own, dict):
            yield from _misfits(own, over, here)
        elif given != own and (path or key in there):
            now = over.written(here)
            yield f"{path_label(here)}: {format_value(own)} in the folder, {now} given"


def format_value(value: Any) -> str:
    """Return a setting in the format of an experiment file, or `not set`."""
    return "not set" if value is None else one_line(value)


def format_misfits(misfits: Mapping[str, Sequence[str]]) -> str:
    """Return one line per differing setting, with the cells in which it differs."""
    return "\n".join(f"  {misfit} ({some(cells)})" for misfit, cells in misfits.items())
