"""What most probably happened to content that is not the original of its set.

Each misreading of single rows is undone on a sample of them; it is named if what comes out are rows
of the original, or rows that obey the set's law. What no such change explains is told by other
signs: constant labels, grey values of another kind, known rows that stand elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dae_cli.data.content import Content
from dae_cli.data.datasets import DatasetSpec
from dae_cli.data.genuine import KnownRows, known_rows, lawful, repeated_rows, row_digests

Labels = NDArray[np.uint8]
Rows = tuple[NDArray[Any], Labels]
"""Pixels (n, pixels of an image), labels (n,)."""
Change = Callable[[NDArray[Any], Labels, DatasetSpec], Rows]
"""Undoes a misreading of rows."""

SAMPLE = 1000
"""Rows of each file on which misreadings are tried."""
MOST = 0.9
"""Share of rows that must bear out what is said of them."""


def likeliest_misreading(content: Content, spec: DatasetSpec) -> str:
    """What most probably happened to content that is not the original, as a clause."""
    known = known_rows(spec, content)
    for files in (("training", "test"), ("training",), ("test",)):
        if clause := _misreading_of_rows(content, spec, known and known.of(files), files):
            return f"its {clause}" if len(files) == 2 else f"in its {files[0]} file {clause}"
    return next(_signs(content, spec, known), "nothing known of the original is in it")


def _misreading_of_rows(
    content: Content, spec: DatasetSpec, known: KnownRows | None, files: Sequence[str]
) -> str:
    """The misreading which, undone, gives rows of the original or rows that obey the law."""

    def share_known(pixels: NDArray[Any], labels: Labels) -> float:
        assert known is not None
        return float(replace(known, pixels=pixels, labels=labels).agree.mean())

    def share_lawful(pixels: NDArray[Any], labels: Labels) -> float:
        obey = lawful(spec, pixels, labels)
        return float(obey.rows.mean()) if obey else 0.0

    some = [[a[:: -(-len(a) // SAMPLE)] for a in content.parts[file]] for file in files]
    pixels, labels = (np.concatenate(arrays) for arrays in zip(*some, strict=True))
    tries = [(share_lawful, pixels, labels)]
    if known:  # rows that are known say more than a law does
        tries.insert(0, (share_known, known.pixels, known.labels))
    for share, pixels, labels in tries:
        if share(pixels, labels) < MOST:
            for clause, change in _MISREADINGS:
                if share(*change(pixels, labels, spec)) >= MOST:
                    return clause
    return ""


def _label_first(pixels: NDArray[Any], labels: Labels, spec: DatasetSpec) -> Rows:
    last = np.clip(labels / spec.scale, 0, 255).astype(pixels.dtype)
    shifted = np.concatenate([pixels[:, 1:], last[:, None]], axis=1)
    return shifted, np.rint(pixels[:, 0] * spec.scale).astype(np.uint8)


def _inverted(pixels: NDArray[Any], labels: Labels, spec: DatasetSpec) -> Rows:
    white = 1 if spec.levels is None else spec.levels
    return (white - pixels).astype(pixels.dtype), labels


def _other_labels(pixels: NDArray[Any], labels: Labels, spec: DatasetSpec) -> Rows:
    return pixels, (spec.n_classes - 1 - labels).astype(np.uint8)


def _images(rearrange: Callable[[NDArray[Any]], NDArray[Any]]) -> Change:
    """A change of the images, (n, height, width)."""

    def change(pixels: NDArray[Any], labels: Labels, spec: DatasetSpec) -> Rows:
        images = rearrange(pixels.reshape(-1, *spec.image))
        return images.reshape(pixels.shape), labels

    return change


_MISREADINGS: tuple[tuple[str, Change], ...] = (
    ("labels seem to stand first in each row, not last", _label_first),
    ("images seem to be transposed", _images(lambda images: images.swapaxes(1, 2))),
    ("images seem to be mirrored", _images(lambda images: images[:, :, ::-1])),
    ("images seem to be upside down", _images(lambda images: images[:, ::-1])),
    ("images seem to be turned by 180°", _images(lambda images: images[:, ::-1, ::-1])),
    ("images seem to be turned by 90°", _images(lambda images: np.rot90(images, 1, (1, 2)))),
    ("images seem to be turned by 90°", _images(lambda images: np.rot90(images, -1, (1, 2)))),
    ("grey values seem to be inverted", _inverted),
    ("labels seem to be swapped", _other_labels),
)


def _signs(content: Content, spec: DatasetSpec, known: KnownRows | None) -> Iterator[str]:
    """What else is wrong, the likeliest cause first."""
    yield from _signs_of_labels(content)
    if repeated := repeated_rows(content, spec):
        yield repeated
    yield from _signs_of_grey_values(content, spec, known)
    yield from _signs_of_order(content, known)
    yield from _signs_of_the_law(content, spec)


def _signs_of_labels(content: Content) -> Iterator[str]:
    for part, (_, labels) in content.parts.items():
        if len(np.unique(labels)) == 1:
            yield f"every label of its {part} rows is {labels[0]}"


def _signs_of_grey_values(
    content: Content, spec: DatasetSpec, known: KnownRows | None
) -> Iterator[str]:
    if spec.levels == 1 or known is None:
        return  # nothing but black and white could be read
    some = content.pixels[:SAMPLE].astype(np.float64) * spec.scale
    if len(np.unique(some)) <= 2:
        yield "its grey values seem to be cut to black and white"
    for levels in (255, 256):
        if spec.levels is None and np.abs(some * levels - np.rint(some * levels)).max() < 1e-3:
            yield "its grey values seem to be cut to 8 bits"
    found = known.pixels.mean(axis=1, dtype=np.float64) * spec.scale
    expected = np.array([row.mean_grey for row in known.genuine])
    if np.mean(np.abs(1 - found - expected) < 0.002) >= MOST:
        yield "its grey values seem to be inverted"
    if not known.same_images.any() and np.corrcoef(found, expected)[0, 1] > 0.99:
        yield "its grey values seem to be scaled or rounded"


def _signs_of_order(content: Content, known: KnownRows | None) -> Iterator[str]:
    """The known images are there, with other labels or at other places."""
    if known is None:
        return
    if known.agree.mean() >= MOST:
        other = [row for row, agrees in zip(known.genuine, known.agree, strict=True) if not agrees]
        if other:
            first = f"row {other[0].row} of its {other[0].part} file"
            yield f"{len(other)} of {len(known.genuine)} known rows are others, such as {first}"
        return
    if known.same_images.all():
        yield "its labels are not those of its images: shuffled, or numbered in another way"
        return
    moved = ~known.same_images
    rows = [row for row, is_moved in zip(known.genuine, moved, strict=True) if is_moved]
    training, test = (set(row_digests(p)) for p in (content.pixels, content.test_pixels))
    elsewhere = [row.sha256 in (test if row.part == "training" else training) for row in rows]
    if np.mean(elsewhere) >= MOST:
        yield "rows of its training file and of its test file seem to be swapped"
    if np.mean([row.sha256 in training | test for row in rows]) >= MOST:
        if known.same_labels[moved].mean() >= MOST:
            yield "its images seem to be shuffled against its labels"
        yield "its rows seem to be in another order"


def _signs_of_the_law(content: Content, spec: DatasetSpec) -> Iterator[str]:
    for part, (pixels, labels) in content.parts.items():
        obey = lawful(spec, pixels, labels)
        if obey is None:
            return
        if not obey.images.all():
            n, first = int((~obey.images).sum()), int(obey.images.argmin()) + 1
            yield f"{n} of its {part} rows are no images of {spec.name}, such as row {first}"
        elif obey.labels.mean() < MOST:
            yield f"the images of its {part} rows seem to be shuffled against their labels"
        elif not obey.labels.all():
            n, first = int((~obey.labels).sum()), int(obey.labels.argmin()) + 1
            yield f"{n} of its {part} rows have not the label of their image, such as row {first}"
    yield "its rows are of the set's kind, but not the published ones"
