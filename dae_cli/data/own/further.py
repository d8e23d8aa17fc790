"""Read further rows for a trained model from a user's file, in the scale of its training data."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from dae_cli.data.cache import Note, read_ranges
from dae_cli.data.datasets import OwnDataset, known_spec, spec_of
from dae_cli.data.own.content import Scaling, entry_of, minmax_of, read_own, split_rows
from dae_cli.data.own.declaration import Declaration
from dae_cli.data.own.files import GREYS, SEPARATORS, OwnRows, named_file, names_in, read_rows
from dae_cli.errors import DataError

LABEL = "y"
"""Label key of an .npz if none is declared."""
_ALIKE = " as in the run's training data; scale the file in the same way"


def read_further(path: Path, dataset: str, inputs: int, note: Note) -> dict[str, OwnRows]:
    """Read the unscaled rows of a file by split; a file without splits has only `train`.

    If the run was trained on the user's own data, their declaration applies. Labels and ignored
    columns may be missing.

    `dataset`: the run's training data; `inputs`: the number of its inputs.
    Raises DataError: the file cannot be read or has other content.
    """
    facts = dataset.facts if isinstance(dataset, OwnDataset) else None
    declaration = facts.declaration if facts else Declaration(file=path.name, label=LABEL)
    names = [] if path.is_dir() else names_in(path)
    label, spec = declaration.label, known_spec(dataset)
    here = {
        "label": label if label in names or f"{label}_train" in names else None,
        "ignore": tuple(name for name in declaration.ignore if name in names),
    }
    like = rows_of_run(path, dataset, inputs, note)
    parts = read_rows(path, declaration.model_copy(update=here), like, streamed=True)
    if spec and spec.stored_transposed and path.is_dir():
        parts = {split: _transposed(rows, spec.image) for split, rows in parts.items()}
    return parts


def rows_of_run(path: Path, dataset: str, inputs: int, note: Note) -> OwnRows:
    """Return an empty sample of a run's rows: the width, columns and image that rows must have.

    Raises DataError.
    """
    spec = known_spec(dataset)
    facts = dataset.facts if isinstance(dataset, OwnDataset) else None
    columns: tuple[str, ...] = ()
    if isinstance(dataset, OwnDataset) and facts and path.suffix.casefold() in SEPARATORS:
        columns = columns_trained_on(dataset, note)
    image = None
    if spec and spec.is_image:
        image = (*spec.image, 3) if spec.channels == 3 else spec.image
    like = OwnRows(f"the run's data ({dataset})", np.empty((0, inputs)), None)
    return replace(like, columns=columns, image=image)


def columns_trained_on(dataset: OwnDataset, note: Note) -> tuple[str, ...]:
    """Names of the inputs in order; empty if the run's table is missing or has changed."""
    facts = dataset.facts
    assert facts is not None, dataset
    declaration = facts.declaration
    table = named_file(dataset.path.parent, declaration.file)
    if table.suffix.casefold() not in SEPARATORS:
        return ()
    if not _is_unchanged(dataset, note):
        note(
            f"{table} is missing or has changed since the run was trained, so the columns are used "
            "in the order of the file"
        )
        return ()
    left_out = (declaration.label, *declaration.ignore)
    return tuple(name for name in names_in(table) if name not in left_out)


def _is_unchanged(dataset: OwnDataset, note: Note) -> bool:
    """Whether the files still have the content that the run was trained on."""
    facts = dataset.facts
    assert facts is not None, dataset
    try:
        return read_own(dataset.path, facts.declaration, note).sha256 == facts.sha256
    except DataError:
        return False


def _transposed(rows: OwnRows, image: tuple[int, int]) -> OwnRows:
    """Transpose upright images, as the benchmark stores some data sets."""
    values = rows.values.reshape(-1, *image).transpose(0, 2, 1)
    return replace(rows, values=values.reshape(len(rows), -1))


def scaling_of(dataset: str, rows: OwnRows, note: Note) -> Scaling:
    """Return the scaling of a run's training data, for further rows.

    `dataset`: the run's training data.
    Raises DataError: the scaling depends on training rows that are missing or have changed.
    """
    if not isinstance(dataset, OwnDataset) or dataset.facts is None:
        if known_spec(dataset) is None:
            return Scaling()  # whitened patches of photographs
        low, high = rows.ends or (0.0, 1.0)
        remedy = f"{_ALIKE}, or pass a declaration of it (docs/your-data.md)"
        return Scaling(low, high, int(high) if high > 1 else None, remedy=remedy)
    facts, declaration = dataset.facts, dataset.facts.declaration
    if declaration.scale == "none":
        return Scaling()
    if declaration.scale == "minmax":
        if _is_unchanged(dataset, note):
            parts, _ = split_rows(declaration, dataset.path.parent)
            return minmax_of(parts["train"])
        if found := read_ranges(entry_of(dataset, facts), spec_of(dataset).n_pixels):
            return Scaling(*found, is_clipped=True)
        raise DataError(
            f"{dataset.path}: scale: minmax depends on the training rows, which are missing or "
            "have changed since the run was trained, and the cache has no record of their ranges; "
            "restore the files that it was trained on"
        )
    is_folder = Path(declaration.file).suffix.casefold() not in (".npz", *SEPARATORS)
    low, high = declaration.ends or rows.ends or (GREYS if is_folder else (0.0, 1.0))
    return Scaling(low, high, facts.levels if facts.levels == high else None, remedy=_ALIKE)
