"""What a user's files say of themselves: label column, image, scale; for a first declaration."""

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
)
from dae_cli.errors import DataError, some

if TYPE_CHECKING:
    import pandas as pd

LABELS = ("label", "labels", "target", "class", "y")
"""Names of a column, or of a key, that holds labels."""
_NUMBERS = ("id", "index")
"""Names of a column that counts the rows where all its values differ."""
_SAMPLE = 1000
"""Rows of a table that tell text from numbers."""
_FEWEST_COUNTED = 9
"""Steps of one below which a column need not count the rows."""
_LEAST_IMAGE = 64
"""Inputs below which a square number of columns says nothing of images."""

Why = dict[str, str]
"""The reason for a key of a declaration, for a comment."""


def infer_declaration(
    path: Path, folder: Path, label: str | None, unlabelled: bool, image: Sequence[int]
) -> tuple[Declaration, Why]:
    """The declaration, to be written into `folder`, of what lies at `path`.

    `label` and `image`: as the user names them, else what the files say.
    Raises DataError: they cannot be read, or leave open which column holds the labels.
    """
    keys: dict[str, Any] = {"file": str(path)}
    why: Why = {}
    if path.is_dir():
        keys |= _of_folder(path, label, image)
    elif path.suffix.casefold() in SEPARATORS:
        keys |= _of_table(path, label, unlabelled, why)
    else:
        keys["label"] = label or (None if unlabelled else _label_in(path, _npz_names(path)))
    parts = read_rows(Path(keys["file"]), Declaration(**keys))
    for split, file in keys.get("split", {}).items():
        parts |= {split: read_rows(Path(file), Declaration(**keys))["train"]}
    rows = [*parts.values()]
    if unlabelled and rows[0].labels is not None:
        raise DataError(
            f"{path}: its subfolders are classes; leave --unlabelled out, or put all images into "
            "one folder"
        )
    _add_image_and_scale(keys, rows, list(image), why)
    keys["file"] = _from(folder, keys["file"])
    split = {name: _from(folder, file) for name, file in keys.get("split", {}).items()}
    if rows[0].labels is not None:
        split |= {name: FRACTION for name in ("valid", "test") if name not in parts}
    keys["split"] = split
    return Declaration(**keys), why


def _of_folder(path: Path, label: str | None, image: Sequence[int]) -> dict[str, Any]:
    """Images by class; in folders of their own for training and test where these are there."""
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
            f"{path}: its images have {len(sizes)} sizes, such as {found}; give the size that all "
            "are brought to: --image HEIGHTxWIDTH, or HEIGHTxWIDTHx3 of colours"
        )
    return keys


def _of_table(path: Path, label: str | None, unlabelled: bool, why: Why) -> dict[str, Any]:
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
    if label is None and not unlabelled:
        label = _label_in(path, names, names[-1] if text == names[-1:] else None)
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
        why["ignore"] = "they hold text or labels, or count the rows"
    return {"label": label, "ignore": ignore}


def _counts_rows(column: pd.Series[Any]) -> bool:
    """Whether each value is one more than that before it: no input, and it may tell the class."""
    steps = column.diff().iloc[1:] if column.dtype.kind in "iu" else column.iloc[:0]
    return len(steps) >= _FEWEST_COUNTED and bool((steps == 1).all())


def _label_in(path: Path, names: Sequence[str], likely: str | None = None) -> str | None:
    """The one of these columns or keys that is called as labels are, else the likely one.

    None where there are no names.
    """
    found = [name for name in names if name.casefold() in LABELS]
    if len(found) == 1:
        return found[0]
    if not names or (likely and not found):
        return likely
    what = f"{some(found)} may each hold the labels" if found else "nothing says where labels are"
    raise DataError(
        f"{path}: {what}; give --label NAME (one of {some(names, 8)}), or --unlabelled where "
        "there are none"
    )


def _npz_names(path: Path) -> list[str]:
    """Keys that may hold labels, as a declaration names them; none of a file that is no .npz."""
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
    # The columns of a table have each its own range; pixels share one.
    shared = whole and least >= 0 and most <= 255 and float(np.mean(high > most / 2)) >= 0.5
    if not image and not rows[0].image and shared:
        side = math.isqrt(len(low))
        if side * side == len(low) >= _LEAST_IMAGE:
            image = [side, side]
            why["image"] = f"{len(low)} whole numbers of one range are taken for pixels"
    if image:
        if math.prod(image) != len(low):
            raise DataError(
                f"{rows[0].where}: has {len(low)} values a row, and an image of "
                f"{'x'.join(map(str, image))} has {math.prod(image)}"
            )
        keys["image"] = image
    if bounded or rows[0].ends:  # as of image files
        return
    if shared or image or rows[0].image:
        top = 255.0 if whole and 127 < most <= 255 else most
        if min(least, 0.0) == top:
            raise DataError(f"{rows[0].where}: every value is {least:g}; there is nothing to learn")
        ends = (min(least, 0.0), top)
        keys["scale"] = {"from": [int(end) if end == int(end) else end for end in ends]}
        why["scale"] = "these become 0 and 1"
    else:
        keys["scale"] = "minmax"
        why["scale"] = "each input by its least and largest value of the training rows"


def _from(folder: Path, file: str) -> str:
    """A path as a declaration in `folder` names it: relative where both lie below this folder."""
    here, there = Path.cwd().resolve(), Path(file).resolve()
    if there.is_relative_to(here) and folder.resolve().is_relative_to(here):
        return os.path.relpath(there, folder.resolve())
    return str(there)
