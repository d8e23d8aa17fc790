"""Synthetic results: rows of runs.csv without run folders, and the files saved from runs."""

from __future__ import annotations

import csv
import io
import re
import shutil
from base64 import b64encode
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from tests.entry_points.statistics import (
    NUMERICS_VERSION,
    Runs,
    half_width_95,
    number_compared_with,
)
from tests.support.tiny import write_study

N_TEST = 50_000
SHA256 = "d" * 64
NETWORK: dict[str, Any] = {
    "dataset": "convex",
    "model": {"hidden": [8, 6, 4]},
    "pretrain": {"learning_rate": 0.1, "epochs": 2},
    "finetune": {"learning_rate": 0.1, "max_epochs": 50, "patience": 20},
}
"""Settings that the cells share."""
SETTINGS: dict[str, dict[str, Any]] = {
    "SVM_rbf": {"svm": {"kernel": "rbf"}},
    "SVM_poly": {"svm": {"kernel": "poly"}},
    "DBN-1": {"model": {"hidden": [8]}, "pretrain": {"kind": "rbm"}},
    "SAA-3": {"corruption": {"destruction": 0.0}},
    "DBN-3": {"pretrain": {"kind": "rbm"}},
    "SdA-3": {"corruption": {"destruction": 0.25}},
    "NNet-1": {"model": {"hidden": [8]}, "pretrain": {"epochs": 0}},
}
"""Settings of each model of the paper's table, in its order."""
COLUMNS = re.findall(
    r"\w+",
    """cell run dataset data_origin trust data_sha256 model destruction_percent seed n_test n_wrong
    test_error_percent half_width_95 valid_error_percent best_epoch epochs selected trials
    paper_error_percent paper_half_width_95 paper_model verdict minutes device engine threads
    versions commit numerics config_sha256 error""",
)
"""Columns of runs.csv, including those of an SVM."""
MEASURED = ("n_test", "n_wrong", "test_error_percent", "half_width_95", "valid_error_percent",
            "best_epoch", "epochs", "selected", "trials", "verdict")  # fmt: skip


def name_of(dataset: str, model: str) -> str:
    """Return the name of the cell of a model on a data set."""
    return f"{dataset}-{model.lower().replace('_', '-')}"


class SyntheticStudy:
    """A study in `folder` with invented results, which replaces any earlier one.

    `cells` has the settings that are not shared, `study` keys of study.yaml.
    """

    def __init__(self, folder: Path, cells: Mapping[str, Mapping[str, Any]], **study: Any) -> None:
        study = {"title": "A made study", "paper": "Nobody, Table 0", "shared": NETWORK} | study
        self.out = folder / "results" / "made"
        for earlier in (folder / "experiments" / "made", self.out):
            shutil.rmtree(earlier, ignore_errors=True)
        self.source = write_study(folder, "made", cells, **study)
        self.rows: list[dict[str, Any]] = []
        self.wrong: dict[str, NDArray[np.bool_]] = {}
        self._runs = Runs(str(self.source))

    def add(
        self,
        cell: str,
        model: str,
        wrong: int,
        *,
        dataset: str = "convex",
        seed: int = 0,
        first: int | None = None,
        **changes: Any,
    ) -> dict[str, Any]:
        """Add a run of a cell with a number of wrong test rows.

        Args:
            cell, model, wrong, dataset, seed: values in runs.csv.
            first: index of the first of consecutive wrong rows; None: they are not known.
            changes: changed columns of the row; `error` makes it a failed run.
        """
        level = 25.0 if model.startswith("SdA") else 0.0
        row: dict[str, Any] = dict.fromkeys(COLUMNS, "") | {
            "cell": cell,
            "dataset": dataset,
            "data_origin": "original",
            "trust": "",
            "data_sha256": SHA256,
            "model": model,
            "destruction_percent": f"{level:g}",
            "seed": seed,
            "n_test": N_TEST,
            "n_wrong": wrong,
            "valid_error_percent": "17.50",
            "minutes": "2.5",
            "device": "cpu",
            "engine": "torch",
            "threads": 1,
            "versions": "dae 0",
            "commit": "abc",
            "numerics": NUMERICS_VERSION,
        }
        if model.startswith("SVM"):
            row |= {"engine": "libsvm", "selected": "rbf .1 C 10", "trials": 30}
        else:
            row |= {"best_epoch": 30, "epochs": 50}
        if paper := number_compared_with("model", dataset, model, level):
            row |= {
                "paper_model": paper[1],
                "paper_error_percent": f"{paper[2]:.2f}",
                "paper_half_width_95": f"{paper[3]:.2f}",
            }
        row |= {"trust": "verified"} if "data_origin" not in changes else {}
        row |= changes
        error = 100 * int(row["n_wrong"]) / int(row["n_test"])
        half_width = half_width_95(int(row["n_wrong"]), int(row["n_test"]))
        row |= {"test_error_percent": f"{error:.2f}", "half_width_95": f"{half_width:.2f}"}
        if row["error"]:
            row |= dict.fromkeys(MEASURED, "")
        run, digest = self._runs.identity(cell, seed, row["data_sha256"], row["numerics"])
        row |= {"run": run, "config_sha256": digest} | changes
        self.rows.append(row)
        if first is not None and not row["error"]:
            place = np.arange(int(row["n_test"]))
            self.wrong[run] = (place >= first) & (place < first + wrong)
        return row

    def write(self) -> Path:
        """Write runs.csv, and wrong_rows.csv if wrong rows are known; return their folder."""
        self.out.mkdir(parents=True, exist_ok=True)
        of_svms = {"selected", "trials"}
        columns = [n for n in COLUMNS if n not in of_svms or any(row[n] for row in self.rows)]
        lines = [[row[name] for name in columns] for row in self.rows]
        write_csv(self.out / "runs.csv", [columns, *lines])
        if self.wrong:
            saved = [
                [run, len(rows), int(rows.sum()), b64encode(np.packbits(rows).tobytes()).decode()]
                for run, rows in self.wrong.items()
            ]
            write_csv(self.out / "wrong_rows.csv", [["run", "n_test", "n_wrong", "bits"], *saved])
        return self.out


Errors = Mapping[tuple[str, str], Sequence[float] | None]
"""Test errors in percent, one per seed, by data set and model; empty: not run; None: failed."""


def whole_table(
    folder: Path,
    errors: Errors,
    first: Mapping[tuple[str, str], int] | int | None = None,
    **changes: Any,
) -> SyntheticStudy:
    """Return synthetic results of the models of the paper's table.

    `first`: index of the first wrong test row by cell, or for all; None: they are not known.
    `changes`: changed columns of every row.
    """
    cells = {name_of(d, model): {"dataset": d, **SETTINGS[model]} for d, model in errors}
    results = SyntheticStudy(folder, cells, reference="model")
    for (dataset, model), of_seeds in errors.items():
        for seed, error in enumerate(of_seeds or ()):
            start = first.get((dataset, model)) if isinstance(first, Mapping) else first
            count = round(error / 100 * N_TEST)
            where: dict[str, Any] = {"dataset": dataset, "seed": seed, "first": start}
            results.add(name_of(dataset, model), model, count, **where, **changes)
        if of_seeds is None:
            results.add(name_of(dataset, model), model, 0, dataset=dataset, error="diverged")
    results.write()
    return results


def write_csv(path: Path, lines: Sequence[Sequence[object]]) -> None:
    """Write a CSV file as dae does."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(lines)
    path.write_text(text.getvalue(), encoding="utf-8")


Line = list[tuple[int, float]]


def write_saved_runs(
    out: Path,
    curves: Mapping[str, tuple[Line, list[Line]]] | None = None,
    sheets: Mapping[str, NDArray[np.uint8]] | None = None,
    command: str = "dae replicate made",
) -> None:
    """Write curves.csv, sheets of filters and a REPORT.md with a command, as dae does.

    Args:
        out: the results folder.
        curves: validation errors by epoch, and costs of each layer by epoch, by run.
        sheets: greys of the filters, (units, 784), by run.
        command: the command named in the report.
    """
    (out / "filters").mkdir(parents=True, exist_ok=True)
    lines = [["run", "curve", "points"]]
    for run, (valid, cost) in (curves or {}).items():
        named = [*((f"cost {k}", line) for k, line in enumerate(cost, 1)),
                 ("validation error", valid)]  # fmt: skip
        lines += [[run, name, " ".join(f"{n}:{y:g}" for n, y in line)] for name, line in named]
    write_csv(out / "curves.csv", lines)
    for run, greys in (sheets or {}).items():
        _write_sheet(out / "filters" / f"{run}.png", run, greys)
    (out / "REPORT.md").write_text(f"Made by `{command}` at commit abc.\n", encoding="utf-8")


def _write_sheet(path: Path, run: str, greys: NDArray[np.uint8]) -> None:
    """Write a PNG of 28 x 28 filters, ten in a row, with the metadata of a sheet."""
    rows = -(-len(greys) // 10)
    tiles = np.full((rows * 10, 784), 128, dtype=np.uint8)
    tiles[: len(greys)] = greys
    whole = tiles.reshape(rows, 10, 28, 28).transpose(0, 2, 1, 3).reshape(28 * rows, 280)
    texts = PngInfo()
    places = f"0 0 28 0 {rows} 10 {len(greys)}"
    for key, value in (("Runs", run), ("Limit", "0.5"), ("Tiles", places)):
        texts.add_text(key, value)
    Image.fromarray(whole).save(path, format="PNG", pnginfo=texts)
