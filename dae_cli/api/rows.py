"""Read and write rows for `dae encode`, one block at a time.

Input rows are those of a run's data set or of a file, in the scale of the run's model. Codes or
reconstructions are written as an .npz or a CSV.
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
from dae_cli.data.own.content import Scaling, are_whole, prepare_own, split_rows
from dae_cli.data.own.files import SPLITS, OwnRows, named_file
from dae_cli.data.own.further import read_further, rows_of_run, scaling_of
from dae_cli.errors import DataError
from dae_cli.files import whole_file
from dae_cli.study.counting import recorded_data
from dae_cli.study.run.record import Status
from dae_cli.training.evaluation import CHUNK_ROWS
from dae_cli.training.inputs import dataset_for, images_of

BLOCK_ROWS = CHUNK_ROWS
"""Number of rows in memory as float32; the chunk size, so results have the same bits as if all rows
were computed at once."""
Block = NDArray[np.float32]
Note = Callable[[str], None]


@dataclass(frozen=True, eq=False)
class Part:
    """The rows of a split, or of a file without splits; or a run's output for them."""

    split: str
    """train, valid or test; empty if the file is not split."""
    count: int
    labels: NDArray[Any] | None  # (count,) numbers, or text
    blocks: Iterator[Block]


def width_of_rows(experiment: AnyExperiment) -> int:
    """Number of values per row."""
    if isinstance(experiment, FilterExperiment):
        return experiment.inputs
    return spec_of(experiment.dataset).n_pixels


def parts_of_run(
    folder: Path, status: Status, experiment: AnyExperiment, data_dir: Path | None, note: Note
) -> list[Part]:
    """Return the rows of a run's data set by split, as the run used them.

    Raises DaeError: they are not available.
    """
    dataset = experiment.dataset
    if dataset == PHOTOGRAPHS and status.data_origin == "own":
        raise DataError(
            f"{folder}: was trained on patches of your own photographs, which runs do not store; "
            "pass patches in the same scale with --data FILE.npz"
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
    """Return the rows of a user's file or folder, or of the data that a declaration names.

    If the run was trained on own data, rows are scaled like these; otherwise they must be in
    [0, 1], be images, or be declared.

    `experiment`: the run's settings.
    Raises DataError, ConfigError: the rows cannot be read or do not match the run's inputs.
    """
    dataset, inputs = experiment.dataset, width_of_rows(experiment)
    if not path.exists():
        raise DataError(f"{path}: does not exist; expected an .npz, a .csv or .tsv, or a folder")
    if path.suffix.casefold() in SUFFIXES and path.is_file():
        name = declared(path)
        assert name.facts is not None
        if (found := spec_of(name).n_pixels) != inputs:
            raise DataError(f"{path}: has {found} values per row; the run was trained on {inputs}")
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
        blocks = _scaled_blocks(one, scaling, note)
        labels = None if one.labels is None else _plain(one.labels)
        parts.append(Part(split, len(one), labels, blocks))
    return _without_name_of_one(parts)


def _scaled_blocks(rows: OwnRows, scaling: Scaling, note: Note) -> Iterator[Block]:
    """Scale rows; at the end, announce how many values were clipped."""
    clipped = 0
    for block in rows.blocks(BLOCK_ROWS):
        clipped += scaling.count_clipped(block.values)
        yield scaling.applied(block)
    if clipped:
        note(f"{rows.where}: values clipped to the range of the training rows: {clipped}")


def _transposed(blocks: Iterator[Block], image: tuple[int, int]) -> Iterator[Block]:
    """Transpose upright images, as the benchmark stores some data sets."""
    for block in blocks:
        yield block.reshape(-1, *image).transpose(0, 2, 1).reshape(len(block), -1)


def _without_name_of_one(parts: list[Part]) -> list[Part]:
    """Remove the name of the split if there is only one."""
    return [replace(parts[0], split="")] if len(parts) == 1 else parts


def class_labels(spec: DatasetSpec) -> NDArray[Any]:
    """The labels of the classes: class numbers, or the labels of a user's own data."""
    return _plain(np.array(spec.classes)) if spec.own else np.arange(spec.n_classes)


def _plain(labels: NDArray[np.str_]) -> NDArray[Any]:
    """Convert labels to integers if all are whole numbers."""
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
    """Write a run's output for all parts, or no file at all.

    An .npz has one array per split (codes_train, …), and labels (y_train, …) if there are any;
    without splits, codes and y. A CSV has the columns split and label, if there are any, and
    code_1, code_2, … with enough digits to restore each float32.

    `parts`: blocks of shape (rows, width). `name`: "code" or "reconstruction".
    Raises OutputError: the file cannot be written.
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
    """A member without a time stamp, so that the same numbers give the same file."""
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
