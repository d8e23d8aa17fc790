"""Rows for a run to encode, in the scale of its model, block by block: its own, or a file's."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dae_cli.config.own_data import SUFFIXES, declared
from dae_cli.config.schema import AnyExperiment, FilterExperiment
from dae_cli.data.cache import load
from dae_cli.data.dataset import Dataset, Split
from dae_cli.data.datasets import PHOTOGRAPHS, DatasetSpec, OwnDataset, known_spec, spec_of
from dae_cli.data.own.content import are_whole, split_rows
from dae_cli.data.own.files import SPLITS, OwnRows, named_file
from dae_cli.data.own.further import Scaling, read_further, rows_of_run, scaling_of
from dae_cli.data.own.prepare import prepare_own
from dae_cli.errors import DataError
from dae_cli.study.counting import finished_run, recorded_data
from dae_cli.study.run.run import dataset_for, images_of
from dae_cli.training.evaluation import CHUNK_ROWS

BLOCK_ROWS = CHUNK_ROWS
"""Rows in memory as float32 at a time; those of a chunk, so that bits are those of all at once."""
Block = NDArray[np.float32]
Note = Callable[[str], None]


@dataclass(frozen=True, eq=False)
class Part:
    """The rows of a split, or of a file that is not split."""

    split: str
    """train, valid or test; empty of a file that is not split."""
    count: int
    labels: NDArray[Any] | None  # (count,) numbers, or text
    blocks: Callable[[], Iterator[Block]]


def width_of_rows(experiment: AnyExperiment) -> int:
    """The values of a row, d."""
    if isinstance(experiment, FilterExperiment):
        return experiment.inputs
    return spec_of(experiment.dataset).n_pixels


def parts_of_run(folder: Path, data_dir: Path | None, note: Note) -> list[Part]:
    """The rows of the data set that a run was trained on, as it used them, by split.

    Raises DaeError: they are not here.
    """
    folder, status, experiment = finished_run(folder)
    if experiment.dataset == PHOTOGRAPHS and status.data_origin == "own":
        raise DataError(
            f"{folder}: was trained on patches of your own photographs, which a run does not keep; "
            "give patches, in its scale, with --data FILE.npz"
        )
    data = recorded_data(experiment.dataset, status, data_dir, note)
    if isinstance(experiment, FilterExperiment):
        if experiment.dataset == PHOTOGRAPHS:
            patches = images_of(data, experiment)
            assert not isinstance(patches, Split)
            return [Part("train", len(patches), None, partial(_slices, patches))]
        return _parts_of(load(data))
    return _parts_of(dataset_for(experiment, load(data)))


def parts_of_file(path: Path, experiment: AnyExperiment, note: Note) -> list[Part]:
    """The rows of a user's file or folder, or of what a declaration names.

    They are scaled as the data were that the run was trained on, if these are the user's own; else
    they must lie in [0, 1], be images, or be declared.

    `experiment`: the run's.
    Raises DataError, ConfigError: they cannot be read, or do not fit.
    """
    dataset, inputs = experiment.dataset, width_of_rows(experiment)
    if not path.exists():
        raise DataError(f"{path}: does not exist; give an .npz, a .csv or .tsv, or a folder")
    if path.suffix.casefold() in SUFFIXES and path.is_file():
        name = declared(path)
        assert name.facts is not None
        if (found := spec_of(name).n_pixels) != inputs:
            raise DataError(f"{path}: rows of {found} values; the run was trained on {inputs}")
        declaration = name.facts.declaration
        file = named_file(path.parent, declaration.file)
        if not isinstance(dataset, OwnDataset):
            return _declared_parts(load(prepare_own(name, note)), file, known_spec(dataset))
        rows, _ = split_rows(declaration, path.parent, rows_of_run(file, dataset, inputs, note))
    else:
        rows = read_further(path, dataset, inputs, note)
    parts = []
    for split, one in ((split, rows[split]) for split in SPLITS if len(rows.get(split, ()))):
        scaling = scaling_of(dataset, one, note)
        blocks = partial(_scaled, one, scaling)
        labels = None if one.labels is None else _plain(one.labels)
        parts.append(Part(split, len(one), labels, blocks))
    return _without_name_of_one(parts)


def _declared_parts(dataset: Dataset, file: Path, spec: DatasetSpec | None) -> list[Part]:
    """The rows that a declaration gives to a run on a set of the benchmark, as that stores them."""
    parts = _without_name_of_one(_parts_of(dataset))
    if spec is None or not spec.stored_transposed or not file.is_dir():
        return parts
    return [replace(p, blocks=partial(_transposed, p.blocks, spec.image)) for p in parts]


def _transposed(blocks: Callable[[], Iterator[Block]], image: tuple[int, int]) -> Iterator[Block]:
    for block in blocks():
        yield block.reshape(-1, *image).transpose(0, 2, 1).reshape(len(block), -1)


def _without_name_of_one(parts: list[Part]) -> list[Part]:
    """Rows that are not split have no name."""
    return [replace(parts[0], split="")] if len(parts) == 1 else parts


def class_labels(spec: DatasetSpec) -> NDArray[Any]:
    """The labels of the classes: numbers, or of a user's own data what they are called."""
    return _plain(np.array(spec.classes)) if spec.own else np.arange(spec.n_classes)


def _plain(labels: NDArray[np.str_]) -> NDArray[Any]:
    """Labels as numbers where all are whole."""
    kinds, which = np.unique(labels, return_inverse=True)
    return kinds.astype(np.int64)[which] if are_whole(list(kinds)) else labels


def _parts_of(dataset: Dataset) -> list[Part]:
    spec = known_spec(dataset.name)
    assert spec is not None
    names = class_labels(spec)
    return [
        Part(
            name,
            len(split),
            names[split.labels] if len(names) else None,
            partial(_blocks_of, split),
        )
        for name, split in dataset.splits.items()
        if len(split)
    ]


def _blocks_of(split: Split) -> Iterator[Block]:
    for start in range(0, len(split), BLOCK_ROWS):
        yield split.as_float(slice(start, start + BLOCK_ROWS))


def _scaled(rows: OwnRows, scaling: Scaling) -> Iterator[Block]:
    return map(scaling.applied, rows.blocks(BLOCK_ROWS))


def _slices(values: Block) -> Iterator[Block]:
    for start in range(0, len(values), BLOCK_ROWS):
        yield values[start : start + BLOCK_ROWS]
