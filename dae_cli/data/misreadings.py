"""What most probably happened to content that is not the original of its set.

Each misreading of single rows is undone on a sample of them; it is named if what comes out are rows
of the original, or rows that obey the set's law. What no such change explains is told by other
signs: constant labels, grey values of another kind, known rows that stand elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dae_cli.data.content import Content
from dae_cli.data.dataset import Pixels
from dae_cli.data.datasets import DatasetSpec
from dae_cli.data.genuine_rows import KnownRows, known_rows, row_digests
from dae_cli.data.laws import lawful
from dae_cli.data.trust import repeated_rows

Labels = NDArray[np.uint8]
Change = Callable[[NDArray[Any], Labels, DatasetSpec], tuple[NDArray[Any], Labels]]
"""Undoes a misreading of rows: pixels (n, 784), labels (n,)."""

SAMPLE = 1000
"""Rows of each file on which misreadings are tried."""
MOST = 0.9
"""Share of rows that must bear out what is said of them."""


def likeliest_misreading(content: Content, spec: DatasetSpec) -> str:
    """What most probably happened to content that is not the original, as a clause."""
    for files in (("training", "test"), ("training",), ("test",)):
        if clause := _misreading_of_rows(_sample(content, spec, files), spec):
            return f"its {clause}" if len(files) == 2 else f"in its {files[0]} file {clause}"
    known = known_rows(spec.name, content)
    signs = [
        *_signs_of_labels(content),
        *([repeated] if (repeated := repeated_rows(content, spec)) else []),
        *_signs_of_grey_values(content, spec, known),
        *_signs_of_order(content, known),
        *_signs_of_the_law(content, spec),
    ]
    return signs[0] if signs else "nothing known of the original is in it"


def _misreading_of_rows(seen: _Sample, spec: DatasetSpec) -> str:
    """The misreading which, undone, gives rows of the original or rows that obey the law."""
    for is_right in (_are_known, _obey_the_law):  # rows that are known say more than a law does
        for clause, change in () if is_right(seen, spec) else _MISREADINGS:
            if is_right(seen.changed(change, spec), spec):
                return clause
    return ""


@dataclass(frozen=True)
class _Sample:
    """Rows on which misreadings are tried: those that are known, and some of whole files."""

    known: KnownRows | None
    pixels: Pixels
    labels: Labels

    def changed(self, change: Change, spec: DatasetSpec) -> _Sample:
        known = self.known
        if known is not None:
            pixels, labels = change(known.pixels, known.labels, spec)
            known = replace(known, pixels=pixels, labels=labels)
        return _Sample(known, *change(self.pixels, self.labels, spec))


def _sample(content: Content, spec: DatasetSpec, files: Sequence[str]) -> _Sample:
    every = {
        "training": (content.pixels, content.labels),
        "test": (content.test_pixels, content.test_labels),
    }
    steps = {file: -(-len(every[file][1]) // SAMPLE) for file in files}
    pixels = np.concatenate([every[file][0][:: steps[file]] for file in files])
    labels = np.concatenate([every[file][1][:: steps[file]] for file in files])
    known = known_rows(spec.name, content)
    return _Sample(known and known.of(files), pixels, labels)


def _are_known(seen: _Sample, _: DatasetSpec) -> bool:
    """Whether the original's rows are where they belong."""
    return seen.known is not None and bool(seen.known.agree.mean() >= MOST)


def _obey_the_law(seen: _Sample, spec: DatasetSpec) -> bool:
    """Whether rows are of the set, with the labels of their images."""
    obey = lawful(spec.name, seen.pixels, seen.labels)
    return obey is not None and bool(obey.rows.mean() >= MOST)


def _label_first(
    pixels: NDArray[Any], labels: Labels, spec: DatasetSpec
) -> tuple[NDArray[Any], Labels]:
    last = np.clip(labels / spec.scale, 0, 255).astype(pixels.dtype)
    shifted = np.concatenate([pixels[:, 1:], last[:, None]], axis=1)
    return shifted, np.rint(pixels[:, 0] * spec.scale).astype(np.uint8)


def _inverted(
    pixels: NDArray[Any], labels: Labels, spec: DatasetSpec
) -> tuple[NDArray[Any], Labels]:
    white = 1 if spec.levels is None else spec.levels
    return (white - pixels).astype(pixels.dtype), labels


def _other_labels(
    pixels: NDArray[Any], labels: Labels, spec: DatasetSpec
) -> tuple[NDArray[Any], Labels]:
    return pixels, (spec.n_classes - 1 - labels).astype(np.uint8)


def _images(rearrange: Callable[[NDArray[Any]], NDArray[Any]]) -> Change:
    """A change of the images, (n, height, width)."""

    def change(
        pixels: NDArray[Any], labels: Labels, spec: DatasetSpec
    ) -> tuple[NDArray[Any], Labels]:
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


def _signs_of_labels(content: Content) -> Iterator[str]:
    for part, labels in (("training", content.labels), ("test", content.test_labels)):
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
    for part, pixels, labels in (
        ("training", content.pixels, content.labels),
        ("test", content.test_pixels, content.test_labels),
    ):
        obey = lawful(spec.name, pixels, labels)
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
