"""Compare regenerated with genuine rows: python docs/compare_datasets.py FOLDER… [--svm]

A FOLDER contains whole genuine sets, or NAME.npz with some genuine rows of one: X (n, d), y, and
for each row its split (train, valid, test) and the end of the split that it is from (first, last).
Writes a sheet of images for each set, and statistics.csv, from which `make readme` updates
docs/datasets.md. The exit code is 1 if a statistic is outside its tolerance.
"""

from __future__ import annotations

import argparse
import csv
import math
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dae_cli.config.schema import SvmSettings
from dae_cli.csvfile import csv_text
from dae_cli.data.cache import load
from dae_cli.data.dataset import Dataset, Split, canonical_labels, canonical_pixels
from dae_cli.data.datasets import DATASETS, DatasetSpec
from dae_cli.data.sources import DataOptions, prepare
from dae_cli.data.user_files import find_user_files
from dae_cli.figures.filters import filter_sheet, tiles_of
from dae_cli.figures.sheets import Panel, lay_out
from dae_cli.files import write_text
from dae_cli.study.paper import paper_numbers
from dae_cli.study.run.filters import as_shown
from dae_cli.svm.selection import SvmTrials, best_of, search
from dae_cli.svm.svm import Kernel, Svm, fit_svm

Array = NDArray[Any]
Row = dict[str, Any]

COLUMNS = (
    *("dataset", "part", "measure", "genuine", "genuine_error", "genuine_rows", "regenerated"),
    *("regenerated_rows", "tolerance", "regenerated_sha256", "trained", "holds"),
)
RECIPES = [name for name, spec in DATASETS.items() if spec.recipe]
OUT = Path(__file__).parent / "datasets"
OVERVIEW = Path(__file__).parents[1] / "dae_cli/study/report/templates/datasets.png"
TILES = (6, 10)
"""Rows and columns of images on each side of a sheet: 60 images, as many as a sample has."""

PERCENTILES = (5, 25, 50, 75, 95)
RESAMPLES = 400
NEAR = 2e-4
"""Largest distance of 255 · pixel from a whole number: rounding to float32 and to eight printed
digits stays below 2e-5, and one pixel in 2500 of another scale is as near by chance."""

STANDARD_ERRORS = 3.0
AREA_SHARE, AREA_PIXELS = 0.10, 4.0
"""Tolerance of an area on whole sets: a tenth or four pixels, whichever is more."""
ROWS = 10_000
"""Number of regenerated rows, spread over the test file, that are compared with a sample; also the
number of test rows for a fixed SVM."""

CONVEX_KERNEL, CONVEX_C = Kernel("rbf", 0.01), 10.0
CONVEX_OWN, CONVEX_TRANSFER, RECT_IMG_RBF = 1.0, 1.5, 0.5
"""Tolerances of an SVM's test error in percentage points: on rows of its own set, on genuine rows,
and compared with the published error."""


def say(text: object) -> None:
    """Print on stderr."""
    print(text, file=sys.stderr)


# Measures: one number per row of the set, then a mean or a quantile.


@dataclass(frozen=True)
class Measure:
    """The mean or a quantile of ``values``, (rows,)."""

    part: str
    """Name of the rows that are measured, such as "convex"."""
    name: str
    values: Array
    percentile: int | None = None
    judged: bool = True
    """False if it depends only on the photographs, which are not the authors'."""

    def value(self) -> float:
        """The statistic; NaN without rows."""
        return float(self._statistic(self.values[None])[0])

    def standard_error(self) -> float:
        """Bootstrap over rows, the same at each call; 0 if all rows have the same value."""
        n = len(self.values)
        picks = np.random.default_rng(0).integers(0, n, (RESAMPLES, n))
        return float(self._statistic(self.values[picks]).std(ddof=1))

    def _statistic(self, values: Array) -> Array:
        if values.shape[1] == 0:
            return np.full(len(values), np.nan)
        if self.percentile is None:
            return np.asarray(values.mean(axis=1))
        return np.asarray(np.percentile(values, self.percentile, axis=1))


def measures(spec: DatasetSpec, pixels: Array, labels: Array) -> list[Measure]:
    """Measure rows (n, d) of a set as stored; any rows of a set give the same list of measures."""
    images = pixels.reshape(-1, *spec.image)
    match spec.name:
        case "rect":
            return list(_rect(images, labels))
        case "rect-img":
            return list(_rect_img(images, labels))
        case "convex":
            return list(_convex(pixels, labels))
        case "bg-img" | "rot-bg-img":
            return list(_over_photographs(spec.name, pixels))
    return list(_digits(pixels))


def _spread(part: str, name: str, values: Array, judged: bool = True) -> Iterator[Measure]:
    yield Measure(part, f"{name}, mean", values, judged=judged)
    for percentile in PERCENTILES:
        yield Measure(part, f"{name}, percentile {percentile}", values, percentile, judged)


def _digits(pixels: Array) -> Iterator[Measure]:
    yield Measure("all", "mean grey", pixels.mean(axis=1, dtype=np.float64))
    yield Measure("all", "pixels above 0", (pixels > 0).mean(axis=1))
    for low in (0.0, 0.25, 0.5, 0.75):
        inside = (pixels > low) & (pixels <= low + 0.25)
        yield Measure("all", f"pixels in ({low:g}, {low + 0.25:g}]", inside.mean(axis=1))


def _over_photographs(dataset: str, pixels: Array) -> Iterator[Measure]:
    """Background pixels are k/255; digit pixels are k/256, or have any value after rotation."""
    k_255, k_256 = (
        np.abs(steps - np.rint(steps)) < NEAR
        for steps in (pixels * np.float32(255), pixels * np.float32(256))
    )
    if dataset == "bg-img":
        yield Measure("all", "pixels that are k/255 or k/256", (k_255 | k_256).mean(axis=1))
    background = k_255 & ~k_256
    greys = np.where(background, pixels, np.nan)
    mean = np.asarray(np.nanmean(greys, axis=1, dtype=np.float64))
    deviation = np.asarray(np.nanstd(greys, axis=1, dtype=np.float64))
    yield Measure("all", "mean grey", pixels.mean(axis=1, dtype=np.float64), judged=False)
    yield Measure("all", "pixels of the background (k/255)", background.mean(axis=1))
    yield Measure("all", "background, mean grey", mean, judged=False)
    yield from _spread("all", "background, standard deviation", deviation)


def _rect(images: Array, labels: Array) -> Iterator[Measure]:
    white = images > 0
    across, down = white.any(axis=1), white.any(axis=2)
    height, width = down.sum(axis=1), across.sum(axis=1)
    outline = 2 * (height + width) - 4 == white.sum(axis=(1, 2))
    yield Measure("all", "images with a single outline", outline + 0.0)
    taller = (height > width) == (labels == 1)
    yield Measure("all", "labels that agree with the image", taller + 0.0)
    yield Measure("all", "sides that differ by 3 or more", (abs(height - width) >= 3) + 0.0)
    yield from _spread("all", "height", height + 0.0)
    yield from _spread("all", "width", width + 0.0)
    yield Measure("all", "top row", down.argmax(axis=1) + 0.0)
    yield Measure("all", "left column", across.argmax(axis=1) + 0.0)


def _rect_img(images: Array, labels: Array) -> Iterator[Measure]:
    pixels = images.reshape(len(images), -1)
    yield Measure("all", "share of label 1 (taller than wide)", (labels == 1) + 0.0)
    mean, contrast = (f(axis=1, dtype=np.float64) for f in (pixels.mean, pixels.std))
    yield Measure("all", "mean grey", mean, judged=False)
    yield from _spread("all", "standard deviation", contrast, judged=False)
    steps = np.abs(np.diff(images, axis=2)).mean(axis=(1, 2), dtype=np.float64)
    yield Measure("all", "mean difference of neighbouring pixels", steps, judged=False)


def _convex(pixels: Array, labels: Array) -> Iterator[Measure]:
    area = pixels.sum(axis=1, dtype=np.float64)
    yield Measure("all", "share of label 1 (convex)", (labels == 1) + 0.0)
    for part, label in (("convex", 1), ("not convex", 0)):
        yield from _spread(part, "white pixels", area[labels == label])
    white = area[labels == 1] == pixels.shape[1]
    yield Measure("convex", "all-white images", white + 0.0)


# Comparison of genuine and regenerated rows.


@dataclass(frozen=True)
class Genuine:
    """The test rows of a whole set, which are most of its rows, or a sample of all splits."""

    pixels: Array  # (n, d), in [0, 1]
    labels: Array  # (n,)
    whole: Dataset | None = None
    places: tuple[tuple[str, int], ...] = ()
    """Split and index of each row of a sample; negative indices count from the end."""


def find_genuine(spec: DatasetSpec, folders: Iterable[Path]) -> Genuine | None:
    """Return the whole set from the first folder that contains it, else a sample of its rows."""
    sample: Genuine | None = None
    for folder in folders:
        path = folder / f"{spec.name}.npz"
        found = _sample(path, spec) if path.is_file() else None
        files = find_user_files(folder, spec)
        if files is not None and not (found and files.paths == (path,)):
            whole = load(prepare(spec.name, DataOptions(folder, "original"), say))
            return Genuine(whole.test.as_float(), whole.test.labels, whole)
        sample = sample or found
    return sample


def _sample(path: Path, spec: DatasetSpec) -> Genuine | None:
    with np.load(path, allow_pickle=False) as arrays:
        if "Xtest" in arrays.files:
            return None  # a whole set
        X, y, splits, ends = (arrays[key] for key in ("X", "y", "split", "end"))
    pixels = canonical_pixels(X.astype(np.float64), spec, f"{path}, X")
    labels = canonical_labels(y.astype(np.float64), spec, f"{path}, y")
    pairs = list(zip(splits.tolist(), ends.tolist(), strict=True))
    places = []
    for i, (split, end) in enumerate(pairs):
        before = pairs[:i].count((split, end))
        places.append((split, before - pairs.count((split, end)) if end == "last" else before))
    return Genuine(Split(pixels, labels, spec.scale).as_float(), labels, places=tuple(places))


def compare(dataset: Dataset, genuine: Genuine) -> Iterator[Row]:
    """Compare all measures of a regenerated set with the genuine ones."""
    spec, whole = DATASETS[dataset.name], genuine.whole is not None
    ours = dataset.test if whole else dataset.test.take(min(ROWS, len(dataset.test)))
    if genuine.places and spec.recipe and spec.recipe.exact:
        rows = [dataset.splits[split].as_float(np.array([row])) for split, row in genuine.places]
        same = (np.concatenate(rows) == genuine.pixels).all(axis=1)
        rest = (len(same), None, len(same), int(same.sum()), len(same), 0.0)
        yield _row(dataset, "all", "rows identical to the genuine ones", *rest)
    reference = measures(spec, genuine.pixels, genuine.labels)
    for one, other in zip(reference, measures(spec, ours.as_float(), ours.labels), strict=True):
        error = one.standard_error()
        tolerance = STANDARD_ERRORS * error
        if whole and one.name.startswith("white pixels"):
            tolerance = max(AREA_SHARE * one.value(), AREA_PIXELS)
        elif whole:
            tolerance = STANDARD_ERRORS * float(np.hypot(error, other.standard_error()))
        allowed = tolerance if one.judged else None
        numbers = (one.value(), error, len(one.values), other.value(), len(other.values), allowed)
        yield _row(dataset, one.part, one.name, *numbers)


def _row(
    dataset: Dataset,
    part: str,
    measure: str,
    genuine: float,
    genuine_error: float | None,
    genuine_rows: int | str,
    regenerated: float,
    regenerated_rows: int,
    tolerance: float | None,
    trained: bool = False,
) -> Row:
    """A row of statistics.csv, rounded to six significant digits."""
    holds = None if tolerance is None else abs(regenerated - genuine) <= tolerance + 1e-9
    values = (dataset.name, part, measure, genuine, genuine_error, genuine_rows, regenerated)
    more = (regenerated_rows, tolerance, dataset.sha256, trained, holds)
    return dict(zip(COLUMNS, map(_rounded, (*values, *more)), strict=True))


def _rounded(value: object) -> object:
    if not isinstance(value, float):
        return value
    return float(f"{value:.6g}") if math.isfinite(value) else None


# Difficulty of a set: test errors of SVMs, because the statistics do not show all of it.


def convex_svm(dataset: Dataset, genuine: Dataset) -> Iterator[Row]:
    """Train a fixed SVM on regenerated convex; test it on regenerated and on genuine rows."""

    def fixed(data: Dataset) -> Svm:
        images = np.concatenate([data.train.as_float(), data.valid.as_float()])
        labels = np.concatenate([data.train.labels, data.valid.labels])
        return fit_svm(images, labels, CONVEX_KERNEL, CONVEX_C)

    def error(svm: Svm, data: Dataset) -> float:
        # The rows are spread over the whole file because it is sorted by class.
        return 100 * int(svm.wrong_rows(data.test.take(ROWS)).sum()) / ROWS

    say("training two SVMs on convex")
    reference, svm = error(fixed(genuine), genuine), fixed(dataset)
    kind = f"RBF SVM (C {CONVEX_C:g}, gamma {CONVEX_KERNEL.gamma:g}), test error in %"
    for tested, data, tolerance in (
        ("trained and tested on the same set", dataset, CONVEX_OWN),
        ("tested on genuine rows", genuine, CONVEX_TRANSFER),
    ):
        numbers = (reference, None, str(ROWS), error(svm, data), ROWS, tolerance)
        yield _row(dataset, "all", f"{kind}, {tested}", *numbers, trained=True)


def rect_img_svms(dataset: Dataset) -> Iterator[Row]:
    """Test the SVMs of the published table on regenerated rect-img, after selection, on all rows.

    The texture of the patches was chosen so that the RBF SVM has the published error. The
    polynomial SVM was not used for this choice; it shows how good the choice is.
    """
    published = {(n.paper, n.dataset, n.model): n.error_percent for n in paper_numbers()}
    for model, settings, tolerance in (
        ("SVM_rbf", SvmSettings(kernel="rbf", gammas=(0.001, 0.01, 0.1)), RECT_IMG_RBF),
        ("SVM_poly", SvmSettings(kernel="poly", gammas=(0.001, 0.01)), None),
    ):
        trials = SvmTrials(dataset, seed=0)
        best = best_of(search(trials.try_point, settings))
        say(best)
        svm = trials.train_on_all_rows(*best.point)
        wrong, n = int(svm.wrong_rows(dataset.test).sum()), len(dataset.test)
        reference = published["ICML 2008", dataset.name, model]
        numbers = (reference, None, "ICML 2008", 100 * wrong / n, n, tolerance)
        what = f"{model}, selected on validation, test error in %"
        yield _row(dataset, "all", what, *numbers, trained=True)


# Output.


def write_statistics(path: Path, new: Sequence[Row]) -> None:
    """Write the rows; keep earlier rows of other sets, and of SVMs on the same regenerated rows."""
    sha256 = {row["dataset"]: row["regenerated_sha256"] for row in new}
    trained = {row["dataset"] for row in new if row["trained"]}
    unchanged: list[Row] = []
    if path.is_file():
        with path.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                same = row["regenerated_sha256"] == sha256.get(row["dataset"])
                again = row["trained"] == "True" and same and row["dataset"] not in trained
                if row["dataset"] not in sha256 or again:
                    unchanged.append(row)
    rows = sorted([*new, *unchanged], key=lambda row: [*DATASETS].index(row["dataset"]))
    write_text(path, csv_text([COLUMNS, *([row[name] for name in COLUMNS] for row in rows)]))


def draw_sheet(path: Path, dataset: Dataset, genuine: Genuine) -> None:
    """Draw genuine and regenerated images; those of a whole set are spread over the test file."""
    transposed = DATASETS[dataset.name].stored_transposed
    n = TILES[0] * TILES[1]
    rows = len(genuine.labels)
    picks = np.arange(n) * rows // n if genuine.whole else np.arange(rows)
    shown = {
        "genuine": genuine.pixels[picks],
        "regenerated": dataset.test.take(n).as_float(),
    }
    sheet = filter_sheet(
        [as_shown(2 * greys - 1, dataset.name, title) for title, greys in shown.items()],
        TILES,
        limit=1.0,  # black is -1 and white is 1
        scale_ends=("0", "1"),
        title=dataset.name,
        caption="stored transposed, shown upright" if transposed else "",
    )
    about = {"Title": f"{dataset.name}: genuine, regenerated", "SHA256": dataset.sha256}
    sheet.save(path, about)


def draw_overview(path: Path, images: Mapping[str, Array]) -> None:
    """Draw one genuine image of each set, with its name below; `images`: (pixels,) by set."""
    tiles = np.array([as_shown(2 * image[None] - 1, n).weights[0] for n, image in images.items()])
    sheet = lay_out(
        [Panel(tiles_of(tiles, (28, 28), 1.0), names=list(images))],
        (1, len(images)),
        scale_ends=("0", "1"),
        magnification=3,
        spacing=8,
    )
    sheet.save(path, {"Title": f"a genuine image of each of {', '.join(images)}"})


def main(words: Sequence[str] | None = None) -> int:
    """Compare the sets, write the results and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", type=Path, nargs="+", metavar="FOLDER")
    parser.add_argument("--only", choices=RECIPES, action="append", help="one set; repeatable")
    parser.add_argument("--svm", action="store_true", help="also train SVMs (half an hour)")
    parser.add_argument("--out", type=Path, default=OUT, metavar="DIR")
    options = parser.parse_args(words)
    rows: list[Row] = []
    images: dict[str, Array] = {}
    for name in options.only or RECIPES:
        genuine = find_genuine(DATASETS[name], options.folders)
        if genuine is None:
            say(f"{name}: skipped, no folder contains genuine rows of it")
            continue
        dataset = load(prepare(name, DataOptions(origin="regenerated"), say))
        rows += compare(dataset, genuine)
        if options.svm and name == "convex" and genuine.whole:
            rows += convex_svm(dataset, genuine.whole)
        if options.svm and name == "rect-img":
            rows += rect_img_svms(dataset)
        draw_sheet(options.out / f"{name}.png", dataset, genuine)
        images[name] = genuine.pixels[0]
        write_statistics(options.out / "statistics.csv", rows)
    if len(images) == len(RECIPES):
        draw_overview(OVERVIEW if options.out == OUT else options.out / OVERVIEW.name, images)
    for row in rows:
        if row["holds"] is False:
            print("outside tolerance:", *(row[name] for name in COLUMNS[:-3]))
    judged = [row["holds"] for row in rows if row["holds"] is not None]
    say(f"{judged.count(True)} of {len(judged)} statistics are within their tolerance")
    return 0 if judged and all(judged) else 1


if __name__ == "__main__":
    sys.exit(main())
