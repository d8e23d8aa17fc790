"""A data set of the size of convex in a cache of its own, tiny experiments, studies, a recorder.

The data lie in a real cache entry, so that worker processes see them too; the runs use a few rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dae_cli.config.experiments import ResolvedExperiment, ResolvedStudy
from dae_cli.config.schema import AnyExperiment, Experiment
from dae_cli.data.cache import Provenance, Trust, save_entry
from dae_cli.data.content import Content, content_digest
from dae_cli.data.dataset import Origin
from dae_cli.data.obtain import Prepared
from dae_cli.data.registry import REGISTRY
from dae_cli.study.plan import Plan, plan_study
from dae_cli.study.progress import Position, Silent
from dae_cli.study.replicate import Outcome, run_plan
from dae_cli.study.rows import RunRow
from dae_cli.study.run.folder import Job, model_name, run_name
from dae_cli.study.tables import paper_table
from tests.study.workers.pools import end_workers

SMALL: dict[str, Any] = {
    "dataset": "convex",
    "model": {"hidden": (8, 6)},
    "corruption": {"destruction": 0.25},
    "pretrain": {"learning_rate": 0.05, "epochs": 2, "batch_size": 10},
    "finetune": {"learning_rate": 1.0, "max_epochs": 8, "patience": 8, "batch_size": 5},
    "subset": {"train": 60, "valid": 40, "test": 200},
}
DIVERGING: dict[str, Any] = {
    "corruption": {"destruction": 0.5},
    "pretrain": {"loss": "squared-error", "learning_rate": 1000.0, "epochs": 6},
}

MakeExperiment = Callable[..., Experiment]
MakeJob = Callable[..., Job]
MakeStudy = Callable[..., ResolvedStudy]


@pytest.fixture(scope="session", autouse=True)
def _one_thread(one_thread: None) -> None:
    """Ask for the shared fixture in every test here."""


def _learnable(name: str, seed: int) -> Content:
    """Content of the set's size: few different rows, repeated; the label shows in the pixels."""
    spec, random = REGISTRY[name], np.random.default_rng(seed)
    different = 1009
    labels = random.integers(0, spec.n_classes, different).astype(np.uint8)
    density = 0.1 + 0.25 * random.random((spec.n_classes, 784))
    pixels = (random.random((different, 784)) < density[labels]).astype(np.uint8)
    train, test = np.arange(spec.n_train_file) % different, np.arange(spec.n_test) % different
    return Content(pixels[train], labels[train], pixels[test], labels[test])


def _entry(folder: Path, name: str, origin: Origin, seed: int) -> Prepared:
    """Write an entry of the size of a set into a cache."""
    path = folder / f"{name}-{origin}-made-for-tests.npz"
    content = _learnable(name, seed)
    sha256 = content_digest(REGISTRY[name], content)
    source = "made for the tests"
    trust: Trust = "checked" if origin == "original" else "made here"
    save_entry(path, content, Provenance(name, origin, sha256, source, trust))
    return Prepared(name, path, origin, sha256, source)


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    """The data that every run here is trained on: `prepare` finds them in the cache."""
    return _entry(tmp_path_factory.mktemp("cache"), "convex", "original", seed=1)


@pytest.fixture(scope="session")
def other_data(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    """Another content of the same set, regenerated, in a cache of its own."""
    return _entry(tmp_path_factory.mktemp("cache"), "convex", "regenerated", seed=2)


@pytest.fixture(autouse=True)
def _own_cache(data: Prepared, monkeypatch: pytest.MonkeyPatch) -> None:
    """The cache of the session, and no data folder."""
    monkeypatch.setenv("DAE_CACHE_DIR", str(data.path.parent))
    monkeypatch.delenv("DAE_DATA_DIR", raising=False)


def small_experiment(**changes: Any) -> Experiment:
    """The small experiment; a mapping updates its section."""
    settings = dict(SMALL)
    for key, value in changes.items():
        both = isinstance(value, dict) and isinstance(settings.get(key), dict)
        settings[key] = settings[key] | value if both else value
    return Experiment.model_validate(settings)


@pytest.fixture(scope="session")
def make_experiment() -> MakeExperiment:
    """Make a small experiment; keyword arguments update its sections."""
    return small_experiment


@pytest.fixture
def make_job(data: Prepared, tmp_path: Path) -> MakeJob:
    """Make the job of a small experiment in the test's folder, or in another."""

    def make(runs: Path | None = None, cell: str = "convex-25", **changes: Any) -> Job:
        experiment = small_experiment(**changes)
        folder = (runs or tmp_path / "runs") / run_name(experiment, data.sha256)
        return Job(cell, experiment, data, folder)

    return make


def small_study(
    cells: Mapping[str, AnyExperiment], only: tuple[str, ...] = (), name: str = "tiny"
) -> ResolvedStudy:
    """A study of the cells given, of which those in `only` are asked for."""
    source = Path("experiments") / name
    everything = tuple(
        ResolvedExperiment(f"{name}/{cell}", experiment, source / f"{cell}.yaml")
        for cell, experiment in cells.items()
    )
    asked = tuple(cell for cell in everything if not only or cell.cell in only)
    return ResolvedStudy(name, "A tiny study", source, asked, everything, "Nobody, Table 0")


@pytest.fixture(scope="session")
def make_study() -> MakeStudy:
    """Make a study of cells, optionally with `only`."""
    return small_study


class Recorder(Silent):
    """Remembers what it was told: (what, run, more)."""

    def __init__(self) -> None:
        self.events: list[tuple[str, str, Any]] = []

    def note(self, text: str) -> None:
        self.events.append(("note", "", text))

    def started(self, run: str, resumed: bool) -> None:
        self.events.append(("started", run, resumed))

    def moved(self, run: str, position: Position) -> None:
        self.events.append(("moved", run, position))

    def finished(self, row: RunRow) -> None:
        self.events.append(("finished", row.run, row))

    def of(self, run: str) -> list[str]:
        """The events of a run, in order."""
        return [what for what, name, _ in self.events if name == run]

    def positions(self, run: str) -> list[Position]:
        """Where a run was said to be, in order."""
        return [more for what, name, more in self.events if (what, name) == ("moved", run)]


@pytest.fixture
def recorder() -> Recorder:
    """A watcher that remembers."""
    return Recorder()


class Replicated:
    """A study that was run: its plan, its outcome and what the watcher heard."""

    def __init__(self, out: Path, jobs: int) -> None:
        cells = {
            "convex-0": small_experiment(corruption={"destruction": 0.0}),
            "convex-25": small_experiment(),
            "convex-50": small_experiment(**DIVERGING),
        }
        self.study = small_study(cells)
        self.out = out
        self.watcher = Recorder()
        self.plan: Plan = plan_study(
            self.study, seeds=2, out=out, data_dir=None, watcher=self.watcher
        )
        self.outcome: Outcome = run_plan(
            self.plan, jobs=jobs, force=False, watcher=self.watcher, command="dae replicate tiny"
        )

    def folder(self, cell: str, seed: int = 0) -> Path:
        """The run folder of a cell."""
        return next(
            p.job.folder
            for p in self.plan.runs
            if (p.job.cell, p.job.experiment.seed) == (cell, seed)
        )


def _replicated(data: Prepared, out: Path, jobs: int) -> Replicated:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DAE_CACHE_DIR", str(data.path.parent))
        patch.delenv("DAE_DATA_DIR", raising=False)
        return Replicated(out, jobs)


@pytest.fixture(scope="session")
def in_process(data: Prepared, tmp_path_factory: pytest.TempPathFactory) -> Replicated:
    """Three cells with two seeds each, one of them diverging, one after the other. Read only."""
    return _replicated(data, tmp_path_factory.mktemp("results") / "one", jobs=1)


@pytest.fixture(scope="session")
def in_workers(data: Prepared, tmp_path_factory: pytest.TempPathFactory) -> Replicated:
    """The same study, two runs at a time. Read only."""
    return _replicated(data, tmp_path_factory.mktemp("results") / "two", jobs=2)


@pytest.fixture
def no_worker_of_another_test() -> Iterator[None]:
    """Begin and end without workers."""
    end_workers()
    yield
    end_workers()


@pytest.fixture
def no_report(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spare the pictures, the report and the page."""

    def none(_study: ResolvedStudy, out: Path, *_: object) -> Path:
        return out / "REPORT.md"

    monkeypatch.setattr("dae_cli.study.report.markdown.write_report", none)
    monkeypatch.setattr("dae_cli.study.report.page.write_page", none)


@pytest.fixture(scope="session")
def make_row() -> Callable[..., RunRow]:
    """Make the row of a run that was never made; keyword arguments replace its fields."""

    def make(**changes: Any) -> RunRow:
        fields: dict[str, Any] = {
            "cell": "convex-0",
            "run": f"{changes.get('cell', 'convex-0')}-s{changes.get('seed', 0)}",
            "dataset": "convex",
            "data_origin": "original",
            "data_sha256": "d" * 64,
            "model": "SAA-3",
            "destruction_percent": 0.0,
            "seed": 0,
            "n_test": 50_000,
            "n_wrong": 9_000,
            "test_error_percent": 18.0,
            "half_width_95": 0.34,
            "valid_error_percent": 17.5,
            "best_epoch": 3,
            "epochs": 8,
            "paper_error_percent": 18.41,
            "paper_half_width_95": 0.34,
            "paper_model": "SAA-3",
            "verdict": "matches",
            "minutes": 2.5,
            "device": "cpu",
            "engine": "torch",
            "threads": 1,
            "versions": "dae 0",
            "commit": "abc",
        }
        return RunRow(**fields | changes)

    return make


@pytest.fixture(scope="session")
def make_failed_row(make_row: Callable[..., RunRow]) -> Callable[..., RunRow]:
    """Make the row of a run that failed."""
    measured = ("n_test", "n_wrong", "test_error_percent", "half_width_95", "valid_error_percent")
    nothing: dict[str, Any] = dict.fromkeys((*measured, "best_epoch", "epochs"))

    def make(**changes: Any) -> RunRow:
        return make_row(**nothing | {"verdict": "", "error": "diverged"} | changes)

    return make


@pytest.fixture
def models_by_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the experiments of `whole_table` tell by their seed what model they are of."""
    told = {1: "DBN-3", 2: "DBN-1", 3: "SVM_rbf", 4: "SVM_poly"}
    monkeypatch.setattr(paper_table, "model_name", lambda e: told.get(e.seed) or model_name(e))


@pytest.fixture
def two_cells() -> ResolvedStudy:
    """A study of two cells."""
    still = small_experiment(corruption={"destruction": 0.0})
    return small_study({"convex-0": still, "convex-25": small_experiment()})
