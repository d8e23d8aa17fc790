"""Counting the errors of a finished run again, from its checkpoint."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from dae_cli.config.experiments import load_resolved
from dae_cli.data.provide import load, prepare
from dae_cli.data.registry import N_PIXELS, REGISTRY
from dae_cli.errors import RunFolderError
from dae_cli.study.execute import dataset_for
from dae_cli.study.run_folder import CHECKPOINT, CONFIG, PARTIAL, read_status
from dae_cli.study.threads import use_one_thread
from dae_cli.study.verdict import half_width_95
from dae_cli.study.which_engine import CPU, engine_for_counting
from dae_cli.training.checkpoint import Expected, load_checkpoint
from dae_cli.training.evaluation import count_wrong

SplitName = Literal["train", "valid", "test"]


@dataclass(frozen=True)
class Evaluation:
    """The errors of one run on one split."""

    run: str
    dataset: str
    data_origin: str
    split: str
    n_rows: int
    n_wrong: int
    error_percent: float
    half_width_95: float


def evaluate_run(
    folder: Path, split: SplitName, data_dir: Path | None, note: Callable[[str], None]
) -> Evaluation:
    """Count the wrong rows of a split with the run's best parameters.

    Raises:
        RunFolderError: not a finished run, damaged, or trained on other data than there is now.
    """
    if not folder.exists() and (partial := folder.with_name(folder.name + PARTIAL)).exists():
        folder = partial
    status = read_status(folder)
    if status.get("state") != "done":
        raise RunFolderError(
            f"{folder}: the run is not finished; go on with dae train --resume or dae replicate"
        )
    experiment = load_resolved(folder / CONFIG)
    recorded = status.get("data", {})
    trained_on, origin = recorded.get("sha256"), recorded.get("origin")
    data = prepare(experiment.dataset, data_dir=data_dir, origin=origin, note=note)
    if data.sha256 != trained_on:
        raise RunFolderError(
            f"{folder}: was trained on {experiment.dataset} with SHA-256 {str(trained_on)[:12]}…, "
            f"but here is {data.sha256[:12]}… ({data.source}); give its data with --data-dir"
        )
    classes = REGISTRY[experiment.dataset].n_classes
    expected = Expected(experiment, data.sha256, N_PIXELS, classes)
    state = load_checkpoint(folder / CHECKPOINT, expected, CPU)
    if state.best is None:
        raise RunFolderError(f"{folder}: its checkpoint has no fine-tuned network")
    use_one_thread()
    engine = engine_for_counting(folder)
    dataset = dataset_for(experiment, load(data))
    rows = {"train": dataset.train, "valid": dataset.valid, "test": dataset.test}[split]
    wrong = count_wrong(state.best, rows, engine)
    return Evaluation(
        run=folder.absolute().name,
        dataset=experiment.dataset,
        data_origin=data.origin,
        split=split,
        n_rows=len(rows),
        n_wrong=wrong,
        error_percent=100.0 * wrong / len(rows),
        half_width_95=half_width_95(wrong, len(rows)),
    )
