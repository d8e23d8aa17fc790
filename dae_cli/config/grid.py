"""`--grid KEY=A,B`: replace each cell of a study by variants, one per combination of values.

A variant's name is its cell and the swept settings: `convex-25+learning_rate=0.01`. If the name
of the cell may contain a swept setting, such as the destruction, the variant's name starts with
the data set instead: `convex+destruction=0.15`.
"""

from __future__ import annotations

import itertools
import json
import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from dae_cli.config.experiments import (
    ResolvedExperiment,
    ResolvedStudy,
    find_experiment,
    parse_overrides,
    resolve_experiment,
    resolve_study,
    split_values,
)
from dae_cli.config.messages import Problem, config_error, known_keys
from dae_cli.config.names import STUDY_FILE, find_target
from dae_cli.config.reader import Place, read_value
from dae_cli.config.schema import AnyExperiment, SettingsFile
from dae_cli.errors import ConfigError, shown

MOST_COMBINATIONS = 1000
_NAMED_BY_CELLS = {"dataset", "model.hidden", "corruption.kind", "corruption.destruction"}
"""Settings in the usual names of cells, which are misleading if these are swept."""
_EXAMPLE = "--grid pretrain.learning_rate=0.01,0.1"
LIST_EXAMPLE = "--grid 'model.hidden=[1000],[1000,1000]'"


def combinations(grid: Sequence[str]) -> list[tuple[str, ...]]:
    """Return each combination of values as arguments `KEY=VALUE`; the last key changes fastest.

    Args:
        grid: `KEY=A,B`; a comma within brackets or quotes is part of a value.

    Raises:
        ConfigError: an argument has another form, or there are too many combinations.
    """
    options: dict[str, list[str]] = {}
    for argument in grid:
        key, _, text = argument.partition("=")
        key, values = key.strip(), split_values(text)
        if not key or not all(values):
            why = f"expected KEY=A,B, for example {_EXAMPLE} or {LIST_EXAMPLE}"
            raise ConfigError(f"--grid {shown(argument)}: {why}")
        if key == "seed":
            why = "all variants use the same seeds; set their number with --seeds"
            raise ConfigError(f"--grid {shown(argument)}: {why}")
        if key in options:
            raise ConfigError(f"--grid {shown(argument)}: key given twice; list all values once")
        options[key] = [f"{key}={value}" for value in values]
    if math.prod(map(len, options.values())) > MOST_COMBINATIONS:
        raise ConfigError(f"--grid: more than {MOST_COMBINATIONS} combinations; pass fewer values")
    return list(itertools.product(*options.values()))


def normal_form(argument: str) -> str:
    """Return `KEY=VALUE` without blanks, its value the same text for 0.250 and 0.25."""
    key, _, text = argument.partition("=")
    value, problems = read_value(text, Place("", 0))
    if value is None or problems:
        return argument
    plain = _plain(value.value)
    words = plain if isinstance(plain, str) else json.dumps(plain, separators=(",", ":"))
    return f"{key.strip()}={words}"


def normal_grid(argument: str) -> str:
    """Return `KEY=A,B` in the normal form, each value once, in ascending order."""
    key, _, text = argument.partition("=")

    def by_size(value: str) -> tuple[list[float], str]:
        parts = value.strip("[]").split(",")
        try:
            return list(map(float, parts)), value
        except ValueError:
            return [], value

    values = {normal_form(f"{key}={one}").partition("=")[2] for one in split_values(text)}
    return f"{key.strip()}={','.join(sorted(values, key=by_size))}"


def _plain(value: Any) -> Any:
    """Return a value of a file with whole numbers as integers."""
    if isinstance(value, list):
        return [_plain(one) for one in value]
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in sorted(value.items())}
    return int(value) if isinstance(value, float) and value.is_integer() else value


@dataclass(frozen=True)
class _Variant:
    base: str
    """The cell that it varies."""
    values: tuple[str, ...]
    """`KEY=VALUE` of each swept setting that applies to the cell."""
    cell: ResolvedExperiment


def resolve_sweep(
    name: str, overrides: Sequence[str], grid: Sequence[str], only: Sequence[str] = ()
) -> ResolvedStudy:
    """Return a study whose cells are the variants of a grid; without a grid the study itself.

    Identical variants become one cell. A cell without any of the swept settings is not changed.
    The result has no claims and figures, because these are about the study's own cells. Its title
    names the swept settings.

    Args:
        name: a study, or a single experiment file, which is treated as a study with one cell.
        only: names of the study's cells, or globs.

    Raises:
        ConfigError: as in `resolve_study`; or the grid is invalid.
    """
    target = find_target(name)
    if not grid:
        return _resolve(name, overrides, only)
    swept = combinations(grid)
    _require_sound(target.name, overrides, swept)
    studies = [_resolve(name, overrides, only, values) for values in swept]
    variants: dict[AnyExperiment, _Variant] = {}
    for place, base in enumerate(studies[0].cells):
        for study, values in zip(studies, swept, strict=True):
            cell = study.cells[place]
            variants.setdefault(
                cell.experiment, _Variant(base.cell, tuple(_applicable(values, cell)), cell)
            )
    cells = tuple(
        replace(variant.cell, name=f"{studies[0].name}/{name}")
        for name, variant in zip(_names_of([*variants.values()]), variants.values(), strict=True)
    )
    keys = ", ".join(value.partition("=")[0] for value in swept[0])
    title = f"Sweep of {studies[0].name}: {keys}"
    sweep = replace(studies[0], title=title, cells=cells, all_cells=cells)
    return replace(sweep, search=(), figures=(), claims=False)


def study_of(name: str) -> tuple[str, list[str]]:
    """Return the study of one experiment, and the cells to pass as `only` to sweep it.

    A file outside a study is its own study. Raises ConfigError: there is no such experiment.
    """
    target, file = find_experiment(name)
    if (target.folder / STUDY_FILE).is_file():
        return str(target.folder / STUDY_FILE), [file.stem]
    return name, []


def _resolve(
    name: str, overrides: Sequence[str], only: Sequence[str], swept: Sequence[str] = ()
) -> ResolvedStudy:
    """Return a study, or a single file as a study, with one combination of the grid."""
    target = find_target(name)
    if target.file is None or (target.folder / STUDY_FILE).is_file():
        return resolve_study(name, overrides, only, swept=swept)
    one = resolve_experiment(name, overrides, swept)
    one = replace(one, name=f"{one.cell}/{one.cell}")
    return ResolvedStudy(
        name=one.cell,
        title=one.cell,
        source=one.source.parent,
        cells=(one,),
        all_cells=(one,),
        reference=one.reference,
        claims=False,
    )


def _require_sound(name: str, overrides: Sequence[str], swept: Sequence[tuple[str, ...]]) -> None:
    """Raise ConfigError with the problems of all values, each checked alone."""
    known, problems = known_keys(SettingsFile), list[Problem]()
    unknown: dict[str, str] = {}
    for value in dict.fromkeys(itertools.chain(*swept)):
        key, _, text = value.partition("=")
        if key not in known and unknown.setdefault(key, value) != value:
            continue  # reported once
        _, wrong = parse_overrides(overrides, [value])
        if known.get(key, {}).get("type") == "array" and not text.startswith("["):
            hint = f"; write lists in brackets: {LIST_EXAMPLE}"
            wrong = [replace(problem, text=f"{problem.text}{hint}") for problem in wrong]
        problems += wrong
    if problems:
        raise config_error(name, problems)


def _applicable(values: Sequence[str], cell: ResolvedExperiment) -> Iterator[str]:
    """Yield the values whose section the cell's kind of experiment has."""
    for value in values:
        section = value.partition("=")[0].partition(".")[0]
        if section in type(cell.experiment).model_fields:
            yield value


def _names_of(variants: Sequence[_Variant]) -> list[str]:
    """Return a unique name for each variant; data sets replace cells only if that is unique."""
    short = [
        variant_name(variant.base, variant.cell.experiment.dataset, variant.values)
        for variant in variants
    ]
    count = Counter(short)
    names: list[str] = []
    for name, variant in zip(short, variants, strict=True):
        name = name if count[name] == 1 else _name(variant.base, variant.values)
        again = (f"{name}+{number}" for number in itertools.count(2))
        names.append(name if name not in names else next(n for n in again if n not in names))
    return names


def variant_name(cell: str, dataset: str, values: Sequence[str]) -> str:
    """Return the name of a cell with changed settings `KEY=VALUE`."""
    keys = {value.partition("=")[0] for value in values}
    return _name(str(dataset) if keys & _NAMED_BY_CELLS else cell, values)


def _name(base: str, values: Sequence[str]) -> str:
    settings = [value.partition("=")[::2] for value in values]
    last = Counter(key.rpartition(".")[2] for key, _ in settings)
    parts = [base]
    for key, value in settings:
        short = key.rpartition(".")[2]
        # File names and links contain the name.
        words = "-".join(re.findall(r"[A-Za-z0-9._]+|-(?=[0-9.])", value))
        if (key, words) != ("dataset", base):
            parts.append(f"{short if last[short] == 1 else key}={words}")
    return "+".join(parts)
