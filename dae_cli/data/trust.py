"""How far content is to be trusted as the original of a set, and what is known of the originals.

*verified*: its digest, or its archive's, is the published one; *plausible*: other bytes, but the
known rows of the original stand at their places, and every label obeys the law of the set;
*unverified*: neither, and taken all the same since the user said so; empty: regenerated.

Known are, as digests, the first and last ten rows of each split: ``genuine_rows.csv``, written by
``python docs/genuine_rows.py FOLDER``. Two sets have a law: the label is a function of the image,
in every row of the originals (51 200 of rect, 58 000 of convex).
"""

from __future__ import annotations

import csv
import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib import resources
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dae_cli.data.cache import file_digest
from dae_cli.data.dataset import Content, Pixels, Trust
from dae_cli.data.datasets import DATASETS, DatasetSpec, recipe_function
from dae_cli.data.user_files import UserFiles
from dae_cli.errors import DataError

FILE = "genuine_rows.csv"
COLUMNS = ("dataset", "part", "row", "label", "mean_grey", "sha256")
DIGITS = 16
"""Of each row's SHA-256 that are stored: no accident makes two rows agree in them."""
_FEW = 100
"""One in so many rows may be repeated, or be in both files, without telling anything."""
_MOST = 0.9
"""Share of the known rows that must bear out what is said of a misreading."""

Booleans = NDArray[np.bool_]
Labels = NDArray[np.uint8]


def judge(
    files: UserFiles, content: Content, sha256: str, spec: DatasetSpec, accept_unverified: bool
) -> tuple[Trust, str]:
    """How far the user's files of a set are to be trusted, and why.

    Raises DataError where nothing shows that they are the original and the user does not accept
    them all the same, and where they are what dae regenerates.
    """
    known = spec.known_sha256
    if spec.recipe and sha256 == spec.recipe.sha256 and sha256 not in known:
        raise DataError(
            f"{files}: is the set that dae regenerates, not the original; "
            "take it out of the data folder"
        )
    if sha256 in known:
        return "verified", "verified: the published content"
    if files.archive and spec.archive and file_digest(files.paths[0], "sha1") == spec.archive.sha1:
        return "verified", "verified: the published archive"
    common = f"; {content.common_rows}" if content.common_rows else ""
    if _is_plausible(content, spec):
        why = "other bytes than the published ones, but the rows that are known stand in it"
        return "plausible", f"plausible: {why}{common}"
    if nothing_is_known(spec):
        return "unverified", f"unverified: nothing is known to compare it with{common}"
    found = _likeliest_misreading(content, spec)
    if known:
        expected = " or ".join(f"{digest[:12]}…" for digest in sorted(known))
        found += f"; its content has SHA-256 {sha256[:12]}…, expected {expected}"
    if accept_unverified:
        return "unverified", f"unverified: {found}{common}"
    raise DataError(
        f"{files}: is not the original {spec.name}: {found}; supply the original file, in its "
        "original order, or take this one out of the data folder; --accept-unverified takes it "
        "as it is, and says so beside every verdict"
    )


def recorded_trust(name: str, origin: str, sha256: str) -> Trust:
    """The trust of results that were written before they recorded it: what their digest proves."""
    if origin == "regenerated" or (spec := DATASETS.get(name)) is None:
        return ""
    return "verified" if sha256 in spec.known_sha256 else "unverified"


def nothing_is_known(spec: DatasetSpec) -> bool:
    """Whether there is nothing that content could be compared with."""
    return not (spec.archive or spec.known_sha256 or spec.law or spec.name in GENUINE_ROWS)


def _is_plausible(content: Content, spec: DatasetSpec) -> bool:
    """Whether content whose digest is not a known one may be a copy of the original.

    Where the original's digest is known, only a law can vouch for the rows that differ.
    """
    known = _known_rows(spec, content)
    if known is None or not known.agree.all() or _repeated_rows(content, spec):
        return False
    laws = [lawful(spec, *rows) for rows in content.parts.values()]
    return all(law.all() if law is not None else not spec.known_sha256 for law in laws)


@dataclass(frozen=True)
class GenuineRow:
    """One row of an original set."""

    part: str
    """The file that it stands in, training or test; validation rows end the training file."""
    row: int
    """From 1, as in messages."""
    label: int
    mean_grey: float
    """Of its pixels, to three decimals: tells how grey values that do not agree differ."""
    sha256: str
    """The first digits of `row_digests`."""


@dataclass(frozen=True)
class _KnownRows:
    """The rows of some content that stand where a genuine row is known."""

    genuine: Sequence[GenuineRow]
    pixels: Pixels  # (n, pixels of an image)
    labels: Labels  # (n,)

    @property
    def same_images(self) -> Booleans:
        """Which of them have the pixels of the original, (n,)."""
        expected = np.array([row.sha256 for row in self.genuine])
        return np.asarray(np.array(row_digests(self.pixels)) == expected)

    @property
    def agree(self) -> Booleans:
        """Which of them are the original's, with its label, (n,)."""
        same_labels = self.labels == np.array([row.label for row in self.genuine])
        return np.asarray(self.same_images & same_labels)


def row_digests(pixels: Pixels) -> list[str]:
    """The first digits of the SHA-256 of each row, as it is stored."""
    little_endian = pixels.astype(pixels.dtype.newbyteorder("<"), copy=False)
    rows = np.ascontiguousarray(little_endian)
    return [hashlib.sha256(row.data).hexdigest()[:DIGITS] for row in rows]


def _known_rows(spec: DatasetSpec, content: Content) -> _KnownRows | None:
    """The rows of content at the places of the genuine ones; None where none are known."""
    if (genuine := GENUINE_ROWS.get(spec.name)) is None:
        return None
    rows = [(content.parts[row.part], row.row - 1) for row in genuine]
    pixels = np.stack([pixels[k] for (pixels, _), k in rows])
    labels = np.array([labels[k] for (_, labels), k in rows], dtype=np.uint8)
    return _KnownRows(genuine, pixels, labels)


def _read_genuine_rows() -> dict[str, list[GenuineRow]]:
    found: dict[str, list[GenuineRow]] = {}
    text = resources.files("dae_cli.data").joinpath(FILE).read_text(encoding="ascii")
    for line in csv.DictReader(text.splitlines()):
        name, part, row, label, mean_grey, sha256 = (line[column] for column in COLUMNS)
        known = GenuineRow(part, int(row), int(label), float(mean_grey), sha256)
        found.setdefault(name, []).append(known)
    return found


GENUINE_ROWS = _read_genuine_rows()


def lawful(spec: DatasetSpec, pixels: Pixels, labels: Labels) -> Booleans | None:
    """Which rows, pixels of 0 or 1, obey the law of their set, (n,); None: it has none."""
    if not spec.law:
        return None
    is_image, positive = recipe_function(spec.law)(pixels.reshape(-1, *spec.image) > 0)
    return np.asarray(is_image & ((labels == 1) == positive))


def _repeated_rows(content: Content, spec: DatasetSpec) -> str:
    """What repeats itself more than in any original, as a clause; empty where nothing does."""
    most = max(2, len(content.test_labels) // _FEW)
    if (common := content.n_common_rows) > max(most, spec.common_rows * 1.1):
        return f"its test rows seem to hold training rows: {common} are in both files"
    (_, times), *_ = Counter(row.tobytes() for row in content.test_pixels).most_common(1)
    return f"one image stands {times} times among its test rows" if times > most else ""


def _likeliest_misreading(content: Content, spec: DatasetSpec) -> str:
    """What most probably happened to content that is not the original, as a clause.

    Each misreading of rows is undone on those that are known; it is named if that gives the
    original's. Other changes are told by where the known images stand.
    """
    known = _known_rows(spec, content)
    if known and known.agree.mean() < _MOST:
        for clause, change in _MISREADINGS:
            pixels, labels = change(known.pixels, known.labels, spec)
            if replace(known, pixels=pixels, labels=labels).agree.mean() >= _MOST:
                return f"its {clause}"
    if repeated := _repeated_rows(content, spec):
        return repeated
    if known:
        if known.agree.mean() >= _MOST and not known.agree.all():
            row = known.genuine[int(known.agree.argmin())]
            n, where = int((~known.agree).sum()), f"row {row.row} of its {row.part} file"
            return f"{n} of {len(known.genuine)} known rows are others, such as {where}"
        same = known.same_images
        if same.all() and not known.agree.all():
            return "its labels are not those of its images: shuffled, or numbered in another way"
        greys = known.pixels.mean(axis=1, dtype=np.float64), [r.mean_grey for r in known.genuine]
        if spec.levels != 1 and not same.any() and np.corrcoef(*greys)[0, 1] > 0.99:
            return "its grey values seem to be scaled or rounded"
        everywhere = {*row_digests(content.pixels), *row_digests(content.test_pixels)}
        if not same.all() and np.mean([r.sha256 in everywhere for r in known.genuine]) >= _MOST:
            return (
                "its rows seem to be in another order, swapped between its files, or shuffled "
                "against their labels"
            )
    for part, rows in content.parts.items():
        if (law := lawful(spec, *rows)) is not None and not law.all():
            n, first = int((~law).sum()), int(law.argmin()) + 1
            return (
                f"{n} of its {part} rows are no images of {spec.name} with its label, such as row "
                f"{first}"
            )
    if known and known.agree.all():
        return "its known rows are the original's, others are not"
    return "nothing known of the original is in it"


_Rows = tuple[NDArray[Any], Labels]
"""Pixels (n, pixels of an image), labels (n,)."""
_Change = Callable[[NDArray[Any], Labels, DatasetSpec], _Rows]
"""Undoes a misreading."""


def _label_first(pixels: NDArray[Any], labels: Labels, spec: DatasetSpec) -> _Rows:
    last = np.clip(labels / spec.scale, 0, 255).astype(pixels.dtype)
    shifted = np.concatenate([pixels[:, 1:], last[:, None]], axis=1)
    return shifted, np.rint(pixels[:, 0] * spec.scale).astype(np.uint8)


def _inverted(pixels: NDArray[Any], labels: Labels, spec: DatasetSpec) -> _Rows:
    return ((spec.levels or 1) - pixels).astype(pixels.dtype), labels


def _other_labels(pixels: NDArray[Any], labels: Labels, spec: DatasetSpec) -> _Rows:
    return pixels, (spec.n_classes - 1 - labels).astype(np.uint8)


def _images(rearrange: Callable[[NDArray[Any]], NDArray[Any]]) -> _Change:
    """A change of the images, (n, height, width)."""

    def change(pixels: NDArray[Any], labels: Labels, spec: DatasetSpec) -> _Rows:
        return rearrange(pixels.reshape(-1, *spec.image)).reshape(pixels.shape), labels

    return change


_MISREADINGS: tuple[tuple[str, _Change], ...] = (
    ("labels seem to stand first in each row, not last", _label_first),
    ("images seem to be transposed", _images(lambda images: images.swapaxes(1, 2))),
    ("images seem to be mirrored", _images(lambda images: images[:, :, ::-1])),
    ("images seem to be upside down", _images(lambda images: images[:, ::-1])),
    ("images seem to be turned by 90°", _images(lambda images: np.rot90(images, 1, (1, 2)))),
    ("images seem to be turned by 90°", _images(lambda images: np.rot90(images, -1, (1, 2)))),
    ("grey values seem to be inverted", _inverted),
    ("labels seem to be swapped", _other_labels),
)
