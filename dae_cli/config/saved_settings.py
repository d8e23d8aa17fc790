"""settings.yaml of a results folder: the study with the settings that its rows were made with.

    study: "icml2008"
    title: "ICML 2008, Table 1: rect-img and convex"
    reference: destruction
    cells:
      convex-25:
        dataset: convex
        model: {hidden: [1000, 1000, 1000], tied: true, init: glorot}
        …

A cell stands there as `dae show` prints it, a figure of a study on filters as in its study.yaml;
`changed` has what `--set` changed of a cell, which keeps its name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dae_cli.config.checks import layer_problems
from dae_cli.config.drafts import draft_from
from dae_cli.config.dump import dump_yaml, one_line, quoted
from dae_cli.config.entries import Entry, Layer, plain
from dae_cli.config.experiments import ResolvedExperiment, ResolvedStudy
from dae_cli.config.figures import read_figures
from dae_cli.config.kinds import unused_overrides
from dae_cli.config.names import label
from dae_cli.config.overrides import parse_overrides
from dae_cli.config.problems import Problem, config_error
from dae_cli.config.reader import read_file
from dae_cli.config.schema import AnyExperiment
from dae_cli.config.study_files import StudyFile, claims_at, mapping_at, reference_at, text_at
from dae_cli.errors import ConfigError, shown

SETTINGS = "settings.yaml"
_HEAD = "# Written by dae: what the results in this folder were made with (docs/results.md)."
_KEYS = ("study", "title", "paper", "reference", "claims", "figures", "changed", "cells")
_LARGER = 20
"""Than a file of experiments: room for more than a thousand cells."""
_PLAIN_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def settings_text(study: ResolvedStudy) -> str:
    """Return the file's text, the same on every machine; `read_settings` reads the study back."""
    lines = [_HEAD, f"study: {quoted(study.name)}", f"title: {quoted(study.title)}"]
    if study.paper:
        lines.append(f"paper: {quoted(study.paper)}")
    lines.append(f"reference: {study.reference}")
    if not study.claims:
        lines.append("claims: false")
    if study.figures:
        figures = (figure.model_dump(exclude_defaults=True) for figure in study.figures)
        lines += ["figures:", *(f"  - {one_line(_all_quoted(figure))}" for figure in figures)]
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


def _all_quoted(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _all_quoted(item) for key, item in value.items()}
    if isinstance(value, tuple):
        return tuple(_all_quoted(item) for item in value)
    return quoted(value) if isinstance(value, str) else value


def read_settings(path: Path, source: Path) -> ResolvedStudy:
    """Read the study that `settings_text` wrote.

    Args:
        path: of the file.
        source: the study's folder, where people write what they tried.

    Raises:
        ConfigError: it cannot be read, or is not as dae writes it.
    """
    entry, problems = read_file(path, label(path), _LARGER)
    if entry is None or not isinstance(entry.value, dict):
        problems = problems or [Problem(label(path), f"has none of {', '.join(_KEYS)}")]
        raise _not_ours(path, problems)
    items = entry.value
    problems += [item.problem(k, "unknown key") for k, item in items.items() if k not in _KEYS]
    name, title = text_at(items, "study", problems), text_at(items, "title", problems)
    paper, reference = text_at(items, "paper", problems), reference_at(items, problems)
    claims = claims_at(items, problems)
    figures, wrong = read_figures(items.get("figures"))
    problems += wrong
    changes = mapping_at(items, "changed", problems)
    cells = []
    for cell, item in mapping_at(items, "cells", problems).items():
        experiment, wrong = _experiment(path, cell, item)
        problems += wrong
        if experiment is not None:
            changed = (text_at(changes, cell, problems),) if cell in changes else ()
            cells.append(ResolvedExperiment(f"{name}/{cell}", experiment, path, reference, changed))
    problems += [
        Problem(label(path), f"{k} is missing") for k in ("study", "cells") if k not in items
    ]
    if problems:
        raise _not_ours(path, problems)
    every = tuple(cells)
    return ResolvedStudy(
        name, title, source, every, every, paper, reference, figures=figures, claims=claims
    )


def _experiment(path: Path, cell: str, item: Entry) -> tuple[AnyExperiment | None, list[Problem]]:
    """The experiment of a cell, None if there is none, and what is wrong with it."""
    if not isinstance(item.value, dict):
        return None, [item.problem(f"cells.{cell}", "must be a mapping of settings")]
    draft, problems = draft_from(StudyFile(), path, item.items, {})
    problems += layer_problems(item.items, f"cells.{cell}.")
    missing = [item.problem(f"cells.{cell}.{key}", "is missing") for key in draft.missing]
    return draft.experiment, [*problems, *missing, *draft.contradictions]


def _not_ours(path: Path, problems: Sequence[Problem]) -> ConfigError:
    told = config_error(label(path), problems)
    remedy = "move the file away, and name the study with its --set and --out"
    return ConfigError(f"{told}\n{remedy}")


def require_fit(
    cells: Mapping[str, AnyExperiment], overrides: Sequence[str], folder: Path, remedy: str
) -> None:
    """Make sure that `--set` says nothing else than what results were made with.

    Args:
        cells: what is known of the settings of a folder's rows.
        overrides: the `--set` arguments.
        folder: of the results.
        remedy: what to do instead, for the message.

    Raises:
        ConfigError: an argument is wrong, or does not fit, each told with both values.
    """
    over, problems = parse_overrides(overrides)
    if cells:
        kinds = [type(experiment) for experiment in cells.values()]
        problems += unused_overrides(over, kinds, f"every cell of {label(folder)} is")
    if problems:
        raise config_error("--set", problems)
    misfits: dict[str, list[str]] = {}
    for cell, experiment in cells.items():
        own = experiment.model_dump(mode="json")
        for told in _misfits(own, {k: e for k, e in over.items() if k in own}, ""):
            misfits.setdefault(told, []).append(cell)
    if misfits:
        raise ConfigError(
            f"{label(folder)} was not made with these settings:\n"
            f"{format_misfits(misfits)}\n{remedy}"
        )


def _misfits(there: Mapping[str, Any], given: Layer, prefix: str) -> list[str]:
    """Each setting that is given otherwise than it is there, with both values."""
    found = []
    for key, entry in given.items():
        own = there.get(key)
        if entry.items and isinstance(own, dict):
            found += _misfits(own, entry.items, f"{prefix}{key}.")
        elif plain(entry) != own:
            found.append(
                f"{prefix}{key}: {format_value(own)} in the folder, {entry.written()} given"
            )
    return found


def format_value(value: Any) -> str:
    """Return a setting as an experiment file has it; `not set` where there is none."""
    return "not set" if value is None else one_line(_with_tuples(value))


def _with_tuples(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _with_tuples(item) for key, item in value.items()}
    return tuple(value) if isinstance(value, list) else value


def format_misfits(misfits: Mapping[str, Sequence[str]]) -> str:
    """Return a line for each setting that differs, with the cells where it does."""
    return "\n".join(f"  {told} ({some(cells)})" for told, cells in misfits.items())


def some(names: Sequence[str], most: int = 6) -> str:
    """Return names in a row, the first few of many."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(map(shown, names[:most])) + more
