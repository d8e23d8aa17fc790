"""`--grid KEY=A,B`: each cell of a study becomes several, one for each combination of the values.

A variant is named for what it is: `convex-25+learning_rate=0.01`. Where a setting is swept that
names of cells tell, such as the destruction, its data set stands in place of the cell:
`convex+destruction=0.15`.
"""

from __future__ import annotations

import itertools
import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from dae_cli.config.experiments import (
    ResolvedExperiment,
    ResolvedStudy,
    find_experiment,
    parse_overrides,
    resolve_experiment,
    resolve_study,
)
from dae_cli.config.messages import Problem, config_error, known_keys
from dae_cli.config.names import STUDY_FILE, find_target
from dae_cli.config.schema import AnyExperiment, SettingsFile
from dae_cli.errors import ConfigError, shown

MOST_COMBINATIONS = 1000
_NAMED_BY_CELLS = {"dataset", "model.hidden", "corruption.kind", "corruption.destruction"}
"""Settings that a cell is usually named by: its name is wrong where they are swept."""
_EXAMPLE = "--grid pretrain.learning_rate=0.01,0.1"
LIST_EXAMPLE = "--grid 'model.hidden=[1000],[1000,1000]'"


def combinations(grid: Sequence[str]) -> list[tuple[str, ...]]:
    """Return each combination of values as arguments `KEY=VALUE`; the last key changes fastest.

    Args:
        grid: `KEY=A,B`; a comma within brackets or quotes is part of a value.

    Raises:
        ConfigError: an argument is no such list, or there are too many combinations.
    """
    options: dict[str, list[str]] = {}
    for argument in grid:
        key, _, text = argument.partition("=")
        key, values = key.strip(), _split(text)
        if not key or not all(values):
            why = f"expected KEY=A,B, for example {_EXAMPLE} or {LIST_EXAMPLE}"
            raise ConfigError(f"--grid {shown(argument)}: {why}")
        if key == "seed":
            why = "every variant is run with the same seeds: give their number with --seeds"
            raise ConfigError(f"--grid {shown(argument)}: {why}")
        if key in options:
            raise ConfigError(f"--grid {shown(argument)}: given twice; list all values at once")
        options[key] = [f"{key}={value}" for value in values]
    if math.prod(map(len, options.values())) > MOST_COMBINATIONS:
        raise ConfigError(f"--grid: has more than {MOST_COMBINATIONS} combinations; give fewer")
    return list(itertools.product(*options.values()))


def _split(text: str) -> list[str]:
    """Return the parts between commas that stand in no brackets and no quotes."""
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


@dataclass(frozen=True)
class _Variant:
    base: str
    """The cell that it came from."""
    values: tuple[str, ...]
    """`KEY=VALUE` of each swept setting that the cell has."""
    cell: ResolvedExperiment


def resolve_sweep(
    name: str, overrides: Sequence[str], grid: Sequence[str], only: Sequence[str] = ()
) -> ResolvedStudy:
    """Return a study whose cells are the variants of a grid; without a grid the study itself.

    An experiment that a variant comes to is there once, and a cell that has none of the settings
    stays as it is. The study's claims and figures, which are about its own cells, are left out.

    Args:
        name: of a study, or of a file of its own, which is a study of one cell.
        only: names of cells, or globs, before they become variants.

    Raises:
        ConfigError: as `resolve_study`; or the grid is wrong.
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
                cell.experiment, _Variant(base.cell, tuple(_taken(values, cell)), cell)
            )
    cells = tuple(
        replace(variant.cell, name=f"{studies[0].name}/{name}")
        for name, variant in zip(_names_of([*variants.values()]), variants.values(), strict=True)
    )
    return replace(studies[0], cells=cells, all_cells=cells, search=(), figures=(), claims=False)


def study_of(name: str) -> tuple[str, list[str]]:
    """Return the study that a sweep of one experiment is of, and the cells to give as `only`.

    A file of its own is one by itself. Raises ConfigError: there is no such experiment.
    """
    target, file = find_experiment(name)
    if (target.folder / STUDY_FILE).is_file():
        return str(target.folder / STUDY_FILE), [file.stem]
    return name, []


def _resolve(
    name: str, overrides: Sequence[str], only: Sequence[str], swept: Sequence[str] = ()
) -> ResolvedStudy:
    """Return a study, or that of a file of its own, with one combination of the grid."""
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
    """Raise ConfigError with what is wrong in any value by itself; lists are shown by example."""
    known, problems = known_keys(SettingsFile), list[Problem]()
    unknown: dict[str, str] = {}
    for value in dict.fromkeys(itertools.chain(*swept)):
        key, _, text = value.partition("=")
        if key not in known and unknown.setdefault(key, value) != value:
            continue  # said once
        _, wrong = parse_overrides(overrides, [value])
        if known.get(key, {}).get("type") == "array" and not text.startswith("["):
            hint = f"; write lists as in {LIST_EXAMPLE}"
            wrong = [replace(problem, text=f"{problem.text}{hint}") for problem in wrong]
        problems += wrong
    if problems:
        raise config_error(name, problems)


def _taken(values: Sequence[str], cell: ResolvedExperiment) -> Iterator[str]:
    """Yield the values of settings whose section the cell's kind of experiment has."""
    for value in values:
        section = value.partition("=")[0].partition(".")[0]
        if section in type(cell.experiment).model_fields:
            yield value


def _names_of(variants: Sequence[_Variant]) -> list[str]:
    """Return a name for each variant: by its data set where that tells it apart, else its cell."""
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
    """Return the name of a cell of which settings, `KEY=VALUE`, are others than its file says."""
    keys = {value.partition("=")[0] for value in values}
    return _name(str(dataset) if keys & _NAMED_BY_CELLS else cell, values)


def _name(base: str, values: Sequence[str]) -> str:
    settings = [value.partition("=")[::2] for value in values]
    last = Counter(key.rpartition(".")[2] for key, _ in settings)
    parts = [base]
    for key, value in settings:
        short = key.rpartition(".")[2]
        # A name is also that of files, and part of links to them.
        words = "-".join(re.findall(r"[A-Za-z0-9._]+|-(?=[0-9.])", value))
        if (key, words) != ("dataset", base):
            parts.append(f"{short if last[short] == 1 else key}={words}")
    return "+".join(parts)
