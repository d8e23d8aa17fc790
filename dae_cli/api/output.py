"""What a run makes of rows, in a file: an .npz or a CSV, written a block at a time."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from dae_cli.files import whole_file

SUFFIXES = (".npz", ".csv")


@dataclass(frozen=True, eq=False)
class Result:
    """What becomes of the rows of one split, or of a file that is not split."""

    split: str
    labels: NDArray[Any] | None  # (n,)
    shape: tuple[int, int]
    blocks: Iterator[NDArray[np.float32]]  # together of this shape


def write_results(path: Path, results: Sequence[Result], name: str) -> None:
    """Write all of it, or nothing.

    An .npz has an array for each split, codes_train and so on, and y_train where there are labels;
    codes and y of a file that is not split. A CSV has the columns split and label, where there are
    any, and code_1, code_2, …; every number has the digits that give its float32 back.

    `name`: code, or reconstruction.
    Raises OutputError: it cannot be written.
    """
    with whole_file(path) as file:
        if path.suffix.casefold() == ".npz":
            _write_npz(file, results, name)
        else:
            _write_csv(file, results, name)


def _write_npz(file: IO[bytes], results: Sequence[Result], name: str) -> None:
    with zipfile.ZipFile(file, "w", allowZip64=True) as archive:
        for result in results:
            ending = f"_{result.split}" if result.split else ""
            header = {"descr": "<f4", "fortran_order": False, "shape": result.shape}
            with _member(archive, f"{name}s{ending}") as member:
                npy.write_array_header_1_0(member, header)
                for block in result.blocks:
                    member.write(np.ascontiguousarray(block, dtype="<f4").data)
            if result.labels is not None:
                with _member(archive, f"y{ending}") as member:
                    npy.write_array(member, result.labels, allow_pickle=False)


def _member(archive: zipfile.ZipFile, name: str) -> IO[bytes]:
    """A member without the time, so that the same numbers make the same file."""
    return archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True)


def _write_csv(file: IO[bytes], results: Sequence[Result], name: str) -> None:
    import pandas as pd

    with_split = any(result.split for result in results)
    with_labels = any(result.labels is not None for result in results)
    first = True
    for result in results:
        columns = [f"{name}_{k}" for k in range(1, result.shape[1] + 1)]
        start = 0
        for block in result.blocks:
            table = pd.DataFrame(block, columns=columns)
            labels = "" if result.labels is None else result.labels[start : start + len(block)]
            if with_labels:
                table.insert(0, "label", labels)
            if with_split:
                table.insert(0, "split", result.split)
            table.to_csv(file, header=first, index=False, lineterminator="\n")
            start, first = start + len(block), False
