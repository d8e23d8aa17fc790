"""A run to be computed: its name, its folder, and the files in it (listed in docs/results.md).

A run writes to `NAME.partial`, which is renamed to `NAME` once all files are written. The name ends
with a digest of the resolved settings, the content of the data and the version of the numerics: if
any of these changes, it is a new run.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from dae_cli.config.dump import settings_for_digest
from dae_cli.config.experiments import ResolvedExperiment
from dae_cli.config.grid import normal_form, normal_grid
from dae_cli.config.schema import (
    CORRUPTIONS,
    LAYERS,
    AnyExperiment,
    FilterExperiment,
    SvmExperiment,
)
from dae_cli.config.study_schema import Reference
from dae_cli.data.dataset import Prepared
from dae_cli.engines.names import EngineChoice, EngineName
from dae_cli.errors import ConfigError
from dae_cli.files import HeldError, file_lock, sweep, unwritable
from dae_cli.training.version import NUMERICS_VERSION

CHECKPOINT, CONFIG, STATUS = "checkpoint.safetensors", "config.yaml", "status.json"
METRICS, ENVIRONMENT, RUN_FILTERS = "metrics.csv", "environment.json", "filters.png"
TRIALS, FILTERS_CSV, WRONG_ROWS = "trials.csv", "filters.csv", "wrong_rows.npy"
PARTIAL, LOCK = ".partial", ".lock"
RUNS, SHEETS, FIGURES = "runs", "filters", "figures"
"""Names of the folders with the runs, the sheets of filters and the figures."""
SECONDS_VARIABLE = "DAE_CHECKPOINT_SECONDS"
"""Environment variable: seconds between two checkpoints, regardless of how long one takes."""

RunState = Literal["new", "stopped", "done"]


@dataclass(frozen=True)
class Job:
    """A run to be computed; it is pickled for worker processes."""

    cell: str
    experiment: AnyExperiment
    data: Prepared
    folder: Path
    """Final folder of the run."""
    device: str = "cpu"
    engine: EngineName = "torch"
    reference: Reference = "destruction"
    """Which of the paper's numbers the row is compared with."""
    from_start: bool = False
    """Whether to discard the run first, and to pretrain even if another run has the same."""

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def partial(self) -> Path:
        """Folder that the run writes to until it is complete."""
        return self.folder.with_name(self.name + PARTIAL)

    @property
    def lock(self) -> Path:
        """File that a process locks while it computes this run."""
        return hidden(self.folder, LOCK)

    @property
    def is_svm(self) -> bool:
        return isinstance(self.experiment, SvmExperiment)

    def state(self) -> RunState:
        """Return `done`, `stopped` (after its first checkpoint) or `new`."""
        if (self.folder / STATUS).exists():
            return "done"
        checkpoint = TRIALS if self.is_svm else CHECKPOINT
        return "stopped" if (self.partial / checkpoint).exists() else "new"

    def is_held(self) -> bool:
        """Return whether another process is computing this run."""
        try:
            with file_lock(self.lock):
                return False
        except HeldError:
            return True

    def discard(self) -> None:
        """Remove the folders of this run; raises HeldError, OutputError."""
        with file_lock(self.lock):
            for folder in (self.folder, self.partial):
                try:
                    if folder.exists():
                        shutil.rmtree(folder)
                except OSError as error:
                    raise unwritable(folder, error) from error


class Stopped(Exception):
    """The run was asked to stop and has saved a checkpoint (SVM: its trials) to resume from."""


@dataclass(frozen=True)
class Unfinished:
    """A run that this process did not finish."""

    run: str
    why: Literal["stopped", "held"]
    """It was asked to stop and saved a checkpoint, or another process is computing it."""


@dataclass(frozen=True)
class PlannedRun:
    """A run as requested by a command, and its state when the command started."""

    job: Job
    state: RunState
    engine: EngineChoice
    """The requested engine; `engine_choice.with_engines` sets that of the job."""

    @property
    def label(self) -> str:
        return f"{self.job.cell}, seed {self.job.experiment.seed}"

    def accepts(self, engine: str) -> bool:
        """Return whether a run computed with this engine satisfies the command."""
        return self.job.is_svm or self.engine in ("auto", engine)


def model_name(experiment: AnyExperiment) -> str:
    """Return the paper's name: SAA-3 without corruption, SdA-3 with it, DBN-3 for RBMs, and so on.

    A single layer trained only for its filters is an AE, a DAE (with corruption), a CAE (with the
    contractive penalty) or an RBM.
    """
    if isinstance(experiment, SvmExperiment):
        return f"SVM_{experiment.svm.kernel}" + ("(nu)" if any(experiment.svm.destructions) else "")
    corruption = experiment.corruption
    level = getattr(corruption, CORRUPTIONS[corruption.kind].level)
    layer = LAYERS[experiment.pretrain.kind]
    if isinstance(experiment, FilterExperiment):
        if layer.single:
            return layer.single
        if experiment.pretrain.contraction:
            return "CAE"
        return "DAE" if level else "AE"
    depth = len(experiment.model.hidden)
    if experiment.pretrain.epochs == 0:
        return f"NNet-{depth}"
    if layer.stacked:
        return f"{layer.stacked}-{depth}"
    return f"SdA-{depth}" if level else f"SAA-{depth}"


def destruction_percent(experiment: AnyExperiment) -> float:
    """Return 100 ν without binary rounding noise; 0 for Gaussian corruption and SVMs."""
    if isinstance(experiment, SvmExperiment):
        return 0.0
    return round(100.0 * experiment.corruption.destruction, 9)


def config_sha256(experiment: AnyExperiment, numerics: int = NUMERICS_VERSION) -> str:
    """Return the digest of resolved settings together with a version of the numerics."""
    both = {"experiment": settings_for_digest(experiment), "numerics": numerics}
    return hashlib.sha256(json.dumps(both, sort_keys=True).encode()).hexdigest()


def run_name(experiment: AnyExperiment, data_sha256: str, numerics: int = NUMERICS_VERSION) -> str:
    """Return the name of the run folder, which is valid on every file system."""
    both = config_sha256(experiment, numerics) + data_sha256
    digest = hashlib.sha256(both.encode()).hexdigest()[:8]
    if isinstance(experiment, SvmExperiment):
        nu = "-nu" if any(experiment.svm.destructions) else ""
        model = f"svm-{experiment.svm.kernel}{nu}"
    else:
        kind = CORRUPTIONS[experiment.corruption.kind]
        percent, sigma = destruction_percent(experiment), experiment.corruption.sigma
        level = f"{kind.in_run_names}{sigma if kind.level == 'sigma' else percent:g}"
        model = f"{model_name(experiment).lower().replace('-', '')}-{level}"
    return f"{experiment.dataset}-{model}-s{experiment.seed}-{digest}"


def is_run_name(text: str) -> bool:
    """Return whether text from a file is a plain folder name, not a path to another place."""
    return Path(text).name == text and text not in ("", "..")


def default_out(
    study: str, overrides: Sequence[str], grid: Sequence[str] = (), only: Sequence[str] = ()
) -> Path:
    """Return results/STUDY, or a separate folder results/STUDY-DIGEST if settings are changed.

    With `--grid` the digest covers `--set`, `--grid` and `--only`; without it, only `--set`. It
    does not depend on the order of options and values, or on how a value is spelled.
    """
    words = sorted(map(normal_form, overrides))
    if grid:
        words += [f"--grid {values}" for values in sorted(map(normal_grid, grid))]
        cells = {one.removeprefix(f"{study}/") for one in only}
        words += [f"--only {cell}" for cell in sorted(cells)]
    digest = hashlib.sha256("\n".join(words).encode()).hexdigest()[:6]
    return Path("results") / (f"{study}-{digest}" if words else study)


def default_runs(resolved: ResolvedExperiment) -> Path:
    """Return results/STUDY/runs, the folder that `dae replicate STUDY` uses as well."""
    return Path("results") / (resolved.name.rpartition("/")[0] or "single") / RUNS


def hidden(folder: Path, ending: str) -> Path:
    """Return the hidden file next to a run's folder, with this ending."""
    return folder.with_name(f".{folder.name}{ending}")


def sweep_runs(runs: Path) -> None:
    """Remove temporary files and locks that killed processes left in a folder of runs."""
    sweep(runs)
    for lock in runs.glob(f".*{LOCK}"):
        with suppress(HeldError), file_lock(lock):
            pass  # releasing the lock removes the file


def checkpoint_seconds() -> float | None:
    """Return DAE_CHECKPOINT_SECONDS, or None if it is not set; raises ConfigError."""
    text = os.environ.get(SECONDS_VARIABLE, "")
    if not text:
        return None
    with suppress(ValueError):
        if math.isfinite(seconds := float(text)) and seconds >= 0:
            return seconds
    raise ConfigError(f"{SECONDS_VARIABLE} is {text!r}; expected a number of seconds, such as 5")


def with_seed(experiment: AnyExperiment, seed: int) -> AnyExperiment:
    return experiment.model_copy(update={"seed": seed})
