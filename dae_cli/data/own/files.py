"""Reading a user's own files: an .npz, a table with a header row, a folder of images by class.

Readers return rows of unscaled numbers as the file contains them; nothing is split here.
Messages name the file, the row (from 1, not counting the header) and the column.
"""

from __future__ import annotations

import math
import os
import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import ZipFile

import numpy as np
from numpy.typing import NDArray

from dae_cli.data.own.declaration import Declaration
from dae_cli.data.photographs import SUFFIXES, grey_pixels, refuse_transparent
from dae_cli.data.readers import (
    DAMAGE,
    DAMAGED_HEADER,
    NpzArray,
    is_number,
    open_member,
    opened_zip,
    read_header,
    read_numbers,
)
from dae_cli.errors import DataError, did_you_mean, shown, some

if TYPE_CHECKING:
    from PIL.Image import Image as PillowImage

SEPARATORS = {".csv": ",", ".tsv": "\t"}
GREYS = (0.0, 255.0)
"""The values of black and white in an image file."""
_GREY_MODES = ("1", "L", "I", "F", "LA")
_MISSING = ["", "?", "NA", "N/A", "NaN", "nan", "NULL", "null", "None"]
"""Texts that mean a missing value."""
_DAMAGE = (*DAMAGE, *DAMAGED_HEADER, OSError)
"""Exceptions that a damaged .npz raises, from the zip and from the array headers in it."""
SPLITS = ("train", "valid", "test")


@dataclass(frozen=True, eq=False)
class OwnRows:
    """Rows of a file, or of one split of a file."""

    where: str
    """The file, and the key in an .npz, for messages."""
    values: NDArray[Any]  # (n, inputs)
    labels: NDArray[np.str_] | None  # (n,)
    columns: tuple[str, ...] = ()
    """Names of the inputs, if the file is a table."""
    image: tuple[int, ...] | None = None
    """Height, width, and 3 for colours, if the format shows that rows are images."""
    ends: tuple[float, float] | None = None
    """The values that become 0 and 1, if the format defines them."""
    numbers: NDArray[np.intp] | None = None
    """Indices of these rows in the file, from 0; None: all rows."""

    def __len__(self) -> int:
        return len(self.values)

    def place(self, row: int, column: int) -> str:
        """Describe the place of a value, for messages."""
        row = row if self.numbers is None else int(self.numbers[row])
        name = f"column {shown(self.columns[column])}" if self.columns else f"value {column + 1}"
        return f"{self.where}, row {row + 1}, {name}"

    def take(self, rows: NDArray[np.intp]) -> OwnRows:
        """Select rows by their indices."""
        labels = None if self.labels is None else self.labels[rows]
        return replace(self, values=self.values[rows], labels=labels, numbers=rows)

    def blocks(self, size: int) -> Iterator[OwnRows]:
        """Yield all rows in blocks of `size`, without labels."""
        numbers = np.arange(len(self)) if self.numbers is None else self.numbers
        for start in range(0, len(self), size):
            part = slice(start, start + size)
            yield replace(self, values=self.values[part], labels=None, numbers=numbers[part])


@dataclass(frozen=True, eq=False)
class StreamedRows(OwnRows):
    """Rows of an .npz that are read on demand, one block at a time.

    `values` has no rows; it gives their type and width.
    """

    path: Path = Path()
    key: str = ""
    """Name of the array in the file."""
    count: int = 0

    def __len__(self) -> int:
        return self.count

    def blocks(self, size: int) -> Iterator[OwnRows]:
        """Yield all rows in blocks of `size`, without labels.

        Raises DataError: the file is damaged or has changed, or a value is not finite.
        """
        inputs = self.values.shape[1]
        with opened_zip(self.path, ".npz of numbers") as archive:
            member = archive.getinfo(f"{self.key}.npy")
            with open_member(archive, member, sys.maxsize, self.path) as stream:
                array = read_header(stream, self.key, self.path)
                for start in range(0, self.count, size):
                    numbers = np.arange(start, min(start + size, self.count))
                    values = read_numbers(array, len(numbers) * inputs, self.path)
                    rows = OwnRows(self.where, values.reshape(-1, inputs), None, numbers=numbers)
                    _require_finite(rows)
                    yield rows
                stream.read(1)  # reaching the end also checks the CRC-32


def read_rows(
    path: Path,
    declaration: Declaration,
    like: OwnRows | None = None,
    *,
    streamed: bool = False,
) -> dict[str, OwnRows]:
    """Read the rows of a file by split; a file without splits has only `train`.

    `like`: the training rows, whose columns and width these rows must have. `streamed`: return the
    rows of an .npz as `StreamedRows`, unless they are stored column by column.
    Raises DataError: the file cannot be read or has other content.
    """
    if path.is_dir():
        rows = {"train": _read_folder(path, declaration, like)}
    elif path.suffix.casefold() == ".npz":
        rows = _read_npz(path, declaration, streamed)
    elif path.suffix.casefold() in SEPARATORS:
        rows = {"train": _read_table(path, declaration, like)}
    else:
        raise DataError(f"{path}: is not an .npz, a .csv, a .tsv or a folder of images")
    for one in rows.values():
        if len(one) == 0:
            raise DataError(f"{one.where}: has no rows")
        first = next(iter(rows.values())) if like is None else like
        n, expected = one.values.shape[1], first.values.shape[1]
        if n != expected:
            raise DataError(f"{one.where}: has {n} values per row; {first.where} has {expected}")
        _require_finite(one)
    return rows


def named_file(folder: Path, name: str) -> Path:
    """Resolve a path of a declaration in `folder`, without `..`; the folder need not exist."""
    path = folder / name
    short = Path(os.path.normpath(path))
    if path.exists() and not (short.exists() and short.samefile(path)):
        return path  # the folder is a symbolic link, so `..` is not its parent
    return short


def sources_of(path: Path) -> Iterable[Path]:
    """All files at a declared path: the file itself, or those in the folder."""
    if not path.is_dir():
        return [path]
    return (Path(folder) / name for folder, _, names in os.walk(path) for name in names)


def _require_finite(rows: OwnRows) -> None:
    if rows.values.dtype.kind == "f" and not np.isfinite(rows.values).all():
        row, column = np.argwhere(~np.isfinite(rows.values))[0]
        value = rows.values[row, column]
        what = f"found {value}, expected a number; fill it in, or remove the row"
        if np.isnan(value):
            what = f"a value is missing{_all_missing(rows)}"
        raise DataError(f"{rows.place(row, column)}: {what}")


def _all_missing(rows: OwnRows) -> str:
    """Count the missing values, also in the columns that lack the most, and give the remedy."""
    missing = np.isnan(rows.values)
    counts = missing.sum(axis=0)
    if (total := int(counts.sum())) == 1:
        return "; fill it in, or remove the row"
    text = f" ({total} values in {int(missing.any(axis=1).sum())} of {len(missing)} rows"
    if rows.columns:
        order = [k for k in np.argsort(-counts, kind="stable") if counts[k]]
        text += f": {some([f'{rows.columns[k]} {counts[k]}' for k in order], 4)}"
    return f"{text}); fill them in, or remove their rows or columns"


def refuse_decimal_comma(path: Path, row: int, column: str, value: object) -> None:
    """Raise DataError if a text in a table (row from 0) is a number with a decimal comma."""
    if re.fullmatch(r"\s*[+-]?[\d.]*,\d+\s*", str(value)):
        mark = SEPARATORS[path.suffix.casefold()]
        raise DataError(
            f"{path}, row {row + 1}, column {shown(column)}: found {value!r}, which has a decimal "
            "comma; write numbers with a decimal point, such as with "
            f"pandas.read_csv(OLD, sep={mark!r}, decimal=',').to_csv(NEW, sep={mark!r}, "
            "index=False)"
        )


def column_names(path: Path) -> list[str]:
    """Read the column names in the first row of a table. Raises DataError: a name is missing."""
    try:
        names = _columns_of(path)
    except (OSError, ValueError) as error:  # pandas's own errors are ValueErrors
        raise DataError(f"{path}: cannot be read as a table ({error})") from error
    if path.suffix.casefold() == ".csv" and len(names) == 1 and set(names[0]) & set(";\t"):
        mark = "a semicolon" if ";" in names[0] else "a tab"
        raise DataError(
            f"{path}: columns are separated by {mark}, expected a comma (and numbers with a "
            "decimal point); for tabs, rename it to .tsv"
        )
    if twice := [name for name in names if names.count(name) > 1]:
        raise DataError(f"{path}: two columns are named {shown(twice[0])}; rename one of them")
    if "" in names:
        raise DataError(
            f"{path}: column {names.index('') + 1} has no name; name it, or save the table "
            "without row numbers"
        )
    numeric = [name for name in names if is_number(name)]
    # Whole numbers may be column names, such as numbers of pixels.
    if len(numeric) == len(names) or any("." in name for name in numeric):
        raise DataError(f"{path}: found numbers in the first row, expected column names; add names")
    return names


def _read_table(path: Path, declaration: Declaration, like: OwnRows | None) -> OwnRows:
    import pandas as pd

    label, separator = declaration.label, SEPARATORS[path.suffix.casefold()]
    left_out = [*([] if label is None else [label]), *declaration.ignore]
    names = column_names(path)
    for name in left_out:
        if name not in names:
            near = did_you_mean(name, names)
            raise DataError(
                f"{path}: has no column {shown(name)}{near} (its columns: {some(names, 8)})"
            )
    try:
        table = pd.read_csv(
            path,
            sep=separator,
            dtype={} if label is None else {label: str},
            keep_default_na=False,
            na_values={name: _MISSING for name in names if name not in left_out},
            low_memory=False,
        )
    except (OSError, ValueError) as error:  # pandas's own errors are ValueErrors
        raise DataError(f"{path}: cannot be read as a table ({error})") from error
    if len(table) == 0:
        raise DataError(f"{path}: has no rows")
    if not isinstance(table.index, pd.RangeIndex):  # pandas uses surplus columns as an index
        raise DataError(f"{path}, row 1: has more values than there are column names")
    labels = None
    if label is not None:
        labels = np.char.strip(table[label].to_numpy(dtype=np.str_))
        if (labels == "").any():
            row = int(np.flatnonzero(labels == "")[0]) + 1
            raise DataError(f"{path}, row {row}, column {shown(label)}: the label is missing")
    table = table.drop(columns=left_out)
    if like is not None and like.columns:
        missing = [name for name in like.columns if name not in names]
        others = [name for name in table.columns if name not in like.columns]
        if missing or others:
            lacks = f"; missing: {some(missing, 4)}" if missing else ""
            more = f"; unexpected: {some(others, 4)}; remove it from the file" if others else ""
            if others and not len(like):  # rows for a trained model
                more += f", or pass a declaration of the file with ignore: [{some(others, 4)}]"
            raise DataError(
                f"{path}: has {len(table.columns)} columns of values, but {like.where} "
                f"has {len(like.columns)}{lacks}{more}"
            )
        table = table[list(like.columns)]
    for name in table.columns:
        if table[name].dtype.kind not in "fiub":
            numbers = pd.to_numeric(table[name], errors="coerce")
            wrong = numbers.isna() & table[name].notna()
            row = int(wrong.to_numpy(dtype=bool).argmax())
            column = shown(str(name))
            refuse_decimal_comma(path, row, str(name), table[name][row])
            raise DataError(
                f"{path}, row {row + 1}, column {column}: found {table[name][row]!r}, expected a "
                f"number; if these are labels, declare label: {column}; otherwise leave out the "
                f"column with ignore: [{column}]"
            )
    if table.shape[1] == 0:
        raise DataError(f"{path}: has no columns of values")
    kind = np.result_type(*table.dtypes)
    values = table.to_numpy(dtype=np.uint8 if kind == np.bool_ else kind)
    return OwnRows(str(path), values, labels, tuple(map(str, table.columns)))


def _columns_of(path: Path) -> list[str]:
    import pandas as pd

    separator = SEPARATORS[path.suffix.casefold()]
    first = pd.read_csv(path, sep=separator, header=None, nrows=1, dtype=str, keep_default_na=False)
    return [str(name) for name in first.iloc[0]]


def names_in(path: Path) -> list[str]:
    """The columns of a table or the keys of an .npz; empty for folders and unreadable files."""
    try:
        if path.suffix.casefold() in SEPARATORS:
            return _columns_of(path)
        with np.load(path, allow_pickle=False) as arrays:
            return list(arrays)
    except (*_DAMAGE, AttributeError):  # AttributeError: the file is a single array
        return []


def _read_npz(path: Path, declaration: Declaration, streamed: bool) -> dict[str, OwnRows]:
    try:
        with path.open("rb") as stream:
            arrays = np.load(stream, allow_pickle=False)
            if isinstance(arrays, np.ndarray):
                raise ValueError("it is a single array; save it as X with numpy.savez")
            return _npz_rows(path, arrays, declaration, streamed)
    except _DAMAGE as error:
        remedy = ""
        if "pickle" in str(error):
            remedy = "; save its arrays as numbers, labels as numbers or text"
        raise DataError(f"{path}: cannot be read as an .npz of numbers ({error}){remedy}") from None


def _npz_rows(
    path: Path, arrays: Any, declaration: Declaration, streamed: bool
) -> dict[str, OwnRows]:
    keys, label = list(arrays), declaration.label
    found = f"its keys are {', '.join(map(shown, keys))}"
    named = {key.casefold(): key for key in keys}
    split = {name: named[f"x_{name}"] for name in SPLITS if f"x_{name}" in named}
    if "x" in named and not split:
        split = {"train": named["x"]}
    if "train" not in split:
        raise DataError(f"{path}: has neither X nor X_train; {found}")
    rows: dict[str, OwnRows] = {}
    for name, key in split.items():
        header = _header_of_rows(path, arrays.zip, key) if streamed else None
        # numpy returns a member that is not an .npy as bytes.
        array = np.asarray(arrays[key]) if header is None else header
        (n, *size), dtype = array.shape or (0,), array.dtype
        if dtype.kind not in "fiub" or not math.prod(size or [0]):
            raise DataError(f"{path}: {key} is {dtype} of shape {array.shape}, not rows of numbers")
        labels = None
        if label is not None:
            label_key = label if key in "Xx" else f"{label}_{name}"
            if label_key not in keys:
                near = did_you_mean(label_key, keys)
                raise DataError(f"{path}: has no key {shown(label_key)}{near}; {found}")
            labels = _labels_of(np.asarray(arrays[label_key]), n, f"{path}: {label_key}")
        where, width = f"{path}: {key}", math.prod(size)
        size = [length for length in size if length != 1]
        image = tuple(size) if len(size) == 2 or (len(size) == 3 and size[2] == 3) else None
        if isinstance(array, np.ndarray):
            rows[name] = OwnRows(where, array.reshape(n, width), labels, image=image)
        else:
            none = np.empty((0, width), dtype)
            rows[name] = StreamedRows(where, none, labels, image=image, path=path, key=key, count=n)
    return rows


def _header_of_rows(path: Path, archive: ZipFile, key: str) -> NpzArray | None:
    """The header of an array that can be read row by row; None for other arrays."""
    name = f"{key}.npy"
    with open_member(archive, archive.getinfo(name), sys.maxsize, path) as stream:
        header = read_header(stream, key, path)
    return header if header.order == "C" else None


def _labels_of(labels: NDArray[Any], n: int, where: str) -> NDArray[np.str_]:
    if labels.size != n:
        raise DataError(f"{where} has shape {labels.shape}; expected a label for each of {n} rows")
    labels = labels.reshape(n)
    if labels.dtype.kind == "f":
        if not (np.isfinite(labels) & (labels == np.rint(labels))).all():
            raise DataError(f"{where} contains fractions; labels must be whole numbers or text")
        labels = labels.astype(np.int64)
    return labels.astype(np.str_)


def _read_folder(folder: Path, declaration: Declaration, like: OwnRows | None) -> OwnRows:
    from PIL import Image

    if declaration.label is not None:
        raise DataError(f"{folder}: its subfolders are the classes; remove label")
    files = images_by_class(folder)
    first, given = files[0][0], declaration.image
    model = "declared" if given else f"in {first}"
    if not given and like is not None and like.image:
        given, model = list(like.image), f"in {like.where}"
    with opened_image(first) as opened:
        grey = opened.mode in _GREY_MODES or opened.mode.startswith("I;16")
        size = (opened.height, opened.width)
    coloured = len(given) == 3 if given else not grey
    size = (given[0], given[1]) if given else size
    rows = []
    for path, _ in files:
        pixels = _pixels(path, coloured)
        if pixels.shape[:2] != size:
            if not declaration.resize:
                raise DataError(
                    f"{path}: is {pixels.shape[1]} x {pixels.shape[0]} pixels (width x height), "
                    f"expected {size[1]} x {size[0]} as {model}; declare resize: true, or remove it"
                )
            resized = Image.fromarray(pixels).resize(size[::-1], Image.Resampling.BILINEAR)
            pixels = np.array(resized)
        rows.append(pixels.reshape(-1))
    labels = np.array([label for _, label in files]) if files[0][1] else None
    image = (*size, 3) if coloured else size
    return OwnRows(str(folder), np.stack(rows), labels, image=image, ends=GREYS)


def images_by_class(folder: Path) -> list[tuple[Path, str]]:
    """List images, each with its class: the name of its subfolder. Raises DataError: no images."""
    files = [(path, "") for path in _images_in(folder)]
    if not files:
        folders = sorted(p for p in folder.iterdir() if p.is_dir() and p.name[0] != ".")
        files = [(path, sub.name) for sub in folders for path in _images_in(sub)]
    if not files:
        raise DataError(
            f"{folder}: has no images; expected one subfolder per class, with files ending in "
            f"{', '.join(SUFFIXES)}"
        )
    return files


def _images_in(folder: Path) -> list[Path]:
    named = (path for path in folder.iterdir() if path.suffix.casefold() in SUFFIXES)
    return sorted(path for path in named if path.name[0] != "." and path.is_file())


def _pixels(path: Path, coloured: bool) -> NDArray[np.uint8]:
    """Pixels (height, width) of a grey image, (height, width, 3) of a coloured one."""
    with opened_image(path) as image:
        if not coloured:
            return grey_pixels(path)
        refuse_transparent(image)
        return np.array(image.convert("RGB"))


@contextmanager
def opened_image(path: Path) -> Iterator[PillowImage]:
    """Open an image file. Raises DataError: it is damaged, also if found while it is open."""
    from PIL import Image

    try:
        with Image.open(path) as image:
            yield image
    except Exception as error:  # Pillow's decoders do not limit what they raise
        raise DataError(
            f"{path}: cannot be read as an image ({error}); fix or remove it"
        ) from error
