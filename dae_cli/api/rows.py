"""What `dae encode` reads and writes, a block of rows at a time.

Rows for a run, in the scale of its model: its own, or a file's; and what it makes of them, as an
.npz or a CSV.
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from dae_cli.config.own_data import SUFFIXES, declared
from dae_cli.config.schema import AnyExperiment, FilterExperiment
from dae_cli.data.cache import load
from dae_cli.data.dataset import Dataset, Split
from dae_cli.data.datasets import PHOTOGRAPHS, DatasetSpec, OwnDataset, known_spec, spec_of
from dae_cli.data.own.content import are_whole, prepare_own, split_rows
from dae_cli.data.own.files import SPLITS, named_file
from dae_cli.data.own.further import read_further, rows_of_run, scaling_of
from dae_cli.errors import DataError
from dae_cli.files import whole_file
from dae_cli.study.counting import recorded_data
from dae_cli.study.run.record import Status
from dae_cli.training.evaluation import CHUNK_ROWS
from dae_cli.training.inputs import dataset_for, images_of

BLOCK_ROWS = CHUNK_ROWS
"""Rows in memory as float32 at a time; those of a chunk, so that bits are those of all at once."""
Block = NDArray[np.float32]
Note = Callable[[str], None]


@dataclass(frozen=True, eq=False)
class Part:
    """The rows of a split, or of a file that is not split; or what a run makes of them."""

    split: str
    """train, valid or test; empty of a file that is not split."""
    count: int
    labels: NDArray[Any] | None  # (count,) numbers, or text
    blocks: Iterator[Block]


def width_of_rows(experiment: AnyExperiment) -> int:
    """The values of a row, d."""
    if isinstance(experiment, FilterExperiment):
        return experiment.inputs
    return spec_of(experiment.dataset).n_pixels


def parts_of_run(
    folder: Path, status: Status, experiment: AnyExperiment, data_dir: Path | None, note: Note
) -> list[Part]:
    """The rows of the data set that a run was trained on, as it used them, by split.

    Raises DaeError: they are not here.
    """
    dataset = experiment.dataset
    if dataset == PHOTOGRAPHS and status.data_origin == "own":
        raise DataError(
            f"{folder}: was trained on patches of your own photographs, which a run does not keep; "
            "give patches, in its scale, with --data FILE.npz"
        )
    data = recorded_data(dataset, status, data_dir, note)
    if not isinstance(experiment, FilterExperiment):
        return _parts_of(dataset_for(experiment, load(data)))
    if dataset != PHOTOGRAPHS:
        return _parts_of(load(data))
    patches = images_of(data, experiment)
    assert not isinstance(patches, Split)
    return [Part("train", len(patches), None, (patches[rows] for rows in _slices(len(patches))))]


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
            parts = _parts_of(load(prepare_own(name, note)))
            spec = known_spec(dataset)
            if spec and spec.stored_transposed and file.is_dir():
                parts = [replace(p, blocks=_transposed(p.blocks, spec.image)) for p in parts]
            return _without_name_of_one(parts)
        rows, _ = split_rows(declaration, path.parent, rows_of_run(file, dataset, inputs, note))
    else:
        rows = read_further(path, dataset, inputs, note)
    parts = []
    scaling = scaling_of(dataset, rows["train"], note)
    for split, one in ((split, rows[split]) for split in SPLITS if len(rows.get(split, ()))):
        blocks = map(scaling.applied, one.blocks(BLOCK_ROWS))
        labels = None if one.labels is None else _plain(one.labels)
        parts.append(Part(split, len(one), labels, blocks))
    return _without_name_of_one(parts)


def _transposed(blocks: Iterator[Block], image: tuple[int, int]) -> Iterator[Block]:
    """Upright images as the benchmark stores those of some sets."""
    for block in blocks:
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
    names = class_labels(spec_of(dataset.name))
    parts = []
    for name, split in dataset.splits.items():
        labels = names[split.labels] if len(names) else None
        if len(split):
            blocks = map(split.as_float, _slices(len(split)))
            parts.append(Part(name, len(split), labels, blocks))
    return parts


def _slices(count: int) -> list[slice]:
    return [slice(start, start + BLOCK_ROWS) for start in range(0, count, BLOCK_ROWS)]


def write_parts(path: Path, parts: Sequence[Part], width: int, name: str) -> None:
    """Write all of what a run makes of rows, or nothing.

    An .npz has an array for each split, codes_train and so on, and y_train where there are labels;
    codes and y of a file that is not split. A CSV has the columns split and label, where there are
    any, and code_1, code_2, …; every number has the digits that give its float32 back.

    `parts`: with blocks (rows, width). `name`: code, or reconstruction.
    Raises OutputError: it cannot be written.
    """
    with whole_file(path) as file:
        if path.suffix.casefold() == ".npz":
            _write_npz(file, parts, width, name)
        else:
            _write_csv(file, parts, width, name)


def _write_npz(file: IO[bytes], parts: Sequence[Part], width: int, name: str) -> None:
    with zipfile.ZipFile(file, "w", allowZip64=True) as archive:
        for part in parts:
            ending = f"_{part.split}" if part.split else ""
            shape = (part.count, width)
            with _member(archive, f"{name}s{ending}") as member:
                header = {"descr": "<f4", "fortran_order": False, "shape": shape}
                npy.write_array_header_1_0(member, header)
                for block in part.blocks:
                    member.write(np.ascontiguousarray(block, dtype="<f4").data)
            if part.labels is not None:
                with _member(archive, f"y{ending}") as member:
                    npy.write_array(member, part.labels, allow_pickle=False)


def _member(archive: zipfile.ZipFile, name: str) -> IO[bytes]:
    """A member without the time, so that the same numbers make the same file."""
    return archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True)


def _write_csv(file: IO[bytes], parts: Sequence[Part], width: int, name: str) -> None:
    import pandas as pd

    columns = [f"{name}_{k}" for k in range(1, width + 1)]
    first = True
    for part in parts:
        start = 0
        for block in part.blocks:
            table = pd.DataFrame(block, columns=columns)
            if any(one.labels is not None for one in parts):
                labels = "" if part.labels is None else part.labels[start : start + len(block)]
                table.insert(0, "label", labels)
            if any(one.split for one in parts):
                table.insert(0, "split", part.split)
            table.to_csv(file, header=first, index=False, lineterminator="\n")
            start, first = start + len(block), False
