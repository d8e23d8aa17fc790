"""Results of two small studies, stored in tests/golden; `python -m tests.golden` rewrites them.

*tiny* is trained: networks with two seeds, an SVM, and a cell that fails. *table* is invented: all
states of a cell in the paper's table, a search, and a tried.md. *names* has the names of the runs
of the shipped studies, with the digests of their settings.
"""

from __future__ import annotations

import csv
import difflib
import io
import json
import os
import re
import shutil
import tempfile
from contextlib import chdir
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

from tests.entry_points.config import named_runs
from tests.support.commands import dae
from tests.support.synthetic_results import (
    SETTINGS,
    SyntheticStudy,
    name_of,
    write_csv,
    write_saved_runs,
)
from tests.support.tiny import write_study

FOLDER = Path(__file__).with_name("golden")
SHIPPED = ("icml2008", "table1", "table1-tuned", "filters-mnist", "natural-images")
TOLERANCE = 1e-5
"""Relative tolerance of decimal numbers, because machines add in different orders."""
CELLS: dict[str, dict[str, Any]] = {
    "rect-0": {},
    "rect-10": {"corruption": {"destruction": 0.1}},
    "rect-25": {"corruption": {"destruction": 0.25}},
    "rect-50": {
        "corruption": {"destruction": 0.5},
        "pretrain": {"loss": "squared-error", "learning_rate": 1000.0, "epochs": 3},
    },
    "rect-svm-rbf": {
        "svm": {"kernel": "rbf", "gammas": [0.01, 0.1], "penalties": [1.0, 10.0], "refine": False},
        "subset": {"train": 200, "valid": 100, "test": 400},
    },
}
SHARED = {
    "dataset": "rect",
    "model": {"hidden": [12, 10, 8]},
    "pretrain": {"learning_rate": 0.1, "epochs": 2, "batch_size": 20},
    "finetune": {"learning_rate": 0.5, "max_epochs": 4, "patience": 2, "batch_size": 20},
}


def write_patterns(folder: Path) -> None:
    """Write rect.npz, with 60 repeated pictures and a few wrong labels.

    So few that none comes to lie between two classes on one machine and not on another.
    """
    drawn = np.random.default_rng(1)
    places = np.arange(28)
    pictures, labels = [], []
    for _ in range(60):
        height, width = drawn.choice(np.arange(4, 24), 2, replace=False)
        top, left = drawn.integers(0, 28 - height), drawn.integers(0, 28 - width)
        inside = (places >= top) & (places < top + height)
        pictures.append(np.outer(inside, (places >= left) & (places < left + width)).ravel())
        labels.append(height > width)
    arrays = {}
    for images, answers, rows in (("X", "Y", 1200), ("Xtest", "Ytest", 50_000)):
        shown = drawn.integers(0, 60, rows)
        arrays[images] = np.array(pictures, dtype=np.uint8)[shown]
        wrong = drawn.random(rows) < 0.02
        arrays[answers] = np.array(labels, dtype=np.uint8)[shown] ^ wrong.astype(np.uint8)
    np.savez(folder / "rect.npz", allow_pickle=False, **arrays)


def train(folder: Path) -> Path:
    """Train the study *tiny* and return its results, without traces of machine and time."""
    title, paper = "Tiny: five cells of rect", "Nobody, Table 0"
    write_study(folder, "golden", CELLS, title=title, paper=paper, shared=SHARED)
    write_patterns(folder)
    words = ("--seeds", "2", "--data-dir", folder, "--quiet")
    assert dae("replicate", "golden", *words).code == 1  # one cell fails
    out = folder / "results" / "golden"
    for run in (out / "runs").iterdir():
        _edit_json(run / "status.json", minutes=1.25)
        _edit_json(run / "environment.json", commit="abc", dae="0", python="3",
                   packages={"torch": "2", "numpy": "1", "scikit-learn": "4"})  # fmt: skip
    header, *rows = _csv_of(out / "runs.csv")
    versions = "dae 0; python 3; torch 2; numpy 1"
    for name, value in (("minutes", "1.2"), ("commit", "abc"), ("versions", versions)):
        for row in rows:  # failed runs have no files with these values
            row[header.index(name)] = value
    write_csv(out / "runs.csv", [header, *rows])
    report = (out / "REPORT.md").read_text(encoding="utf-8")
    report = re.sub("(?m)^(Made by `).*?`", r"\1dae replicate golden --seeds 2`", report)
    (out / "REPORT.md").write_text(report, encoding="utf-8")
    dae("report", "golden", "--quiet").succeeded()
    return out


def make_table(folder: Path) -> Path:
    """Invent results of the study *table*, report them, and return their folder."""
    models = ("SVM_rbf", "DBN-1", "SAA-3", "DBN-3", "SdA-3", "NNet-1")
    sets = ("bg-rand", "rect-img", "convex")
    cells = {name_of(d, m): {"dataset": d, **SETTINGS[m]} for d in sets for m in models}
    cells["convex-sda-more"] = {"dataset": "convex", "corruption": {"destruction": 0.5}}
    study = SyntheticStudy(folder, cells, reference="model")
    for model, wrong, first in (
        *(("SVM_rbf", 12_000, 0), ("DBN-1", 11_985, 9)),
        *(("SAA-3", 12_030, 8), ("SdA-3", 10_790, 120)),
    ):
        for seed in range(1 if model.startswith("SVM") else 2):
            study.add(name_of("rect-img", model), model, wrong + 60 * seed, dataset="rect-img",
                     seed=seed, first=first, data_origin="regenerated",
                     data_sha256="e" * 64)  # fmt: skip
    study.add("rect-img-dbn-3", "DBN-3", 0, dataset="rect-img", error="no room", commit="def",
             data_origin="regenerated", data_sha256="e" * 64)  # fmt: skip
    for model, wrong, first in (
        *(("SVM_rbf", 9_565, 0), ("SAA-3", 9_200, 4_000)),
        *(("DBN-3", 9_315, 4_100), ("SdA-3", 7_740, 8_000)),
    ):
        study.add(name_of("convex", model), model, wrong, first=first)
    study.add("convex-sda-more", "SdA-3", 7_000, valid_error_percent="18.00", first=12,
             destruction_percent="50")  # fmt: skip
    for model, wrong in (("DBN-3", 3_365), ("SdA-3", 5_190)):
        study.add(name_of("bg-rand", model), model, wrong, dataset="bg-rand", versions="dae 1")
    out = study.write()
    drawn = np.random.default_rng(0)
    networks = [row["run"] for row in study.rows if row["epochs"]]
    curves = {
        run: (
            [(n, round(30 + k + 9 / n, 1)) for n in range(1, 51)],
            [[(1, 300.0 + k), (2, 200.0)]] * 3,
        )
        for k, run in enumerate(networks)
    }
    sheets = {run: drawn.integers(0, 256, (8, 784), dtype=np.uint8) for run in networks[:6]}
    write_saved_runs(out, curves, sheets, "dae replicate made --only 'convex-*'")
    _write_trials(out)
    (study.source / "tried.md").write_text("# convex\nMore units: no.\n```sh\n# no heading\n```\n")
    dae("report", "made", "--quiet").succeeded()
    return out


def _write_trials(out: Path) -> None:
    """Write search.csv and search_earlier.csv."""
    before = ["cell", "search", "trial", "sampler", "sampler_seed", "state"]
    after = ["valid_error_percent", "valid_wrong", "n_valid", "best_epoch", "epochs", "weights",
             "minutes", "dataset", "data_origin", "data_sha256", "seed", "device", "engine",
             "versions", "commit", "config_sha256", "error"]  # fmt: skip

    def line(cell: str, trial: int, state: str, wrong: int, *values: object) -> list[object]:
        first = [cell, "0123456789ab", trial, "random" if trial == 3 else "tpe", 0, state, *values]
        measured = {"valid_error_percent": f"{wrong / 20:.2f}", "valid_wrong": wrong,
                    "minutes": f"{15 * trial}.0"}  # fmt: skip
        return first + [measured.get(name, "") for name in after]

    keys = ["pretrain.epochs", "units"]
    rows = [line("rect-img-sda-3", n, "complete", 60 - n, 100 * (13 - n), "") for n in range(1, 11)]
    rows += [
        line("convex-sda-3", 1, "complete", 50, 300, 500),
        line("convex-sda-3", 2, "pruned", 40, 40, 1000),
        line("convex-sda-3", 3, "failed", 90, 1000, 500),
    ]
    write_csv(out / "search.csv", [[*before, *keys, *after], *rows])
    earlier = [line("convex-sda-3", 1, "complete", 50), line("convex-dbn-3", 2, "pruned", 50)]
    write_csv(out / "search_earlier.csv", [[*before, *after], *earlier])


def run_names(study: str) -> str:
    """Return the run of each cell of a shipped study on data whose digest is all zeros."""
    runs = named_runs(study, "0" * 64)
    lines = [",".join((name, *names)) for name, names in runs.items()]
    return "\n".join(["cell,run,config_sha256", *lines]) + "\n"


def golden_files(folder: Path) -> dict[str, str]:
    """Make both studies in a folder and return the contents of the files by name."""
    with chdir(folder):
        tiny, table = train(folder), make_table(folder)
        found = {f"names/{study}.csv": run_names(study) for study in SHIPPED}
        for name, out in (("tiny", tiny), ("table", table)):
            for file in ("runs.csv", "table.csv", "mcnemar.csv", "wrong_rows.csv", "REPORT.md"):
                found[f"{name}/{file}"] = (out / file).read_text(encoding="utf-8")
            found[f"{name}/report.txt"] = page_text((out / "report.html").read_text("utf-8"))
            written = re.compile("^Written on .* cores;", re.MULTILINE)
            report = f"{name}/REPORT.md"
            found[report] = written.sub("Written on ANY MACHINE;", found[report])
        del found["table/wrong_rows.csv"], found["table/runs.csv"]  # these are invented
        network = next((tiny / "runs").glob("rect-sda3-10-s1-*"))
        svm = next((tiny / "runs").glob("rect-svm-*"))
        for run, file in ((network, "config.yaml"), (network, "metrics.csv"), (svm, "trials.csv")):
            found[f"tiny/{file}"] = (run / file).read_text(encoding="utf-8")
        seconds = re.compile(r",[^,\n]*$", re.MULTILINE)
        found["tiny/trials.csv"] = seconds.sub("", found["tiny/trials.csv"])
        verified = dae("verify", "golden", "--data-dir", folder, "--format", "json")
        found["tiny/verify.json"] = verified.out
    return found


def page_text(page: str) -> str:
    """Return the texts of a page, one per line, with texts of pictures in brackets."""
    reader = _Reader()
    reader.feed(page)
    reader.close()
    return "\n".join(reader.found) + "\n"


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self._silent = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._silent = tag in ("script", "style")
        for name, value in attrs:
            if name in ("alt", "aria-label", "aria-valuetext"):
                self.found.append(f"[{value}]")
            elif name == "class" and "best" in (value or "").split():
                self.found.append("(bold)")

    def handle_endtag(self, tag: str) -> None:
        self._silent = False

    def handle_data(self, data: str) -> None:
        text = " ".join(data.split())
        if text and not self._silent:
            self.found.append(text)


_DECIMAL = re.compile(r"(?<![\w.])\d+\.\d+(?:e[-+]\d+)?(?![\w.])")


def differences(name: str, expected: str, found: str) -> str:
    """Return a diff of two contents, or nothing if they agree within the tolerance."""
    before, now = ([float(n) for n in _DECIMAL.findall(text)] for text in (expected, found))
    same = _DECIMAL.sub("0", expected) == _DECIMAL.sub("0", found)
    if same and np.allclose(before, now, rtol=TOLERANCE, atol=0):
        return ""
    old, new = (text.splitlines(keepends=True) for text in (expected, found))
    return "".join(difflib.unified_diff(old, new, f"tests/golden/{name}", "now", n=1))


def _csv_of(path: Path) -> list[list[str]]:
    return list(csv.reader(io.StringIO(path.read_text(encoding="utf-8")), strict=True))


def _edit_json(path: Path, **values: object) -> None:
    record = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(record | values), encoding="utf-8")


def main() -> None:
    """Rewrite the files of tests/golden."""
    with tempfile.TemporaryDirectory() as folder:
        own = {"DAE_CACHE_DIR": f"{folder}/cache", "OMP_NUM_THREADS": "1", "COLUMNS": "80"}
        own["DAE_ACCEPT_UNVERIFIED"] = "1"
        with mock.patch.dict(os.environ, own):
            found = golden_files(Path(folder))
            shutil.rmtree(FOLDER, ignore_errors=True)
            for name, content in found.items():
                path = FOLDER / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(content, encoding="utf-8")
                print(path)


if __name__ == "__main__":
    main()
