"""From the rows of a user's files to canonical content: classes, splits, values in [0, 1]."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dae_cli.data.content import BEYOND, Content, content_digest, label_type
from dae_cli.data.dataset import Pixels
from dae_cli.data.datasets import OwnDataset
from dae_cli.data.own.declaration import FRACTION, MOST_CLASSES, Declaration, OwnFacts
from dae_cli.data.own.files import SPLITS, OwnRows, named_file, read_rows
from dae_cli.errors import DataError, shown


def read_content(path: Path, declaration: Declaration) -> tuple[Content, OwnFacts, list[str]]:
    """Read what the file `path` declares: the content, its facts, and notes about it.

    Raises DataError: files that cannot be used.
    """
    declared = str(path)
    parts, classes = split_rows(declaration, path.parent)
    image, channels = _image_of(parts["train"], declaration, declared)
    pixels, levels, notes = _scaled(parts, declaration, declared)
    labels = [_numbered(parts[split].labels, classes, len(parts[split])) for split in SPLITS]
    train, valid, test = pixels
    content = Content(np.concatenate([train, valid]), np.concatenate(labels[:2]), test, labels[2])
    facts = OwnFacts(
        declared=declared,
        declaration=declaration,
        sha256="0" * 64,
        rows=(len(train), len(valid), len(test)),
        classes=classes,
        image=image,
        channels=channels,
        levels=levels,
        bounded=levels is not None or _is_bounded(pixels),
    )
    facts = facts.model_copy(
        update={"sha256": content_digest(facts.spec(OwnDataset(path)), content)}
    )
    if constant := int((train == train[0]).all(axis=0).sum()):
        notes.append(f"{constant} of {train.shape[1]} inputs are the same in every training row")
    return content, facts, [*notes, *filter(None, [content.common_rows])]


def split_rows(
    declaration: Declaration, folder: Path, like: OwnRows | None = None
) -> tuple[dict[str, OwnRows], tuple[str, ...]]:
    """The rows of each split: given, or drawn of each class; without labels all are for training.

    And the classes. Columns are brought into the order of those of `like`.

    Raises DataError.
    """
    file = named_file(folder, declaration.file)
    parts = read_rows(file, declaration, like)
    whole, split = parts["train"], declaration.split
    fractions: dict[str, float] = {}
    for name in ("test", "valid"):
        asked = getattr(split, name)
        if asked is not None and name in parts:
            raise DataError(f"{file}: has {name} rows of its own; leave split.{name} out")
        if isinstance(asked, str):
            parts[name] = _given(read_rows(named_file(folder, asked), declaration, whole), whole)
        elif name not in parts:
            fractions[name] = asked or (FRACTION if whole.labels is not None else 0.0)
    if sum(fractions.values()) >= 1:
        raise DataError(f"{whole.where}: split leaves no training rows: declare smaller fractions")
    classes = _classes_of(parts)
    drawn = drawn_rows(whole, [*fractions.values()], split.seed)
    taken = zip([*fractions, "train"], drawn, strict=True)
    return parts | {name: whole.take(rows) for name, rows in taken}, classes


def _given(parts: dict[str, OwnRows], whole: OwnRows) -> OwnRows:
    rows = parts["train"]
    if len(parts) > 1:
        raise DataError(f"{rows.where}: expected X alone in a file of one split")
    if whole.labels is not None and rows.labels is None:
        raise DataError(f"{rows.where}: has no labels, {whole.where} has")
    return rows


def drawn_rows(rows: OwnRows, fractions: Sequence[float], seed: int) -> list[NDArray[np.intp]]:
    """Rows for each fraction, and the rest, in the order of the file.

    Of each class by itself; the draw is of the raw stream, which no version of numpy changes.
    """
    order = np.argsort(np.random.PCG64(seed).random_raw(len(rows)), kind="stable")
    labels = rows.labels if rows.labels is not None else np.zeros(len(rows), np.str_)
    chosen: list[list[NDArray[np.intp]]] = [[] for _ in (*fractions, 1.0)]
    for label in np.unique(labels):
        own = order[labels[order] == label]
        counts = [max(1, round(f * len(own))) if f else 0 for f in fractions]
        if sum(counts) >= len(own):
            names = "training, validation and test"
            raise DataError(
                f"{rows.where}: the class {shown(str(label))} has {len(own)} rows, too few for "
                f"{names}; add rows of it, leave it out, or give split.valid and split.test"
            )
        for some, part in zip(chosen, np.split(own, np.cumsum(counts)), strict=True):
            some.append(part)
    return [np.sort(np.concatenate(some)) for some in chosen]


def _image_of(
    rows: OwnRows, declaration: Declaration, declared: str
) -> tuple[tuple[int, int], Any]:
    """Height and width, and numbers a pixel; a row of a table is an image of height 1."""
    inputs = rows.values.shape[1]
    image = declaration.image or rows.image
    if image is None:
        return (1, inputs), 1
    if math.prod(image) != inputs:
        raise DataError(
            f"{declared}: image {list(image)} is {math.prod(image)} values, but {rows.where} has "
            f"{inputs} a row"
        )
    height, width, *colours = image
    return (height, width), 3 if colours else 1


def _classes_of(parts: dict[str, OwnRows]) -> tuple[str, ...]:
    """The labels of the training rows in their order: of numbers, or of text."""
    labels = parts["train"].labels
    if labels is None:
        return ()
    found = [str(label) for label in np.unique(labels)]
    if len(found) > MOST_CLASSES:
        raise DataError(
            f"{parts['train'].where}: {len(found)} different labels, such as {shown(found[0])}; "
            f"expected at most {MOST_CLASSES} classes: is label the right column?"
        )
    if len(found) < 2:
        raise DataError(f"{parts['train'].where}: all labels are {shown(found[0])}; expected two")
    for rows in parts.values():
        assert rows.labels is not None
        unknown = np.flatnonzero(~np.isin(rows.labels, found))
        if len(unknown):
            raise DataError(
                f"{rows.where}, row {unknown[0] + 1}: no training row has the label "
                f"{shown(str(rows.labels[unknown[0]]))}"
            )
    return tuple(sorted(found, key=int) if are_whole(found) else found)


def are_whole(labels: Sequence[str]) -> bool:
    """Whether all labels are whole numbers."""
    return all(label.removeprefix("-").isdecimal() for label in labels)


def _numbered(labels: NDArray[np.str_] | None, classes: tuple[str, ...], n: int) -> NDArray[Any]:
    """Class numbers from 0."""
    kind = label_type(len(classes))
    if labels is None:
        return np.zeros(n, kind)
    order = np.argsort(np.array(classes), kind="stable")
    return order[np.searchsorted(np.array(classes)[order], labels)].astype(kind)


def _scaled(
    parts: dict[str, OwnRows], declaration: Declaration, declared: str
) -> tuple[list[Pixels], int | None, list[str]]:
    """The values of each split as they are stored, their levels, and notes.

    Whole numbers from 0 to 255 at most are stored as bytes, everything else as float32.
    """
    rows = [parts[split] for split in SPLITS]
    if declaration.scale == "none":
        return [one.values.astype(np.float32) for one in rows], None, []
    if declaration.scale == "minmax":
        return _by_columns(rows)
    ends = declaration.ends or rows[0].ends
    low, high = ends or (0.0, 1.0)
    values = [one.values for one in rows if one.values.size]
    least, most = min(v.min() for v in values), max(v.max() for v in values)
    remedy = f"declare in {declared} what becomes 0 and 1, scale: {{from: [{least:g}, {most:g}]}}"
    if ends is None:
        remedy += ", or scale: minmax; or scale: none, for pretrain.loss: squared-error"
    for one in rows:
        if place := first_beyond(one, low, high):
            raise DataError(
                f"{one.place(*place)}: {one.values[place]:g} found, expected a value from "
                f"{low:g} to {high:g}{' as scale says' if ends else ''}; {remedy}"
            )
    if low == 0 and high == round(high) <= 255 and all(is_whole(one.values) for one in rows):
        return [one.values.astype(np.uint8) for one in rows], int(high), []
    return [mapped(one.values, low, high) for one in rows], None, []


def mapped(values: NDArray[Any], low: Any, high: Any) -> NDArray[np.float32]:
    """Values between these two, each a number or one for each input, to [0, 1]."""
    share: NDArray[np.float64] = (values.astype(np.float64) - low) / (high - low)
    return np.clip(share, 0, 1).astype(np.float32)


def _by_columns(rows: Sequence[OwnRows]) -> tuple[list[Pixels], None, list[str]]:
    """Each input by its least and largest training value; what lies beyond is cut."""
    low, high = ends_of_columns(rows[0])
    beyond = sum(int(((one.values < low) | (one.values > high)).sum()) for one in rows[1:])
    notes = [f"{beyond} values of other rows lie beyond the training rows' and are cut"]
    return [mapped(one.values, low, high) for one in rows], None, notes if beyond else []


def ends_of_columns(rows: OwnRows) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """What becomes 0 and 1 of each input."""
    low = rows.values.min(axis=0).astype(np.float64)
    high = rows.values.max(axis=0).astype(np.float64)
    return low, np.where(high > low, high, low + 1)


def is_whole(values: NDArray[Any]) -> bool:
    """Whether all values are whole numbers."""
    return values.dtype.kind in "iub" or bool((values == np.rint(values)).all())


def _is_bounded(pixels: Sequence[Pixels]) -> bool:
    return all(part.min(initial=0) >= 0 and part.max(initial=1) <= 1 for part in pixels)


def first_beyond(rows: OwnRows, low: float, high: float) -> tuple[int, int] | None:
    """Row and column of the first value that lies beyond these two, by more than rounding."""
    low, high = low - BEYOND, high + BEYOND
    values = rows.values
    if not values.size or (values.min() >= low and values.max() <= high):
        return None
    row, column = np.argwhere((values < low) | (values > high))[0]
    return int(row), int(column)
