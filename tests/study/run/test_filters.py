"""Filters of runs: pretrained weights, products for higher layers, and what cannot be read."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
import torch
from safetensors import safe_open
from safetensors.numpy import load_file

from dae_cli.config.experiments import load_resolved
from dae_cli.config.kinds import as_network
from dae_cli.data.obtain import Prepared
from dae_cli.data.provide import load
from dae_cli.engines.engine import engine_for
from dae_cli.errors import ConfigError, RunFolderError
from dae_cli.pictures.filters import filter_sheet
from dae_cli.stopping import NeverStop
from dae_cli.study.progress import Silent
from dae_cli.study.run.execute import dataset_for, execute
from dae_cli.study.run.filters import draw_run_filters, run_filters
from dae_cli.study.run.folder import CHECKPOINT, Job
from dae_cli.study.run.status import Stopped
from dae_cli.training.hooks import NoHooks
from dae_cli.training.inputs import Pixels
from dae_cli.training.pretrain import pretrain
from dae_cli.training.state import initial_state

MakeJob = Callable[..., Job]


@pytest.fixture(scope="module")
def run(in_process: Any) -> Path:
    """A finished run."""
    folder: Path = in_process.folder("convex-25")
    return folder


def _tensor(run: Path, name: str) -> Any:
    with safe_open(run / CHECKPOINT, framework="numpy") as file:
        return file.get_tensor(name)


def test_layer_1_is_the_pretrained_w_and_not_the_fine_tuned(run: Path, data: Prepared) -> None:
    experiment = as_network(load_resolved(run / "config.yaml"))
    state = initial_state(experiment, 784, torch.float32)
    before = state.autoencoders[0].weight.clone()
    dataset = dataset_for(experiment, load(data))
    pretrain(
        experiment,
        Pixels(dataset.train, 20),
        state,
        engine_for("torch", torch.device("cpu")),
        NoHooks(),
    )
    filters = run_filters(run)
    assert filters.shape == (8, 784)
    assert filters.dtype == np.float32
    assert np.array_equal(filters, state.autoencoders[0].weight.numpy())
    assert not np.allclose(filters, before.numpy(), atol=1e-3)
    assert not np.allclose(filters, _tensor(run, "best.1.weight"), atol=1e-3)


def test_layer_2_is_the_product_of_the_weights(run: Path) -> None:
    filters = run_filters(run, layer=2)
    assert filters.shape == (6, 784)
    expected = _tensor(run, "pretrained.2.weight") @ _tensor(run, "pretrained.1.weight")
    assert np.allclose(filters, expected, atol=1e-6)


@pytest.mark.parametrize("layer", [0, -1, 3])
def test_a_layer_that_is_not_there_is_refused(run: Path, layer: int) -> None:
    with pytest.raises(ConfigError, match=f"--layer {layer}: the run has layers 1 to 2"):
        run_filters(run, layer)


def test_a_stopped_run_has_filters_under_its_final_name(run: Path, tmp_path: Path) -> None:
    stopped = tmp_path / "stopped"
    shutil.copytree(run, stopped.with_name("stopped.partial"))
    assert run_filters(stopped).shape == (8, 784)


def test_what_is_no_run_is_told(tmp_path: Path, run: Path) -> None:
    with pytest.raises(RunFolderError, match="no checkpoint here; give the folder of a run"):
        run_filters(tmp_path)
    shutil.copytree(run, tmp_path / "copy")
    whole = (tmp_path / "copy" / CHECKPOINT).read_bytes()
    (tmp_path / "copy" / CHECKPOINT).write_bytes(whole[:-100])
    with pytest.raises(RunFolderError, match="not a readable checkpoint"):
        run_filters(tmp_path / "copy")


def test_unit_i_starts_the_same_at_every_destruction(make_job: MakeJob) -> None:
    # With a step this small the pretrained weights are the initial ones.
    still = {"pretrain": {"learning_rate": 1e-12, "epochs": 1}}
    filters = []
    for destruction in (0.0, 0.25, 0.5):
        job = make_job(corruption={"destruction": destruction}, **still)
        execute(job, Silent(), "dae")
        filters.append(run_filters(job.folder))
    initial = (
        initial_state(as_network(job.experiment), 784, torch.float32).autoencoders[0].weight.numpy()
    )
    for weights in filters:
        assert np.allclose(weights, initial, atol=1e-7)
    assert len({weights.tobytes() for weights in (np.round(f, 5) for f in filters)}) == 1


class InTheFirstEpoch(NeverStop):
    """Asks the run to stop after three of its six steps."""

    left = 3

    def asked(self) -> int:
        self.left -= 1
        return 0 if self.left > 0 else 15


def test_a_run_of_rbms_has_filters_and_goes_on_where_it_was_stopped(
    make_job: MakeJob, tmp_path: Path
) -> None:
    rbms = {"kind": "rbm", "persistent": True}
    settings: dict[str, Any] = {"corruption": {"destruction": 0.0}, "pretrain": rbms}
    whole, stopped = make_job(**settings), make_job(tmp_path / "stopped", **settings)
    row = execute(whole, Silent(), "dae")
    assert (row.model, row.error) == ("DBN-2", "")
    assert whole.name.startswith("convex-dbn2-0-s0-")
    initial = initial_state(as_network(whole.experiment), 784, torch.float32).autoencoders[0].weight
    filters = run_filters(whole.folder)
    assert filters.shape == (8, 784) and run_filters(whole.folder, layer=2).shape == (6, 784)
    assert not np.allclose(filters, initial.numpy(), atol=1e-3)

    with pytest.raises(Stopped):
        execute(stopped, Silent(), "dae", InTheFirstEpoch())
    assert "chains" in load_file(stopped.partial / CHECKPOINT)
    assert run_filters(stopped.folder).shape == (8, 784)
    execute(stopped, Silent(), "dae")
    kept = [(job.folder / CHECKPOINT).read_bytes() for job in (whole, stopped)]
    assert kept[0] == kept[1]


def test_sets_that_are_stored_transposed_are_shown_upright(
    in_process: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    shown: list[Any] = []

    def remember(weights: Any, **more: Any) -> PIL.Image.Image:
        shown.append(weights)
        return filter_sheet(weights, **more)

    monkeypatch.setattr("dae_cli.study.run.filters.filter_sheet", remember)
    folder = in_process.folder("convex-25")
    monkeypatch.setattr("dae_cli.study.run.filters.RUN_FILTERS", str(tmp_path / "filters.png"))
    for dataset in ("convex", "bg-img"):
        draw_run_filters(folder, dataset, "title")
    plain, turned = (weights.reshape(-1, 28, 28) for weights in shown)
    assert np.array_equal(turned, plain.transpose(0, 2, 1))
    assert not np.array_equal(turned, plain)
