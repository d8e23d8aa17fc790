"""`--grid KEY=A,B`: each cell of a study becomes several, one for each combination of the values.

A variant is named for what it is: `convex-25+learning_rate=0.01`. Where a data set, the layers or
the destruction are swept, which names of cells tell, its data set stands in place of the cell:
`convex+destruction=0.15`.
"""

from __future__ import annotations

import itertools
import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from dae_cli.config.experiments import (
    ResolvedExperiment,
    ResolvedStudy,
    resolve_experiment,
    resolve_study,
)
from dae_cli.config.names import STUDY_FILE, find_target
from dae_cli.config.schema import AnyExperiment
from dae_cli.errors import ConfigError, shown

MOST_COMBINATIONS = 1000
_TOLD_BY_NAMES = {"dataset", "model.hidden", "corruption.kind", "corruption.destruction"}
"""Keys of settings that a cell is usually named by: the name is wrong where they are swept."""
_EXAMPLE = "write --grid KEY=A,B, for example --grid pretrain.learning_rate=0.01,0.1"


def combinations(grid: Sequence[str]) -> list[tuple[str, ...]]:
    """Return each combination of values as arguments `KEY=VALUE`; the last key changes fastest.

    Args:
        grid: `KEY=A,B`; a comma within brackets or quotes is part of a value.

    Raises:
        ConfigError: an argument is no such list, or there are too many combinations.
    """
    options: dict[str, list[str]] = {}
    for argument in grid:
        key, equals, text = argument.partition("=")
        key, values = key.strip(), _split(text)
        if not key or not equals or not all(values):
            raise ConfigError(f"--grid {shown(argument)}: is no list of values; {_EXAMPLE}")
        if key in options:
            raise ConfigError(f"--grid {shown(argument)}: given twice; list all values at once")
        if len(set(values)) < len(values):
            raise ConfigError(f"--grid {shown(argument)}: has a value twice")
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
    """`KEY=VALUE` of each swept setting; none where the cell has none of them."""
    cell: ResolvedExperiment


def resolve_sweep(
    name: str, overrides: Sequence[str], grid: Sequence[str], only: Sequence[str] = ()
) -> ResolvedStudy:
    """Return a study, or that of one experiment, whose cells are the variants of a grid.

    A cell that has none of the settings stays as it is. The study's claims and figures, which are
    about its own cells, are left out.

    Args:
        only: names of cells, or globs, before they become variants.

    Raises:
        ConfigError: as `resolve_study`; or the grid is wrong.
    """
    target = find_target(name)
    file = target.file
    if file is not None and (target.folder / STUDY_FILE).is_file():
        name, only, file = str(target.folder / STUDY_FILE), [file.stem], None
    swept = combinations(grid)
    if file is None:
        studies = [resolve_study(name, overrides, only, swept=values) for values in swept]
    else:
        studies = [_study_of_one(resolve_experiment(name, overrides, values)) for values in swept]
    variants: list[_Variant] = []
    for place, base in enumerate(studies[0].cells):
        own = dict[AnyExperiment, _Variant]()
        for study, values in zip(studies, swept, strict=True):
            cell = study.cells[place]
            own.setdefault(cell.experiment, _Variant(base.cell, values, cell))
        variants += own.values() if len(own) > 1 else [_Variant(base.cell, (), base)]
    cells = tuple(
        replace(variant.cell, name=f"{studies[0].name}/{name}")
        for name, variant in zip(_names_of(variants), variants, strict=True)
    )
    return replace(studies[0], cells=cells, all_cells=cells, search=(), figures=(), claims=False)


def _study_of_one(one: ResolvedExperiment) -> ResolvedStudy:
    return ResolvedStudy(
        name=one.cell,
        title=f"Variants of {one.cell}",
        source=one.source.parent,
        cells=(one,),
        all_cells=(one,),
        reference=one.reference,
    )


def _names_of(variants: Sequence[_Variant]) -> list[str]:
    """Return a name for each variant: by its data set where that tells it apart, else its cell."""
    short = [
        variant_name(variant.base, variant.cell.experiment.dataset, variant.values)
        for variant in variants
    ]
    count = Counter(short)
    return [
        name if count[name] == 1 else _name(variant.base, variant.values)
        for name, variant in zip(short, variants, strict=True)
    ]


def variant_name(cell: str, dataset: str, values: Sequence[str]) -> str:
    """Return the name of a cell of which settings, `KEY=VALUE`, are others than its file says."""
    keys = {value.partition("=")[0] for value in values}
    return _name(str(dataset) if keys & _TOLD_BY_NAMES else cell, values)


def _name(base: str, values: Sequence[str]) -> str:
    settings = [value.partition("=")[::2] for value in values]
    last = Counter(key.rpartition(".")[2] for key, _ in settings)
    parts = [base]
    for key, value in settings:
        short = key.rpartition(".")[2]
        # A name is also that of files, and part of links to them.
        words = re.findall(r"[A-Za-z0-9._]+|-(?=[0-9.])", value)
        parts.append(f"{short if last[short] == 1 else key}={'-'.join(words)}")
    return "+".join(parts)
