"""`dae train`: a run that is trained, skipped, forced, resumed or rejected."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.entry_points.runs import Place, report_every_epoch, saved_checkpoints
from tests.support.commands import Ended
from tests.support.tiny import (
    RESULT,
    bits,
    change_json,
    read_csv,
    read_json,
    run_of,
    stop,
    write_yaml,
)

Dae = Callable[..., Ended]
Patch = pytest.MonkeyPatch
Finished = tuple[Path, Ended]

pytestmark = pytest.mark.usefixtures("tiny")


def changed(*settings: str) -> list[str]:
    """Return settings as arguments of a command."""
    return [word for setting in settings for word in ("--set", setting)]


# Output


def test_stdout_has_error_paper_data_and_folder_and_stderr_the_rest(
    dae: Dae, tiny_data: Path
) -> None:
    ended = dae("train", "tiny/rect-25", "--seed", "3").succeeded()
    error, paper, data, took, folder = ended.lines
    assert re.fullmatch(r"results/tiny/runs/rect-sda2-25-s3-[0-9a-f]{8}", folder)
    wrong = read_json(Path(folder) / "status.json")["n_wrong"]
    percent = wrong / 4
    half_width = 1.96 * (percent * (100 - percent) / 400) ** 0.5
    counted = f"{percent:.2f} ± {half_width:.2f} % ({wrong} of 400 rows wrong)"
    assert error == f"test error   {counted}; at chance: one class for every test row"
    assert paper.split() == ["paper", "no", "reference"]
    assert data == "data         rect, original (unverified)"
    assert re.fullmatch(r"took         \d+ s", took)
    lines = ended.err.splitlines()
    assert any(str(tiny_data / "rect.npz") in line for line in lines)
    assert "started  rect-25" in lines
    assert lines[-1] == f"next: dae filters {folder}"
    assert "\x1b" not in ended.out + ended.err
    assert [path.name for path in Path("results/tiny").iterdir()] == ["runs"]


def test_every_epoch_is_reported_in_order_and_the_progress_reaches_one(
    dae: Dae, monkeypatch: Patch
) -> None:
    places = report_every_epoch(monkeypatch)
    patience, most = 3, 20
    few = changed("pretrain.epochs=1", "finetune.learning_rate=.5")
    many = changed(f"finetune.patience={patience}", f"finetune.max_epochs={most}")
    ended = dae("train", "tiny/rect-0", *few, *many).succeeded()
    rows = read_csv(Path(ended.lines[-1]) / "metrics.csv")
    wrong = [int(row["valid_wrong"]) for row in rows[2:]]
    expected = [Place("pretrain", 1, 0, 1, None, None, 0.0)]
    expected_lines = []
    guesses, share = [], 0.0
    for done, row in enumerate(rows, 1):
        tuned = wrong[: done - 2] if done > 2 else []
        best = tuned.index(min(tuned)) + 1 if tuned else 0
        # Training is expected to end `patience` epochs after the best epoch so far.
        guesses.append(done / (2 + min(most, best + patience)))
        share = max(share, min(1.0, guesses[-1]))
        epoch, cost = int(row["epoch"]), float(row["cost"])
        if tuned:
            percent = float(row["valid_error_percent"])
            expected.append(Place("finetune", None, epoch, most, cost, percent, share))
            expected_lines.append(f"finetune {epoch:>2}/20  cost {cost:.4g}  valid {percent:.2f} %")
        else:
            layer = int(row["layer"])
            expected.append(Place("pretrain", layer, epoch, 1, cost, None, share))
            expected_lines.append(f"pretrain layer {layer} 1/1  cost {cost:.4g}")
    expected.append(expected[-1]._replace(phase="test"))
    assert places == expected
    assert guesses != sorted(guesses)  # otherwise a decreasing share would go unnoticed
    assert share > 0.8
    started = "started  rect-0+epochs=1+learning_rate=0.5+max_epochs=20+patience=3"
    lines = ended.err.splitlines()
    assert lines[lines.index(started) + 1 : -1] == [*expected_lines, "test"]


def test_the_progress_of_an_svm_includes_its_refined_grid(dae: Dae, monkeypatch: Patch) -> None:
    """The finer search is expected to take 1.5 trials per trial of the grid."""
    for refine, share in ((True, 0.4), (False, 0.95)):
        places = report_every_epoch(monkeypatch)
        svm = {"kernel": "rbf", "gammas": [0.01, 0.1], "penalties": [1, 10], "refine": refine}
        subset = {"train": 60, "valid": 50, "test": 100}
        write_yaml(Path("svm.yaml"), {"dataset": "rect", "svm": svm, "subset": subset})
        dae("train", "svm.yaml").succeeded()
        shares = {place.epoch: place.share_done for place in places if place.phase == "select"}
        assert shares[4] == share and sorted(shares.values()) == list(shares.values())
        assert places[-1].phase == "test" and places[-1].share_done == 1.0


# Folder and bits


def test_a_single_run_has_the_same_bits_as_in_a_study(
    dae: Dae, tiny: Path, finished: Finished
) -> None:
    dae("train", "tiny/rect-25", "--out", "deep/runs").succeeded()
    (alone,) = Path("deep/runs").iterdir()
    same = run_of(finished[0], "rect-25")
    assert alone.name == same.name and bits(alone) == bits(same)
    assert not tiny.exists()


def test_the_seed_changes_the_name_and_the_bits_as_set_does(dae: Dae) -> None:
    first = dae("train", "tiny/rect-25", "--seed", "1", "-q").succeeded()
    assert re.fullmatch(r"results/tiny/runs/rect-sda2-25-s1-[0-9a-f]{8}\n", first.out)
    assert first.err == ""
    assert dae("train", "tiny/rect-25", "--set", "seed=1", "--quiet") == first  # already done
    other = dae("train", "tiny/rect-25", "--seed", "4294967295", "--quiet").succeeded().lines[0]
    assert "-s4294967295-" in other
    one, two = (bits(Path(folder)) for folder in (first.lines[0], other))
    assert one["checkpoint.safetensors"] != two["checkpoint.safetensors"]


def test_an_experiment_is_given_by_name_path_or_a_runs_config(dae: Dae, done: Path) -> None:
    folder = run_of(done, "rect-25")
    by_path = dae("train", "experiments/tiny/rect-25.yaml", "--quiet").succeeded()
    assert by_path.lines == [f"results/tiny/runs/{folder.name}"]
    mine = shutil.copy(folder / "config.yaml", "mine.yaml")
    alone = dae("train", mine).succeeded()
    assert alone.lines[-1] == f"results/single/runs/{folder.name}"
    assert "started  mine" in alone.err.splitlines()
    ours = bits(Path(alone.lines[-1]))
    same = bits(folder)
    assert ours.pop("filters.png") != same.pop("filters.png")  # their titles have different names
    assert ours == same


def test_regenerated_data_are_reported_and_give_a_separate_run(dae: Dae) -> None:
    words = changed("subset=null", "model.hidden=[4, 4, 4]", "finetune.max_epochs=1")
    runs = []
    for origin in ("original", "regenerated"):
        ended = dae("train", "tiny/rect-0", *words, "--origin", origin).succeeded()
        folder = Path(ended.lines[-1])
        status = read_json(folder / "status.json")
        trust = "unverified" if origin == "original" else ""
        assert (status["data_origin"], status.get("trust", "")) == (origin, trust)
        assert f"data         rect, {origin}{trust and ' (unverified)'}" in ended.lines
        assert f"rect ({origin})" in ended.err
        paper = ended.lines[1]
        assert paper.startswith("paper        2.41 ± 0.13 % (SAA-3): ours is worse")
        assert paper.endswith(f"({trust or 'regenerated'} data)")
        runs.append(folder.name)
    assert runs[0] != runs[1]


# Existing runs


def test_a_finished_run_is_run_again_only_with_force_and_has_the_same_bits(
    dae: Dae, done: Path
) -> None:
    folder = run_of(done, "rect-25")
    before = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in folder.iterdir()}
    same = bits(folder)
    ended = dae("train", "tiny/rect-25").succeeded()
    assert "started" not in ended.err
    assert any("rect-25" in line and "--force" in line for line in ended.err.splitlines())
    assert ended.lines[0].startswith("test error") and ended.lines[-1].endswith(folder.name)
    assert dae("train", "tiny/rect-25", "--resume").succeeded().out == ended.out
    assert {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in before} == before
    (folder / "mine.txt").write_text("goes with --force")
    forced = dae("train", "tiny/rect-25", "--force").succeeded()
    assert "started  rect-25" in forced.err.splitlines()
    assert "--force" not in forced.err  # that note is for skipped runs
    assert bits(folder) == same and not (folder / "mine.txt").exists()
    assert len(list((done / "runs").iterdir())) == 2


@pytest.mark.parametrize("option", [(), ("--resume",)])
def test_a_stopped_run_is_resumed_unless_force_starts_over(
    dae: Dae, done: Path, option: tuple[str, ...]
) -> None:
    folder = run_of(done, "rect-25")
    before, status = bits(folder), read_json(folder / "status.json")
    partial = stop(folder)
    change_json(partial / "status.json", lambda status: status.update(minutes=30.0))
    resumed = dae("train", "tiny/rect-25", *option).succeeded()
    assert "resumed  rect-25" in resumed.err.splitlines()
    assert re.fullmatch(r"took         30(\.\d)? min", resumed.lines[3])  # of all its sessions
    assert bits(folder) == before and not partial.exists()
    now = read_json(folder / "status.json")
    assert {name: now[name] for name in RESULT if name in status} == {
        name: status[name] for name in RESULT if name in status
    }
    assert 30 < now["minutes"] < 31

    partial = stop(folder)
    (partial / "checkpoint.safetensors").write_bytes(b"damaged")
    resume = ("train", "tiny/rect-25", *option)
    dae(*resume).failed(1, str(partial / "checkpoint.safetensors"), "delete")
    forced = dae("train", "tiny/rect-25", "--force").succeeded()
    assert "started  rect-25" in forced.err.splitlines()
    assert bits(folder) == before and not partial.exists()
    # A new run is started.
    shutil.rmtree(folder)
    assert "started  rect-25" in dae(*resume).succeeded().err.splitlines()


# The plan


def test_a_dry_run_of_one_experiment_shows_its_run_and_writes_nothing(dae: Dae, done: Path) -> None:
    before = bits(Path())
    words = ("train", "tiny/rect-25", "--dry-run")
    line, count, effort = dae(*words, "--seed", "3").succeeded().lines[1:]
    assert line.split()[0] == "rect-25" and "-s3-" in line and " new " in line
    assert count == "1 of 1 to run · results/tiny/runs"
    assert "core minute" in effort
    ended = dae(*words, "--format", "json").succeeded()
    assert [(run["run"], run["state"]) for run in ended.json["runs"]] == [
        (run_of(done, "rect-25").name, "done")
    ]
    (line, _, _) = dae(*words, *changed("corruption.destruction=.5"), "--out", "x").lines[1:]
    assert line.startswith("rect+destruction=0.5 ")
    assert bits(Path()) == before and not Path("x").exists()


# Reused pretraining


def test_runs_that_differ_in_finetuning_pretrain_once(
    dae: Dae, done: Path, monkeypatch: Patch
) -> None:
    other = changed("finetune.learning_rate=0.5", "finetune.max_epochs=6")
    words = ("train", "tiny/rect-25", *other)
    alone = Path(dae(*words, "--out", "alone", "--quiet").succeeded().lines[0])
    donor = run_of(done, "rect-25")
    monkeypatch.setattr("sys.argv", ["dae", "train", "two"])
    saved = saved_checkpoints(monkeypatch)
    ended = dae(*words).succeeded()
    run = Path(ended.lines[-1])
    (line,) = (line for line in ended.err.splitlines() if donor.name in line)
    assert line.startswith(f"{run.name}: ")
    assert "resumed  rect-25+learning_rate=0.5+max_epochs=6" in ended.err.splitlines()
    assert bits(run) == bits(alone)
    environment = read_json(run / "environment.json")
    assert environment["command"] == "dae train two"
    before = read_json(donor / "environment.json")["command"]
    assert [session["command"] for session in environment["earlier"]] == [before]
    assert len(saved) == 2  # none during pretraining, which was reused

    forced = dae(*words, "--force").succeeded()
    assert donor.name not in forced.err and "\nstarted  rect-25+" in forced.err
    assert bits(run) == bits(alone)
    assert read_json(run / "environment.json")["earlier"] == []


def test_different_pretraining_is_not_reused(dae: Dae, done: Path) -> None:
    donor = run_of(done, "rect-25")

    def reuses(*settings: str) -> bool:
        words = changed("finetune.max_epochs=1", *settings)
        ended = dae("train", "tiny/rect-25", *words).succeeded()
        shutil.rmtree(ended.lines[-1])
        assert ("resumed  rect-25" in ended.err) == (donor.name in ended.err)
        return donor.name in ended.err

    for setting in ("seed=1", "corruption.destruction=.5", "pretrain.epochs=3", "subset.train=90"):
        assert not reuses(setting), setting
    path = donor / "environment.json"
    environment = read_json(path)
    other = {"commit": "a", "versions": "b", "device": "cpu", "platform": "c", "command": "d"}
    for edited in (
        {"engine": "compiled"},
        {"cpu": "another"},
        {"earlier": [other | {"cpu": "another"}]},
        {"packages": environment["packages"] | {"torch": "0.1"}},
    ):
        path.write_text(json.dumps(environment | edited))
        assert not reuses(), edited
    path.write_text(json.dumps(environment | {"commit": "another", "command": "dae", "cores": 99}))
    assert reuses()
    checkpoint = donor / "checkpoint.safetensors"
    content = checkpoint.read_bytes()
    checkpoint.write_bytes(bytes(100))
    assert not reuses()
    checkpoint.write_bytes(content)
    donor.rename(donor.with_name(f"{donor.name[:-8]}00000000"))  # other data or numerics
    assert not reuses()


# Errors


def test_divergence_is_reported_with_cell_phase_layer_epoch_and_what_to_lower(dae: Dae) -> None:
    rate = changed("pretrain.learning_rate=1000", "pretrain.loss=squared-error")
    ended = dae("train", "tiny/rect-0", *rate, "--quiet")
    ended.failed(1, "rect-0+loss=", "pretrain, layer 1, epoch ", "pretrain.learning_rate", "1000")
    assert ended.out == "" and ended.err.count("\n") == 1
    (partial,) = Path("results/tiny/runs").iterdir()
    assert partial.suffix == ".partial"
    assert read_json(partial / "status.json")["state"] == "failed"
    # The next command tries it again.
    dae("train", "tiny/rect-0", *rate, "--quiet").failed(1, "pretrain.learning_rate")


def test_wrong_arguments_end_with_exit_code_2(dae: Dae, tmp_path: Path) -> None:
    write_yaml(tmp_path / "broken.yaml", {"dataset": "rect"})
    (tmp_path / "file").write_text("")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "rect.npz").write_bytes(b"not an archive")
    cell = ("tiny/rect-25",)
    cases: list[tuple[tuple[str, ...], tuple[str, ...]]] = [
        ((), ("EXPERIMENT",)),
        ((*cell, "--seed", "1", "--set", " seed =2"), ("--seed", "--set seed")),
        ((*cell, "--seed", "-1"), ("--seed",)),
        ((*cell, "--seed", "4294967296"), ("--seed",)),
        ((*cell, "--origin", "elsewhere"), ("--origin", "elsewhere", "regenerated")),
        ((*cell, "--data-dir", "nowhere"), ("--data-dir", "nowhere")),
        ((*cell, "--photos", "nowhere"), ("--photos", "nowhere")),
        ((*cell, "--out", "file"), ("--out", "file")),
        ((*cell, "--data-dir", "data"), ("data/rect.npz",)),
        ((*cell, "--set", "pretrain.lerning_rate=1"), ("pretrain.learning_rate",)),
        ((*cell, "--set", "subset.train=1001"), ("subset.train=1001", "1000", "rect")),
        (("tiny/rect-52",), ("tiny", "rect-52", "tiny/rect-25")),
        (("tiny",), ("tiny", "tiny/rect-0, tiny/rect-25")),
        (("nowhere.yaml",), ("nowhere.yaml",)),
        (("broken.yaml",), ("broken.yaml", "finetune")),
    ]
    for words, parts in cases:
        assert dae("train", *words).failed(2, *parts).out == "", words
    assert not (tmp_path / "results").exists()


def test_files_in_the_way_of_a_run_make_it_fail(dae: Dae, done: Path) -> None:
    folder = run_of(done, "rect-25")
    before = bits(folder)
    (folder / "status.json").unlink()  # an incomplete run
    ended = dae("train", "tiny/rect-25").failed(1, "rect-25", str(folder), "--force")
    assert ended.out == "" and "started" not in ended.err
    dae("train", "tiny/rect-25", "--force").succeeded()
    assert bits(folder) == before
    shutil.rmtree(folder)
    partial = folder.with_name(folder.name + ".partial")
    partial.write_text("a file")
    dae("train", "tiny/rect-25").failed(1, "rect-25", str(partial))
