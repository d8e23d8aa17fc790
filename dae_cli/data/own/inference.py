"""Infer the first declaration of a user's files: label column, image shape, scale and splits."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dae_cli.data.own.content import is_whole
from dae_cli.data.own.declaration import FRACTION, Declaration
from dae_cli.data.own.files import (
    SEPARATORS,
    SPLITS,
    OwnRows,
    column_names,
    images_by_class,
    names_in,
    opened_image,
    read_rows,
    refuse_decimal_comma,
)
from dae_cli.errors import DataError, some

if TYPE_CHECKING:
    import pandas as pd

LABELS = ("label", "labels", "target", "class", "y")
"""Usual names of a column or key with labels."""
_NUMBERS = ("id", "index")
"""Names of a column that numbers the rows, if all its values differ."""
_SAMPLE = 1000
"""Number of rows that are read to distinguish text from numbers."""
_FEWEST_COUNTED = 9
"""Least number of steps of 1 in a column that is considered to number the rows."""
_LEAST_IMAGE = 64
"""Least number of inputs that is considered a square image."""

Why = dict[str, str]
"""The reason for each inferred key of a declaration, written as a comment."""


def infer_declaration(
    path: Path, folder: Path, label: str | None, unlabelled: bool, image: Sequence[int]
) -> tuple[Declaration, Why]:
    """Infer the declaration of the data at `path`, which will be written into `folder`.

    `label` and `image` are inferred if the user does not give them.
    Raises DataError: the files cannot be read, or the label column is not clear.
    """
    keys: dict[str, Any] = {"file": str(path)}
    why: Why = {}
    if path.is_dir():
        keys |= _infer_folder(path, label, image)
    elif path.suffix.casefold() in SEPARATORS:
        keys |= _infer_table(path, label, unlabelled, why)
    else:
        keys["label"] = label or (None if unlabelled else _infer_label(path, _npz_names(path)))
    parts = read_rows(Path(keys["file"]), Declaration(**keys))
    for split, file in keys.get("split", {}).items():
        parts |= {split: read_rows(Path(file), Declaration(**keys))["train"]}
    rows = [*parts.values()]
    if unlabelled and rows[0].labels is not None:
        raise DataError(
            f"{path}: its subfolders are classes; omit --unlabelled, or put all images "
            "directly into one folder"
        )
    _add_image_and_scale(keys, rows, list(image), why)
    keys["file"] = _written_path(folder, keys["file"])
    split = {name: _written_path(folder, file) for name, file in keys.get("split", {}).items()}
    if rows[0].labels is not None:
        split |= {name: FRACTION for name in ("valid", "test") if name not in parts}
    keys["split"] = split
    return Declaration(**keys), why


def _infer_folder(path: Path, label: str | None, image: Sequence[int]) -> dict[str, Any]:
    """Keys for images by class, with the splits if there are folders `train` and `test`."""
    names = {"train": ("train",), "valid": ("valid", "val", "validation"), "test": ("test",)}
    parts = {
        split: path / name for split in SPLITS for name in names[split] if (path / name).is_dir()
    }
    keys: dict[str, Any] = {"label": label}
    if {"train", "test"} <= parts.keys():
        keys["file"] = str(parts.pop("train"))
        keys["split"] = {split: str(part) for split, part in parts.items()}
    if image:
        return keys | {"image": list(image), "resize": True}
    sizes: dict[tuple[int, int], Path] = {}
    for file, _ in images_by_class(Path(keys.get("file", path))):
        with opened_image(file) as opened:
            sizes[opened.height, opened.width] = file
    if len(sizes) > 1:
        found = " and ".join(f"{h}x{w} ({file.name})" for (h, w), file in [*sizes.items()][:2])
        raise DataError(
            f"{path}: its images have {len(sizes)} sizes, such as {found}; resize them with "
            "--image HEIGHTxWIDTH (grey) or --image HEIGHTxWIDTHx3 (colour)"
        )
    return keys


def _infer_table(path: Path, label: str | None, unlabelled: bool, why: Why) -> dict[str, Any]:
    import pandas as pd

    names = column_names(path)
    try:
        sample = pd.read_csv(path, sep=SEPARATORS[path.suffix.casefold()], nrows=_SAMPLE)
    except (OSError, ValueError) as error:  # pandas's own errors are ValueErrors
        raise DataError(f"{path}: cannot be read as a table ({error})") from error
    text = [
        name
        for name in names
        if sample[name].dtype.kind not in "fiub"
        and pd.to_numeric(sample[name], errors="coerce").isna().all()
    ]
    for name in text:
        if name != label and name.casefold() not in LABELS:
            row = int(sample[name].notna().to_numpy().argmax())
            refuse_decimal_comma(path, row, name, sample[name][row])
    if label is None and not unlabelled:
        label = _infer_label(path, names, names[-1] if text == names[-1:] else None)
    ignore = [
        name
        for name in names
        if name != label
        and (
            name in text
            or (name.casefold() in _NUMBERS and sample[name].is_unique)
            or (unlabelled and name.casefold() in LABELS)
            or _counts_rows(sample[name])
        )
    ]
    if ignore:
        why["ignore"] = "columns of text, labels or row numbers"
    return {"label": label, "ignore": ignore}


def _counts_rows(column: pd.Series[Any]) -> bool:
    """Whether each value is the previous one plus 1: no input, and it may reveal the class."""
    steps = column.diff().iloc[1:] if column.dtype.kind in "iu" else column.iloc[:0]
    return len(steps) >= _FEWEST_COUNTED and bool((steps == 1).all())


def _infer_label(path: Path, names: Sequence[str], likely: str | None = None) -> str | None:
    """Return the only column or key with a usual name for labels, else the likely one.

    None if there are no names. Raises DataError: the labels cannot be found.
    """
    found = [name for name in names if name.casefold() in LABELS]
    if len(found) == 1:
        return found[0]
    if not names or (likely and not found):
        return likely
    what = f"cannot find the labels (no name is {', '.join(LABELS)})"
    if found:
        what = f"the labels may be in any of {some(found)}"
    raise DataError(
        f"{path}: {what}; pass --label NAME (one of {some(names, 8)}), or use --unlabelled"
    )


def _npz_names(path: Path) -> list[str]:
    """Keys of an .npz that may be labels, as a declaration names them; empty for other files."""
    keys = names_in(path)
    values = ("x", *(f"x_{split}" for split in SPLITS))
    others = [key for key in keys if key.casefold() not in values]
    split = "x_train" in map(str.casefold, keys)
    plain = [key.removesuffix("_train") for key in others if key.endswith("_train") or not split]
    return list(dict.fromkeys(plain))


def _add_image_and_scale(
    keys: dict[str, Any], rows: Sequence[OwnRows], image: list[int], why: Why
) -> None:
    low = np.min([one.values.min(axis=0) for one in rows], axis=0).astype(np.float64)
    high = np.max([one.values.max(axis=0) for one in rows], axis=0).astype(np.float64)
    least, most = float(low.min()), float(high.max())
    bounded = least >= 0 and most <= 1
    whole = not bounded and all(is_whole(one.values) for one in rows)
    # Pixels share one range, but each column of a table usually has its own.
    shared = whole and least >= 0 and most <= 255 and float(np.mean(high > most / 2)) >= 0.5
    if not image and not rows[0].image and shared:
        side = math.isqrt(len(low))
        if side * side == len(low) >= _LEAST_IMAGE:
            image = [side, side]
            why["image"] = (
                f"guessed from {len(low)} whole numbers in one range; remove if rows are not images"
            )
    if image:
        if math.prod(image) != len(low):
            raise DataError(
                f"{rows[0].where}: has {len(low)} values per row, but an image of "
                f"{'x'.join(map(str, image))} has {math.prod(image)}"
            )
        keys["image"] = image
    if bounded or rows[0].ends:  # image files have ends
        return
    if shared or image or rows[0].image:
        top = 255.0 if whole and 127 < most <= 255 else most
        if min(least, 0.0) == top:
            raise DataError(f"{rows[0].where}: every value is {least:g}; there is nothing to learn")
        ends = (min(least, 0.0), top)
        keys["scale"] = {"from": [int(end) if end == int(end) else end for end in ends]}
        why["scale"] = "these values become 0 and 1"
    else:
        keys["scale"] = "minmax"
        why["scale"] = "maps the range of each input in the training rows to [0, 1]"


def _written_path(folder: Path, file: str) -> str:
    """Name a file in a declaration in `folder`: by a relative path if both can move together.

    They can if both are in the current folder, or in another that does not contain the home folder.
    """
    here, there, start = Path.cwd().resolve(), Path(file).resolve(), folder.resolve()
    shared = Path(os.path.commonpath([there, start]))
    home = Path(os.path.expanduser("~")).resolve()  # noqa: PTH111 (Path's raises without a home)
    if shared.is_relative_to(here) or not home.is_relative_to(shared):
        return os.path.relpath(there, start)
    return str(there)
