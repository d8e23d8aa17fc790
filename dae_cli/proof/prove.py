"""All that is compared of one set, and the files that keep it."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

import numpy as np

from dae_cli.data.cache import Note, load
from dae_cli.data.dataset import Dataset
from dae_cli.data.datasets import DATASETS
from dae_cli.data.sources import DataOptions, prepare, spec_of
from dae_cli.files import write_text
from dae_cli.pictures.contact import Images, contact_sheet
from dae_cli.pictures.saving import save_png
from dae_cli.proof.compare import Comparison, compare
from dae_cli.proof.difficulty import convex_difficulty, rect_img_difficulty
from dae_cli.proof.rows import Genuine, find_genuine

STATISTICS_CSV = "statistics.csv"
COLUMNS = (*(field.name for field in fields(Comparison)), "holds")
TILES = (6, 10)
"""Images of each side of a sheet: as many as a sample has."""


def prove(
    name: str,
    against: Sequence[Path],
    *,
    data_dir: Path | None,
    svm: bool,
    sheets: Path | None,
    note: Note,
) -> list[Comparison]:
    """Regenerate a set and compare it with the genuine rows in the folders ``against``.

    Args:
        name: the set.
        against: folders with genuine sets or samples of their rows.
        data_dir: where the user's MNIST is.
        svm: compare the errors of SVMs as well, where the set has a bar for them.
        sheets: write a sheet NAME.png, genuine | regenerated, into this folder.
        note: receives a line whenever something slow begins.

    Raises:
        DataError: files that cannot be used, or ingredients that cannot be had.
    """
    spec = spec_of(name)
    genuine = find_genuine(spec, against, note)
    if genuine is None:
        note(f"{name}: none of the folders has genuine rows of it")
        return []
    dataset = load(prepare(name, DataOptions(data_dir, "regenerated"), note))
    compared = compare(dataset, genuine)
    if svm and name == "convex":
        if genuine.dataset is None:
            note("convex: its SVM needs the whole genuine set, not a sample; left out")
        else:
            compared += convex_difficulty(dataset, genuine.dataset, note)
    if svm and name == "rect-img":
        compared += rect_img_difficulty(dataset, note)
    if sheets is not None:
        _save_sheet(dataset, genuine, sheets / f"{name}.png")
    return compared


def statistics_csv(folder: Path, comparisons: Sequence[Comparison]) -> Path:
    """Write the comparisons to ``folder``.

    What was written before stays for sets that were not compared now, and for classifiers that
    were not trained now, as long as they were trained on the same content.
    """
    path = folder / STATISTICS_CSV
    new: list[dict[str, object]] = [comparison.as_row() for comparison in comparisons]
    sha256 = {c.dataset: c.regenerated_sha256 for c in comparisons}
    trained = {c.dataset for c in comparisons if c.trained}
    kept: list[dict[str, object]] = []
    for row in _written_before(path):
        name = row["dataset"]
        same = row["trained"] == "True" and row["regenerated_sha256"] == sha256.get(name)
        if name not in sha256 or (same and name not in trained):
            kept.append(dict(row))
    order = list(DATASETS)
    rows = sorted([*new, *kept], key=lambda row: order.index(str(row["dataset"])))
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, text.getvalue())
    return path


def _written_before(path: Path) -> list[dict[str, str]]:
    """Rows of an earlier file; none where its columns are others."""
    if not path.is_file():
        return []
    with path.open(encoding="utf-8", newline="") as stream:
        reader = csv.DictReader(stream)
        return list(reader) if tuple(reader.fieldnames or ()) == COLUMNS else []


def _save_sheet(dataset: Dataset, genuine: Genuine, path: Path) -> None:
    """Genuine | regenerated; of a whole set rows spread over the test file."""
    transposed = spec_of(dataset.name).stored_transposed
    n = TILES[0] * TILES[1]
    rows = genuine.rows
    picks = np.arange(n) * len(rows.labels) // n if rows.whole else np.arange(len(rows.labels))
    ours = dataset.test.take(n).as_float()
    image = contact_sheet(
        [
            Images(rows.images[picks], "genuine", transposed),
            Images(ours, "regenerated", transposed),
        ],
        tiles=TILES,
        title=dataset.name,
        caption="stored transposed, shown upright" if transposed else "",
    )
    about = {"Title": f"{dataset.name}: genuine, regenerated", "SHA256": dataset.sha256}
    save_png(image, path, about)
