"""The sets that a command names, and what its commands share in telling."""

from __future__ import annotations

import difflib
import json
from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated

import typer

ALL = "all"
MNIST = "mnist"


class DataFormat(StrEnum):
    """How the commands of `dae data` print."""

    table = "table"
    json = "json"


Format = Annotated[
    DataFormat, typer.Option("--format", help="A table to read, or JSON for programs.")
]


def chosen(names: Sequence[str], *, mnist: bool = False) -> list[str]:
    """The sets that are meant, each once; `all` stands for the eight, and for MNIST if it may be.

    Raises BadParameter for another name.
    """
    from dae_cli.data.datasets import DATASETS

    known = [name for name in DATASETS if mnist or name != MNIST]
    if MNIST in names and not mnist:
        raise typer.BadParameter(
            f"{MNIST!r} is not regenerated: it is what other sets are made of, and there is the "
            f"original alone; dae data fetch {MNIST} gets it",
            param_hint="NAME",
        )
    if unknown := [name for name in names if name not in (*known, ALL)]:
        near = difflib.get_close_matches(unknown[0], known, n=1)
        hint = f"did you mean {near[0]}?" if near else f"expected {', '.join(known)} or {ALL}"
        raise typer.BadParameter(f"there is no data set {unknown[0]!r}; {hint}", param_hint="NAME")
    return known if ALL in names else list(dict.fromkeys(names))


def size(n_bytes: int) -> str:
    """Bytes for people: 1.7 MB."""
    return f"{n_bytes / 1e6:.1f} MB" if n_bytes >= 50_000 else f"{n_bytes / 1e3:.1f} kB"


def as_json(rows: object) -> str:
    """JSON as every command prints it."""
    return json.dumps(rows, indent=2, ensure_ascii=False)
