"""One run to be made: its name, its folder, and the files in it.

A run works in `NAME.partial`; the folder is renamed to `NAME` when all files are written, which
docs/results.md lists. The name ends with a digest of the resolved config, the content of the data
and the version of the numerics: others of these make another run.
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
from itertools import pairwise
from pathlib import Path
from typing import Literal

from dae_cli.config.dump import settings_for_digest
from dae_cli.config.experiments import ResolvedExperiment
from dae_cli.config.schema import (
    CORRUPTIONS,
    LAYERS,
    AnyExperiment,
    FilterExperiment,
    SvmExperiment,
)
from dae_cli.config.study_schema import Reference
from dae_cli.data.dataset import Prepared
from dae_cli.data.datasets import spec_of
from dae_cli.engines.names import EngineChoice, EngineName
from dae_cli.errors import ConfigError
from dae_cli.files import HeldError, file_lock, sweep, unwritable
from dae_cli.training.version import NUMERICS_VERSION

CHECKPOINT, CONFIG, STATUS = "checkpoint.safetensors", "config.yaml", "status.json"
METRICS, ENVIRONMENT, RUN_FILTERS = "metrics.csv", "environment.json", "filters.png"
TRIALS, FILTERS_CSV, WRONG_ROWS = "trials.csv", "filters.csv", "wrong_rows.npy"
PARTIAL, LOCK = ".partial", ".lock"
RUNS, SHEETS = "runs", "filters"
"""The folders of runs and of sheets of filters."""
SECONDS_VARIABLE = "DAE_CHECKPOINT_SECONDS"
"""In the environment: seconds between two checkpoints, however long they take to write."""

RunState = Literal["new", "stopped", "done"]


@dataclass(frozen=True)
class Job:
    """One run to be made; it travels to worker processes."""

    cell: str
    experiment: AnyExperiment
    data: Prepared
    folder: Path
    """The final folder."""
    device: str = "cpu"
    engine: EngineName = "torch"
    reference: Reference = "destruction"
    """Which of the paper's numbers its row is compared with."""
    from_start: bool = False
    """Whether no pretraining is reused from another run."""

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def partial(self) -> Path:
        """Where the run works until it is whole."""
        return self.folder.with_name(self.name + PARTIAL)

    @property
    def lock(self) -> Path:
        """The file whose lock says that a process makes this run."""
        return hidden(self.folder, LOCK)

    @property
    def is_svm(self) -> bool:
        return isinstance(self.experiment, SvmExperiment)

    def state(self) -> RunState:
        """Return whether the run is done, was stopped after its first checkpoint, or is new."""
        if (self.folder / STATUS).exists():
            return "done"
        checkpoint = TRIALS if self.is_svm else CHECKPOINT
        return "stopped" if (self.partial / checkpoint).exists() else "new"

    def is_held(self) -> bool:
        """Tell whether another process is making this run."""
        try:
            with file_lock(self.lock):
                return False
        except HeldError:
            return True

    def discard(self) -> None:
        """Remove whatever there is of this run; raises HeldError, OutputError."""
        with file_lock(self.lock):
            for folder in (self.folder, self.partial):
                try:
                    if folder.exists():
                        shutil.rmtree(folder)
                except OSError as error:
                    raise unwritable(folder, error) from error


class Stopped(Exception):
    """The run was asked to stop and has saved what it can be resumed from."""


@dataclass(frozen=True)
class Unfinished:
    """A run that this process did not bring to its end."""

    run: str
    why: Literal["stopped", "held"]
    """It was asked to stop and saved a checkpoint; or another process is making it."""


@dataclass(frozen=True)
class PlannedRun:
    """A run as a command asks for it, and its state when the command began."""

    job: Job
    state: RunState
    engine: EngineChoice
    """As asked for; `engine_choice.with_engines` gives the job its engine."""

    @property
    def label(self) -> str:
        return f"{self.job.cell}, seed {self.job.experiment.seed}"

    def accepts(self, engine: str) -> bool:
        """Tell whether a run made with this engine is what the command asks for."""
        return self.job.is_svm or self.engine in ("auto", engine)


def model_name(experiment: AnyExperiment) -> str:
    """Return the paper's name: SAA-3 without corruption, SdA-3 with it, DBN-3 of RBMs, and so on.

    What is trained for its filters alone is an AE, a DAE with corruption, a CAE with the
    contractive penalty, or an RBM.
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
    """Return 100 ν, without the noise of binary fractions; 0 for Gaussian corruption and SVMs."""
    if isinstance(experiment, SvmExperiment):
        return 0.0
    return round(100.0 * experiment.corruption.destruction, 9)


def config_sha256(experiment: AnyExperiment, numerics: int = NUMERICS_VERSION) -> str:
    """Return the digest of a resolved config and a version of the numerics."""
    both = {"experiment": settings_for_digest(experiment), "numerics": numerics}
    return hashlib.sha256(json.dumps(both, sort_keys=True).encode()).hexdigest()


def run_name(experiment: AnyExperiment, data_sha256: str, numerics: int = NUMERICS_VERSION) -> str:
    """Return the run folder's name; safe on every file system."""
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
    """Tell whether text of a file is the name of a folder, and leads nowhere else."""
    return Path(text).name == text and text not in ("", "..")


def default_out(study: str, overrides: Sequence[str]) -> Path:
    """Return results/STUDY, or a folder of its own for a trial with changed settings."""
    digest = hashlib.sha256("\n".join(sorted(overrides)).encode()).hexdigest()[:6]
    return Path("results") / (f"{study}-{digest}" if overrides else study)


def default_runs(resolved: ResolvedExperiment) -> Path:
    """Return results/STUDY/runs, where `dae replicate STUDY` looks as well."""
    return Path("results") / (resolved.name.rpartition("/")[0] or "single") / RUNS


def hidden(folder: Path, ending: str) -> Path:
    """Return the hidden file beside a run's folder that has this ending."""
    return folder.with_name(f".{folder.name}{ending}")


def sweep_runs(runs: Path) -> None:
    """Remove what killed processes left in a folder of runs, but for the runs themselves."""
    sweep(runs)
    for lock in runs.glob(f".*{LOCK}"):
        with suppress(HeldError), file_lock(lock):
            pass  # which removes it


def expected_work(job: Job) -> float:
    """Return a number that grows with the time a run takes: about its multiplications."""
    experiment = job.experiment
    if isinstance(experiment, FilterExperiment):
        inputs, rows, epochs = experiment.inputs, experiment.examples, experiment.pretrain.epochs
    else:
        spec = spec_of(job.data.name)
        inputs, rows = spec.n_pixels, experiment.subset.train if experiment.subset else spec.n_train
        if isinstance(experiment, SvmExperiment):  # 100 passes over the kernel matrix, about
            return 100.0 * rows**2 * spec.n_classes * experiment.svm.coarse_trials
        epochs = experiment.pretrain.epochs + experiment.finetune.patience
    pairs = pairwise((inputs, *experiment.model.hidden))
    return float(rows * epochs * sum(below * above for below, above in pairs))


def checkpoint_seconds() -> float | None:
    """Return DAE_CHECKPOINT_SECONDS, None where it is not set; raises ConfigError."""
    text = os.environ.get(SECONDS_VARIABLE, "")
    if not text:
        return None
    with suppress(ValueError):
        if math.isfinite(seconds := float(text)) and seconds >= 0:
            return seconds
    raise ConfigError(f"{SECONDS_VARIABLE} is {text!r}; expected seconds, such as 5")


def with_seed(experiment: AnyExperiment, seed: int) -> AnyExperiment:
    return experiment.model_copy(update={"seed": seed})
