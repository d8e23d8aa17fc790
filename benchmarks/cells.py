"""The seven cells of icml2008 on all cores: `dae replicate` beside plain PyTorch.

A whole run of the peer takes most of an hour. So both sides do the same share of every cell,
a twentieth unless `--full` is given: of the epochs of pretraining, of the epochs of fine-tuning
that the committed results took, and of the test rows. Both evaluate the validation rows after
each epoch of fine-tuning. Our time is that of the whole command, its start and its report
included; the peer's leaves out the start of its process. Both do the share once more with a single
minibatch of each split: what that takes does not grow, and counts once when the time of the whole
is made of the share's.

The peer does its cells one after the other with torch's default threads, spread over the rounds:
those of a round stand for all seven by their share of the multiplications.
"""

from __future__ import annotations

import csv
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.commands import dae, seconds_of
from benchmarks.figures import Figure
from benchmarks.machine import ROOT, default_threads
from benchmarks.plan import CELLS, IN_MEMORY, Plan
from dae_cli.config.experiments import dump_yaml, load_resolved, resolve_study
from dae_cli.config.kinds import as_network
from dae_cli.config.schema import Experiment, ModelSettings, SubsetSettings
from dae_cli.data.provide import prepare
from dae_cli.data.registry import N_PIXELS, REGISTRY
from dae_cli.machine import cores

JOBS = 2
OURS = f"dae replicate --jobs {JOBS}"
USUAL_EPOCHS = 60
"""Of fine-tuning, where no results say how many a cell took."""


def cells(plan: Plan) -> list[Figure]:
    """Time the seven cells on both sides; the figures are those of the whole."""
    experiments = shares(plan)
    for dataset in {experiment.dataset for experiment in experiments.values()}:
        prepare(dataset)
    total = sum(work(experiment) for experiment in experiments.values())
    ours, theirs = _Times(plan.cell_share), _Times(plan.cell_share)
    with tempfile.TemporaryDirectory() as folder:
        study = write_study(experiments, Path(folder) / "share")
        bare = {name: without_training(each) for name, each in experiments.items()}
        start = write_study(bare, Path(folder) / "start")
        for k in range(plan.cell_rounds):
            outs = (Path(folder) / f"{kind}-{k}" for kind in ("part", "fixed"))
            ours.add(*(_ours(each, out) for each, out in zip((study, start), outs, strict=True)))
            names = list(experiments)[k :: plan.cell_rounds]
            stands_for = total / sum(work(experiments[name]) for name in names)
            part = sum(_theirs(study / f"{name}.yaml") for name in names)
            fixed = sum(_theirs(start / f"{name}.yaml") for name in names)
            theirs.add(part * stands_for, fixed * stands_for)
    return [
        *theirs.figures(IN_MEMORY, f"torch's default of {cores()} cores"),
        *ours.figures(OURS, "1 a worker"),
    ]


class _Times:
    """What the share of every cell took in each round, and what did not grow of it."""

    def __init__(self, share: int) -> None:
        self._share = share
        self._parts: list[float] = []
        self._fixed: list[float] = []

    def add(self, part: float, fixed: float) -> None:
        """Keep the seconds of a round."""
        self._parts.append(part)
        self._fixed.append(fixed)

    def figures(self, contender: str, threads: str) -> list[Figure]:
        """Return the whole, then what it is made of."""
        if self._share == 1:
            return [Figure(CELLS, contender, "s", threads, tuple(self._parts))]
        pairs = zip(self._parts, self._fixed, strict=True)
        whole = tuple(whole_of(part, fixed, self._share) for part, fixed in pairs)
        part_name, fixed_name = f"{contender}: 1/{self._share}", f"{contender}: what does not grow"
        return [
            Figure(CELLS, contender, "s", threads, whole, f"from 1/{self._share} of every cell"),
            Figure(CELLS, part_name, "s", threads, tuple(self._parts)),
            Figure(CELLS, fixed_name, "s", threads, tuple(self._fixed)),
        ]


def whole_of(part: float, fixed: float, share: int) -> float:
    """Return the seconds of the whole from those of 1/share, of which some do not grow."""
    return fixed + share * (part - fixed)


def without_training(experiment: Experiment) -> Experiment:
    """Return an experiment of one minibatch a split: its start, reading and end are left."""
    rows = experiment.pretrain.batch_size
    subset = SubsetSettings(train=rows, valid=rows, test=rows)
    return experiment.model_copy(update={"subset": subset})


def shares(plan: Plan) -> dict[str, Experiment]:
    """Return a plan's share of every cell, by the cell's name."""
    recorded = _recorded_epochs()
    return {
        cell.cell: share(cell.network, recorded.get(cell.cell, USUAL_EPOCHS), plan)
        for cell in resolve_study("icml2008").cells
    }


def share(experiment: Experiment, epochs: int, plan: Plan) -> Experiment:
    """Return a part of an experiment whose fine-tuning took so many epochs."""
    part = plan.cell_share
    spec = REGISTRY[experiment.dataset]
    tuning = max(1, round(epochs / part))
    pretraining = max(1, round(experiment.pretrain.epochs / part))
    rows = SubsetSettings(train=spec.n_train, valid=spec.n_valid, test=max(1, spec.n_test // part))
    update: dict[str, object] = {
        "pretrain": experiment.pretrain.model_copy(update={"epochs": pretraining}),
        "finetune": experiment.finetune.model_copy(
            update={"max_epochs": tuning, "patience": tuning}
        ),
        "subset": None if part == 1 else rows,
    }
    if plan.mode == "quick":
        update["model"] = ModelSettings(hidden=(plan.units,) * 3)
        update["subset"] = SubsetSettings(train=50, valid=20, test=20)
    return experiment.model_copy(update=update)


def work(experiment: Experiment) -> float:
    """Return the multiplications of a run."""
    spec, subset = REGISTRY[experiment.dataset], experiment.subset
    train, valid, test = (
        (subset.train, subset.valid, subset.test)
        if subset
        else (spec.n_train, spec.n_valid, spec.n_test)
    )
    hidden = experiment.model.hidden
    widths = [a * b for a, b in zip((N_PIXELS, *hidden), hidden, strict=False)]
    pretraining = 5 * experiment.pretrain.epochs * train * sum(widths)
    tuning = experiment.finetune.max_epochs * (3 * train + valid) * sum(widths)
    return float(pretraining + tuning + test * sum(widths))


def write_study(experiments: dict[str, Experiment], folder: Path) -> Path:
    """Write a study of these cells that `dae replicate` can run, and return its folder."""
    study = folder / "icml2008-share"
    study.mkdir(parents=True)
    (study / "study.yaml").write_text("title: a share of icml2008\n", encoding="utf-8")
    for name, experiment in experiments.items():
        (study / f"{name}.yaml").write_text(dump_yaml(experiment), encoding="utf-8")
    return study


def _ours(study: Path, out: Path) -> float:
    command = [dae(), "replicate", str(study), "--jobs", str(JOBS), "--out", str(out), "--quiet"]
    return seconds_of(command, default_threads())


def _theirs(config: Path) -> float:
    """Let the peer do a cell in a process of its own; it tells the seconds."""
    command: Sequence[str] = [sys.executable, "-m", "benchmarks.cells", str(config)]
    env = default_threads()
    done = subprocess.run(command, cwd=ROOT, env=env, stdout=subprocess.PIPE, check=True)
    return float(done.stdout)


def _recorded_epochs() -> dict[str, int]:
    """Return the epochs of fine-tuning that each cell of the committed results took."""
    path = ROOT / "results" / "icml2008" / "runs.csv"
    if not path.exists():
        return {}
    with path.open(newline="", encoding="utf-8") as file:
        return {row["cell"]: int(row["epochs"]) for row in csv.DictReader(file) if row["epochs"]}


def main(config: Path) -> None:
    """In a process of the peer: do a cell and print the seconds."""
    from benchmarks.peer_cell import run_cell  # torch only here: --help needs none

    print(run_cell(as_network(load_resolved(config))))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
