"""Counting a run's errors again: the same number, on its own data, or a plain refusal."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from dae_cli.config.experiments import load_resolved
from dae_cli.config.kinds import as_network
from dae_cli.data.dataset import Split
from dae_cli.data.obtain import Prepared
from dae_cli.engines.engine import Engine
from dae_cli.errors import ConfigError, DaeError, RunFolderError
from dae_cli.models.network import Network
from dae_cli.study.run.evaluate import Evaluation, SplitName, evaluate_run
from dae_cli.study.run.folder import CHECKPOINT, CONFIG, ENVIRONMENT, STATUS
from dae_cli.study.verdict import half_width_95
from dae_cli.training.checkpoint import Expected, save_checkpoint
from dae_cli.training.evaluation import count_wrong
from dae_cli.training.state import initial_state


def _evaluate(folder: Path, split: SplitName = "test") -> Evaluation:
    return evaluate_run(folder, split, None, lambda _: None)


@pytest.fixture
def copy(in_process: Any, tmp_path: Path) -> Path:
    """A finished run that a test may damage."""
    source: Path = in_process.folder("convex-25")
    return Path(shutil.copytree(source, tmp_path / source.name))


@pytest.mark.parametrize("how", ["in_process", "in_workers"])
@pytest.mark.parametrize(("cell", "seed"), [("convex-0", 0), ("convex-25", 1)])
def test_the_test_errors_are_those_of_the_run(
    request: pytest.FixtureRequest, how: str, cell: str, seed: int
) -> None:
    study: Any = request.getfixturevalue(how)
    row = next(r for r in study.outcome.rows if (r.cell, r.seed) == (cell, seed))
    found = _evaluate(study.folder(cell, seed))
    assert found == Evaluation(
        run=row.run,
        cell=cell,
        dataset="convex",
        data_origin="original",
        split="test",
        n_rows=200,
        n_wrong=row.n_wrong,
        error_percent=row.test_error_percent,
        half_width_95=half_width_95(row.n_wrong, 200),
    )


def test_the_validation_errors_are_those_of_the_best_epoch(in_process: Any) -> None:
    for row in in_process.outcome.rows[:4]:
        found = _evaluate(in_process.folder(row.cell, row.seed), "valid")
        assert (found.split, found.n_rows) == ("valid", 40)
        assert found.error_percent == row.valid_error_percent


def test_the_training_rows_can_be_counted(in_process: Any) -> None:
    found = _evaluate(in_process.folder("convex-25"), "train")
    assert (found.split, found.n_rows) == ("train", 60)


@pytest.mark.parametrize(("recorded", "used"), [("blas", "blas"), ("abacus", "torch")])
def test_the_rows_are_counted_with_the_engine_of_the_run(
    copy: Path, monkeypatch: pytest.MonkeyPatch, recorded: str, used: str
) -> None:
    engines: list[str] = []

    def count(network: Network, split: Split, engine: Engine) -> int:
        engines.append(engine.name)
        return count_wrong(network, split, engine)

    monkeypatch.setattr("dae_cli.study.run.evaluate.count_wrong", count)
    (copy / ENVIRONMENT).write_text(json.dumps({"engine": recorded, "device": "cpu"}))
    assert _evaluate(copy).n_rows == 200
    assert engines == [used]


def test_a_run_is_found_from_within_its_folder(
    in_process: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = in_process.folder("convex-25")
    monkeypatch.chdir(folder)
    assert _evaluate(Path()) == _evaluate(folder)


def _refused(folder: Path, kind: type[DaeError] = RunFolderError) -> str:
    with pytest.raises(kind) as caught:
        _evaluate(folder)
    assert caught.value.exit_code == 2
    return str(caught.value)


def test_other_data_are_refused_with_both_digests(
    copy: Path, data: Prepared, other_data: Prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dae_cli.study.run.evaluate.prepare", lambda *_, **__: other_data)
    message = _refused(copy)
    assert f"was trained on convex with SHA-256 {data.sha256[:12]}…" in message
    assert f"but here is {other_data.sha256[:12]}…" in message
    assert "--data-dir" in message


def test_an_unfinished_run_is_refused_under_either_name(in_process: Any) -> None:
    failed = in_process.folder("convex-50")
    for folder in (failed, failed.with_name(failed.name + ".partial")):
        message = _refused(folder)
        assert "the run is not finished; go on with dae train --resume" in message


def test_a_run_that_only_lacks_its_rename_is_counted(copy: Path, in_process: Any) -> None:
    copy.rename(copy.with_name(copy.name + ".partial"))
    assert _evaluate(copy).n_wrong == _evaluate(in_process.folder("convex-25")).n_wrong


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    assert "not a run folder (there is no status.json)" in _refused(tmp_path)
    assert "not a run folder" in _refused(tmp_path / "nowhere")


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-40])


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (lambda run: _cut(run / CHECKPOINT), "not a checkpoint of this run"),
        (lambda run: (run / CHECKPOINT).unlink(), "no such checkpoint"),
        (lambda run: _cut(run / STATUS), "cannot be read"),
        (lambda run: (run / STATUS).write_text("[]"), "expected a mapping"),
        (lambda run: (run / STATUS).write_text('{"state": "done"}'), "data is missing"),
    ],
    ids=["checkpoint cut", "no checkpoint", "status cut", "status a list", "status without data"],
)
def test_a_damaged_run_is_refused_with_the_file(
    copy: Path, damage: Callable[[Path], Any], told: str
) -> None:
    damage(copy)
    message = _refused(copy)
    assert told in message
    assert str(copy) in message


@pytest.mark.parametrize("damaged", ["removed", "emptied", "changed"])
def test_a_damaged_config_is_refused(copy: Path, damaged: str) -> None:
    config = copy / CONFIG
    if damaged == "removed":
        config.unlink()
    else:
        config.write_text("" if damaged == "emptied" else "dataset: convix\n")
    assert CONFIG in _refused(copy, ConfigError)


def test_a_config_of_another_model_is_refused(copy: Path, in_process: Any) -> None:
    config = copy / CONFIG
    text = config.read_text()
    assert "[8, 6]" in text
    config.write_text(text.replace("[8, 6]", "[8, 7]"))
    assert "not a checkpoint of this run" in _refused(copy)


def test_a_checkpoint_without_a_fine_tuned_network_is_refused(copy: Path) -> None:
    data = json.loads((copy / STATUS).read_text())["data"]
    expected = Expected(as_network(load_resolved(copy / CONFIG)), data["sha256"], 784, 2)
    save_checkpoint(
        copy / CHECKPOINT, initial_state(expected.experiment, 784, torch.float32), expected
    )
    assert json.loads((copy / STATUS).read_text())["state"] == "done"
    assert "its checkpoint has no fine-tuned network" in _refused(copy)
