"""Turn the files of a user's own data set into canonical content, which is cached.

Assigns classes and splits and scales values to [0, 1]. Files are read again only if they changed.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from dae_cli.data.cache import (
    Note,
    entry_path,
    exclusive,
    read_pointer,
    recorded,
    save_entry,
    save_pointer,
    save_ranges,
    sound_entry,
)
from dae_cli.data.dataset import BEYOND, Content, Pixels, Prepared, content_digest, label_type
from dae_cli.data.datasets import OwnDataset, spec_of
from dae_cli.data.own.declaration import FRACTION, MOST_CLASSES, Declaration, OwnFacts
from dae_cli.data.own.files import SPLITS, OwnRows, named_file, read_rows, sources_of
from dae_cli.data.readers import unreadable
from dae_cli.errors import DataError, shown
from dae_cli.files import cache_folder

ORIGIN: Final = "own"
_READING = 2
"""Version of the conversion from files to content; a new version reads all files again."""
_LARGE, _MANY = 20_000_000, 2000
"""Number of bytes and of files that take seconds to read."""


def prepare_own(dataset: OwnDataset, note: Note) -> Prepared:
    """Prepare a data set whose facts are known; its files are read only if it is not cached.

    Raises DataError: the files are missing or can no longer be used.
    """
    facts = dataset.facts
    assert facts is not None, dataset
    known = sound_entry(entry_of(dataset, facts), spec_of(dataset), note)
    if known and known.sha256 == facts.sha256:
        return _as_declared(known, dataset.path, facts.declaration)
    return read_own(dataset.path, facts.declaration, note)


def read_own(path: Path, declaration: Declaration, note: Note) -> Prepared:
    """Read the data set that the file `path` declares, unless it is cached.

    Raises DataError: files that cannot be used.
    """
    name = OwnDataset(path)
    pointer = cache_folder() / f"{name}-files-{_key(path, declaration)}.json"
    found = read_pointer(pointer)
    known = recorded(cache_folder() / found[0]) if found else None
    if known and known.origin == ORIGIN:
        return _as_declared(known, path, declaration)
    with exclusive(name, note):
        note_if_large(files_of(path, declaration), note)
        content, facts, scaling, notes = read_content(path, declaration)
        dataset = OwnDataset(path, facts)
        rows = f"{' + '.join(map(str, facts.rows))} rows of {spec_of(dataset).n_pixels} values"
        classes = f"{len(facts.classes)} classes" if facts.classes else "no labels"
        source, entry = "; ".join([f"{rows}, {classes}", *notes]), entry_of(dataset, facts)
        prepared = Prepared(dataset, entry, ORIGIN, facts.sha256, source, "")
        save_entry(prepared, content)
        if scaling.is_clipped:
            save_ranges(entry, scaling.low, scaling.high)
        save_pointer(pointer, entry.name, "")
    return _as_declared(prepared, path, declaration)


def note_if_large(files: Sequence[Path], note: Note) -> None:
    """Announce that files are being read if that takes a while."""
    size = sum(file.stat().st_size for file in files if file.is_file())
    if size > _LARGE or len(files) > _MANY:
        what = str(files[0]) if len(files) == 1 else f"{len(files)} files such as {files[0]}"
        note(f"reading {what} ({size / 1e6:.0f} MB); later commands use a cached copy")


def entry_of(dataset: OwnDataset, facts: OwnFacts) -> Path:
    """The path of a data set in the cache."""
    return entry_path(dataset, ORIGIN, facts.sha256[:12])


def _as_declared(known: Prepared, path: Path, declaration: Declaration) -> Prepared:
    """A cache entry under this declaration; other files may declare the same content."""
    assert isinstance(known.name, OwnDataset) and known.name.facts is not None
    here = {"declared": str(path), "declaration": declaration}
    dataset = OwnDataset(path, known.name.facts.model_copy(update=here))
    return replace(known, name=dataset, source=f"{declaration.file}, {known.source}")


def files_of(path: Path, declaration: Declaration) -> tuple[Path, ...]:
    """All files of the data set that the file `path` declares."""
    split = declaration.split
    named = [declaration.file, *(p for p in (split.valid, split.test) if isinstance(p, str))]
    return tuple(
        file for root in named for file in sorted(sources_of(named_file(path.parent, root)))
    )


def _key(path: Path, declaration: Declaration) -> str:
    """A key that changes with the declaration and its files; it does not read the files."""
    about: list[object] = [_READING, str(path), declaration.model_dump(mode="json")]
    try:
        for file in files_of(path, declaration):
            status = file.stat()
            about.append([str(file.absolute()), status.st_size, status.st_mtime_ns])
    except FileNotFoundError as error:
        raise DataError(
            f"{error.filename}: does not exist; correct its path in {path}, which is relative to "
            "the folder of that file"
        ) from error
    except OSError as error:
        raise unreadable(error.filename, error) from error
    return hashlib.sha256(json.dumps(about).encode()).hexdigest()[:16]


def read_content(
    path: Path, declaration: Declaration
) -> tuple[Content, OwnFacts, Scaling, list[str]]:
    """Read the data that the file `path` declares; return content, facts, scaling and notes.

    Raises DataError: files that cannot be used.
    """
    parts, classes = split_rows(declaration, path.parent)
    image, channels = _image_of(parts["train"], declaration, path)
    pixels, levels, scaling, notes = _scaled(parts, declaration, path)
    labels = [_numbered(parts[split].labels, classes, len(parts[split])) for split in SPLITS]
    train, valid, test = pixels
    content = Content(np.concatenate([train, valid]), np.concatenate(labels[:2]), test, labels[2])
    facts = OwnFacts(
        declared=str(path),
        declaration=declaration,
        sha256="0" * 64,
        rows=(len(train), len(valid), len(test)),
        classes=classes,
        image=image,
        channels=channels,
        levels=levels,
        bounded=all(
            part.min(initial=0) >= 0 and part.max(initial=1) <= (levels or 1) for part in pixels
        ),
    )
    sha256 = content_digest(facts.spec(OwnDataset(path)), content)
    facts = facts.model_copy(update={"sha256": sha256})
    if constant := int((train == train[0]).all(axis=0).sum()):
        notes.append(f"{constant} of {train.shape[1]} inputs are the same in every training row")
    return content, facts, scaling, [*notes, *filter(None, [content.common_rows])]


def split_rows(
    declaration: Declaration, folder: Path, like: OwnRows | None = None
) -> tuple[dict[str, OwnRows], tuple[str, ...]]:
    """Return the rows of each split, and the classes.

    Splits are given or drawn by class; without labels all rows are training rows. Columns are put
    into the order of those of `like`.

    Raises DataError.
    """
    file = named_file(folder, declaration.file)
    parts = read_rows(file, declaration, like)
    whole, split = parts["train"], declaration.split
    fractions: dict[str, float] = {}
    for name in ("test", "valid"):
        asked = getattr(split, name)
        if asked is not None and name in parts:
            raise DataError(f"{file}: already contains {name} rows; remove split.{name}")
        if isinstance(asked, str):
            given = read_rows(named_file(folder, asked), declaration, whole)
            parts[name] = given["train"]
            if len(given) > 1:
                raise DataError(
                    f"{named_file(folder, asked)}: contains several splits, but split.{name} needs "
                    "a file with one; save its rows as X"
                )
            if whole.labels is not None and given["train"].labels is None:
                raise DataError(f"{given['train'].where}: has no labels, but {whole.where} has")
        elif name not in parts:
            fractions[name] = asked or (FRACTION if whole.labels is not None else 0.0)
    if math.fsum(fractions.values()) >= 1:
        raise DataError(f"{whole.where}: split leaves no training rows; declare smaller fractions")
    classes = _classes_of(parts)
    drawn = drawn_rows(whole, [*fractions.values()], split.seed)
    taken = zip([*fractions, "train"], drawn, strict=True)
    return parts | {name: whole.take(rows) for name, rows in taken}, classes


def drawn_rows(rows: OwnRows, fractions: Sequence[float], seed: int) -> list[NDArray[np.intp]]:
    """Draw rows for each fraction, class by class; the last array has the remaining rows.

    Each array is in the order of the file. Draws use the raw stream, which is the same in every
    version of numpy.
    """
    order = np.argsort(np.random.PCG64(seed).random_raw(len(rows)), kind="stable")
    labels = rows.labels if rows.labels is not None else np.zeros(len(rows), np.str_)
    chosen: list[list[NDArray[np.intp]]] = [[] for _ in (*fractions, 1.0)]
    for label in np.unique(labels):
        own = order[labels[order] == label]
        counts = [max(1, round(f * len(own))) if f else 0 for f in fractions]
        if sum(counts) >= len(own):
            raise DataError(
                f"{rows.where}: the class {shown(str(label))} has too few rows ({len(own)}) "
                "for training, validation and test; add rows, leave the class out, or set "
                "split.valid and split.test to files"
            )
        for some, part in zip(chosen, np.split(own, np.cumsum(counts)), strict=True):
            some.append(part)
    return [np.sort(np.concatenate(some)) for some in chosen]


def _image_of(rows: OwnRows, declaration: Declaration, path: Path) -> tuple[tuple[int, int], Any]:
    """Height and width, and values per pixel; a row of a table is an image of height 1."""
    inputs = rows.values.shape[1]
    image = declaration.image or rows.image
    if image is None:
        return (1, inputs), 1
    if math.prod(image) != inputs:
        raise DataError(
            f"{path}: image {list(image)} has {math.prod(image)} values, but {rows.where} has "
            f"{inputs} per row"
        )
    height, width, *colours = image
    return (height, width), 3 if colours else 1


def _classes_of(parts: dict[str, OwnRows]) -> tuple[str, ...]:
    """The labels of the training rows, in numeric order if all are whole numbers, else as text."""
    labels = parts["train"].labels
    if labels is None:
        return ()
    found = [str(label) for label in np.unique(labels)]
    if len(found) > MOST_CLASSES:
        raise DataError(
            f"{parts['train'].where}: {len(found)} different labels, such as {shown(found[0])}; "
            f"expected at most {MOST_CLASSES} classes; is label the right column?"
        )
    if len(found) < 2:
        raise DataError(
            f"{parts['train'].where}: all labels are {shown(found[0])}; expected at least two "
            "classes"
        )
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


@dataclass(frozen=True, eq=False)
class Scaling:
    """How values in files are mapped to inputs of a model."""

    low: Any = None
    """The value that becomes 0: a number, or one per input; None: values stay unchanged."""
    high: Any = None
    """The value that becomes 1."""
    levels: int | None = None
    """Largest whole number, if values are stored as bytes."""
    is_clipped: bool = False
    """Whether values outside `low` and `high` are clipped; otherwise they are errors."""
    remedy: str = ""
    """End of the message on a value outside `low` and `high`."""

    def applied(self, rows: OwnRows) -> NDArray[np.float32]:
        """Scale rows for the model. Raises DataError: a value is outside `low` and `high`."""
        values = rows.values
        if self.low is None:
            return values.astype(np.float32)
        if not self.is_clipped:
            self.require_within(rows)
        if self.levels:  # the same arithmetic as for the bytes of a data set
            return (values.astype(np.float64) * (1.0 / self.levels)).astype(np.float32)
        if not self.is_clipped and (self.low, self.high) == (0, 1):  # the same numbers, but faster
            clipped: NDArray[np.float32] = np.clip(values, 0, 1).astype(np.float32, copy=False)
            return clipped
        share: NDArray[np.float64]
        share = (values.astype(np.float64) - self.low) / (self.high - self.low)
        return np.clip(share, 0, 1).astype(np.float32)

    def count_clipped(self, values: NDArray[Any]) -> int:
        """Count the values that `applied` clips."""
        return int(((values < self.low) | (values > self.high)).sum()) if self.is_clipped else 0

    def require_within(self, rows: OwnRows) -> None:
        """Raise DataError for a value outside `low` and `high` by more than rounding."""
        low, high, values = self.low - BEYOND, self.high + BEYOND, rows.values
        if not values.size or (values.min() >= low and values.max() <= high):
            return
        row, column = np.argwhere((values < low) | (values > high))[0]
        raise DataError(
            f"{rows.place(int(row), int(column))}: found {values[row, column]:g}, expected a value "
            f"from {self.low:g} to {self.high:g}{self.remedy}"
        )


def _scaled(
    parts: dict[str, OwnRows], declaration: Declaration, path: Path
) -> tuple[list[Pixels], int | None, Scaling, list[str]]:
    """Return the values of each split as they are stored, their levels, scaling, and notes.

    Whole numbers within 0 to 255 are stored as bytes, all other values as float32.
    """
    rows = [parts[split] for split in SPLITS]
    scaling, notes = Scaling(), []
    if declaration.scale == "minmax":
        scaling = minmax_of(rows[0])
        if n := sum(scaling.count_clipped(one.values) for one in rows[1:]):
            notes = [f"validation and test values clipped to the range of the training rows: {n}"]
    elif declaration.scale != "none":
        ends = declaration.ends or rows[0].ends
        low, high = ends or (0.0, 1.0)
        values = [one.values for one in rows if one.values.size]
        least, most = min(v.min() for v in values), max(v.max() for v in values)
        remedy = "" if ends is None else ", as declared by scale"
        remedy += f"; declare in {path} which values become 0 and 1, "
        remedy += f"scale: {{from: [{least:g}, {most:g}]}}"
        if ends is None:
            remedy += ", or scale: minmax; or scale: none with pretrain.loss: squared-error"
        scaling = Scaling(low, high, remedy=remedy)
        if low == 0 and high == round(high) <= 255 and all(is_whole(one.values) for one in rows):
            for one in rows:
                scaling.require_within(one)
            return [one.values.astype(np.uint8) for one in rows], int(high), scaling, []
    return [scaling.applied(one) for one in rows], None, scaling, notes


def minmax_of(rows: OwnRows) -> Scaling:
    """Map the least and largest value of each input to 0 and 1."""
    low = rows.values.min(axis=0).astype(np.float64)
    high = rows.values.max(axis=0).astype(np.float64)
    return Scaling(low, np.where(high > low, high, low + 1), is_clipped=True)


def is_whole(values: NDArray[Any]) -> bool:
    """Whether all values are whole numbers."""
    return values.dtype.kind in "iub" or bool((values == np.rint(values)).all())
