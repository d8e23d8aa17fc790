"""`dae search`: budgets, samplers, pruning, search.csv, and what is printed."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dae_cli.data.dataset import Dataset
from dae_cli.data.provide import load
from dae_cli.search import trial as trials
from dae_cli.search.storage import open_storage
from dae_cli.study.run.pretrained import put_aside
from dae_cli.study.tables.trial_rows import EARLIER_CSV, SEARCH_CSV, TrialRow, read_csv
from tests.commands.conftest import Ended
from tests.commands.search.conftest import SECTION, TRIALS, add_search

Dae = Callable[..., Ended]
ONE = ("search", "tiny", "--only", "rect-0", "--jobs", "1")


def rows_in(folder: Path, cell: str = "rect-0", name: str = "search.csv") -> list[TrialRow]:
    """The trials of a cell, without what differs from one making to the next."""
    rows = read_csv(folder / "results/tiny" / name)
    return [replace(row, minutes=None) for row in rows if row.cell == cell]


def test_every_trial_is_a_row_and_the_best_is_told_in_the_table(
    finished_search: tuple[Path, Ended],
) -> None:
    folder, ended = finished_search
    assert ended.code == 0, ended.err
    rows = read_csv(folder / "results/tiny/search.csv")
    assert [(row.cell, row.trial) for row in rows] == [
        (cell, number) for cell in ("rect-0", "rect-25") for number in range(1, TRIALS + 1)
    ]
    for row in rows:
        assert row.state in ("complete", "pruned")
        assert set(row.settings) == {"units", "layers", "finetune.learning_rate"}
        assert row.n_valid == 50
        assert row.valid_wrong is not None
        assert row.valid_error_percent == 2.0 * row.valid_wrong
        assert "optuna" in row.versions
        assert len(row.data_sha256) == len(row.config_sha256) == 64
        assert (row.engine, row.sampler, row.sampler_seed, row.seed) == ("torch", "random", 0, 0)
    header, first, second, last = ended.lines
    assert header.split()[:4] == ["cell", "trials", "pruned", "failed"]
    least = min(row.valid_error_percent or 100 for row in rows[:TRIALS])
    assert first.split()[:5] == ["rect-0", "4", first.split()[2], "0", f"{least:.2f}"]
    assert second.startswith("rect-25")
    assert re.fullmatch(r"8 trials in .+ · results/tiny/search.csv", last)


def test_a_pipe_gets_one_plain_line_a_trial(finished_search: tuple[Path, Ended]) -> None:
    err = finished_search[1].err
    lines = [line for line in err.splitlines() if line.startswith(("complete", "pruned"))]
    assert len(lines) == 2 * TRIALS
    pattern = r"complete rect-0 trial 1: \d+\.00 % validation error, epoch \d in \d+ s \(units=.*\)"
    assert re.fullmatch(pattern, lines[0])
    assert "\x1b" not in err


def test_nothing_of_an_ended_trial_is_left_but_its_row(finished_search: tuple[Path, Ended]) -> None:
    left = [p.name for p in (finished_search[0] / "results/tiny").rglob("*") if p.is_file()]
    assert sorted(left) == ["place", "search.csv", "trials.journal"]


@pytest.mark.parametrize("sampler", ["random", "tpe"])
def test_the_same_seed_makes_the_same_trials_and_another_seed_others(
    dae: Dae, tmp_path: Path, sampler: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dae_cli.search.sampling.STARTUP_TRIALS", 2)
    found = []
    for place, seed in (("a", 1), ("b", 1), ("c", 2)):
        out = tmp_path / place
        options = ("--sampler", sampler, "--trials", "4", "--seed", str(seed), "--no-write")
        assert dae(*ONE, *options, "--out", out).code == 0
        found.append([replace(r, minutes=None) for r in read_csv(out / "search.csv")])
    assert found[0] == found[1]
    assert all(row.sampler == sampler for row in found[0])
    assert [r.settings for r in found[0]] != [r.settings for r in found[2]]


def test_the_settings_of_a_random_trial_depend_on_its_number_alone(
    dae: Dae, tmp_path: Path
) -> None:
    dae("search", "tiny", "--jobs", "1", "--trials", "2", "--no-write")
    first = [row.settings for row in rows_in(tmp_path)]
    assert first == [row.settings for row in rows_in(tmp_path, "rect-25")]
    assert first[0] != first[1]


def test_a_larger_budget_adds_trials_and_the_same_one_adds_none(dae: Dae, searched: Path) -> None:
    before = rows_in(searched.parents[1])
    same = dae("search", "tiny", "--trials", TRIALS, "--jobs", "1")
    assert same.code == 0
    assert same.lines[-1].startswith("0 trials in ")
    assert rows_in(searched.parents[1]) == before
    more = dae(*ONE, "--trials", TRIALS + 1)
    assert more.lines[-1].startswith("1 trial in ")
    after = rows_in(searched.parents[1])
    assert after[:TRIALS] == before
    assert len(after) == TRIALS + 1
    assert len(rows_in(searched.parents[1], "rect-25")) == TRIALS  # not searched now: as it was


def test_no_hours_make_no_trial_and_say_so(dae: Dae, tmp_path: Path) -> None:
    ended = dae(*ONE, "--hours", "0")
    assert ended.code == 1
    assert "nothing is selected, since no trial was completed: rect-0" in ended.err
    assert "until the time ran out" in ended.out
    assert rows_in(tmp_path) == []


def test_the_test_rows_play_no_part_in_a_trial(
    dae: Dae, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Untouchable:
        def __getattribute__(self, name: str) -> Any:
            raise AssertionError(f"somebody asked for {name} of the test rows")

        def __len__(self) -> int:
            raise AssertionError("somebody counted the test rows")

    def without_test(prepared: Any) -> Dataset:
        return replace(load(prepared), test=Untouchable())  # type: ignore[arg-type]

    monkeypatch.setattr(trials, "load", without_test)
    assert dae(*ONE, "--trials", "1").code == 0
    assert [row.state for row in rows_in(tmp_path)] == ["complete"]


def test_a_trial_sees_no_test_row_even_of_a_subset(
    dae: Dae, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Dataset] = []
    select = trials.selection_rows

    def watched(*arguments: Any) -> Dataset:
        seen.append(select(*arguments))
        return seen[-1]

    monkeypatch.setattr(trials, "selection_rows", watched)
    dae(*ONE, "--trials", "1")
    assert [(len(d.train), len(d.valid), len(d.test)) for d in seen] == [(100, 50, 0)]


HOPELESS = """\
search:
  - cells: rect-0
    space:
      finetune.learning_rate: {choices: [1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.00001]}
    prune: {after_trials: 1, from_epoch: 2}
"""


def test_a_hopeless_trial_is_pruned_where_it_stands_and_not_selected(
    dae: Dae, tmp_path: Path
) -> None:
    from tests.tiny_study import STUDY

    (tmp_path / "experiments/tiny/study.yaml").write_text(STUDY)
    add_search(tmp_path, HOPELESS)
    assert dae(*ONE, "--trials", "8").code == 0
    rows = rows_in(tmp_path)
    pruned = [row for row in rows if row.state == "pruned"]
    assert pruned
    for row in pruned:
        assert row.settings["finetune.learning_rate"] == "1.0e-05"
        assert row.epochs in (2, 3)
        assert row.valid_error_percent is not None
    assert all(row.epochs == 4 for row in rows if row not in pruned)
    text = (tmp_path / "experiments/tiny/rect-0.yaml").read_text()
    assert f" of 8 ({len(pruned)} pruned), 10.00 %; search.csv" in text


def test_a_trial_that_diverges_is_a_row_and_not_the_end(dae: Dae, tmp_path: Path) -> None:
    from tests.tiny_study import STUDY

    (tmp_path / "experiments/tiny/study.yaml").write_text(STUDY)
    section = """\
search:
  - cells: rect-0
    space:
      pretrain.learning_rate: {choices: [0.1, 0.2, 900, 1000]}
"""
    add_search(tmp_path, section)
    with (tmp_path / "experiments/tiny/rect-0.yaml").open("a") as file:
        file.write("pretrain: {loss: squared-error}\n")
    ended = dae(*ONE, "--trials", "2")
    rows = rows_in(tmp_path)
    diverged = [row for row in rows if row.state == "diverged"]
    assert len(rows) == 2 + len(diverged)  # a budget is of those that came to an end
    assert diverged
    assert all("lower pretrain.learning_rate" in row.error for row in diverged)
    assert all(row.valid_error_percent is None for row in diverged)
    assert ended.code == 0
    assert "diverged rect-0 trial " in ended.err


def test_a_cell_whose_trials_all_fail_is_given_up(
    dae: Dae, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dae_cli.search.claim.GIVE_UP", 3)

    def fail(*_: object) -> None:
        raise MemoryError("none left")

    monkeypatch.setattr(trials, "train", fail)
    ended = dae(*ONE, "--trials", "5")
    assert ended.code == 1
    assert "rect-0: given up, since its last trials all diverged or failed" in ended.err
    rows = rows_in(tmp_path)
    assert [row.state for row in rows] == ["failed"] * 3
    assert "the memory ran out (none left)" in rows[0].error


def test_another_space_is_another_search_and_the_trials_before_are_kept_apart(
    dae: Dae, searched: Path, tmp_path: Path
) -> None:
    study, results = tmp_path / "experiments/tiny/study.yaml", tmp_path / "results/tiny"
    space, before = study.read_text(), rows_in(tmp_path)
    study.write_text(space.replace("high: 16", "high: 12"))
    ended = dae(*ONE, "--trials", "1")
    assert "has trials of another space or pruning, other settings, data or numerics" in ended.err
    (now,) = rows_in(tmp_path)
    assert len(rows_in(tmp_path, "rect-25")) == TRIALS
    assert rows_in(tmp_path, name=EARLIER_CSV) == before
    # As after a clone; the space comes back, and its trials with it.
    study.write_text(space)
    clone = tmp_path / "clone/results/tiny"
    clone.mkdir(parents=True)
    for name in (SEARCH_CSV, EARLIER_CSV):
        shutil.copy(results / name, clone)
    ended = dae(*ONE, "--trials", str(TRIALS), "--out", str(clone))
    assert f"trials taken over into the storage: rect-0 {TRIALS}" in ended.err
    assert rows_in(tmp_path / "clone") == before
    assert rows_in(tmp_path / "clone", name=EARLIER_CSV) == [now]


def test_a_space_of_choices_that_is_used_up_ends_the_search(dae: Dae, tmp_path: Path) -> None:
    study = tmp_path / "experiments/tiny/study.yaml"
    space = "{layers: {choices: [1, 2]}, finetune.learning_rate: {choices: [0.1, 0.5]}}"
    text = study.read_text().partition("search:")[0]
    study.write_text(f"{text}search: [{{cells: rect-0, space: {space}}}]\n")
    ended = dae("search", "tiny", "--trials", "9", "--jobs", "2", "--no-write")
    assert ended.code == 0
    assert "rect-0: every setting of its space has been tried" in ended.err
    rows = rows_in(tmp_path)
    assert len({tuple(row.settings.items()) for row in rows}) == 4
    assert len(rows) == 4


def test_a_dry_run_tells_what_there_is_and_writes_nothing(dae: Dae, tmp_path: Path) -> None:
    ended = dae("search", "tiny", "--dry-run", "--trials", "7")
    assert ended.code == 0
    assert ended.lines[1].split()[:3] == ["rect-0", "0", "7"]
    assert ended.lines[1].endswith("units, layers, finetune.learning_rate")
    assert not (tmp_path / "results").exists()


def test_a_dry_run_and_a_check_can_be_read_by_programs(dae: Dae, searched: Path) -> None:
    planned = json.loads(dae("search", "tiny", "--dry-run", "--format", "json").out)
    first = planned["cells"][0]
    assert (first["cell"], first["complete"] + first["pruned"], first["wanted"]) == (
        "rect-0",
        int(TRIALS),
        25,
    )
    checked = dae("search", "tiny", "--check", "--format", "json")
    told = json.loads(checked.out)
    assert (told["cells"], told["agree"], told["not_searched"]) == (2, 2, [])
    assert (told["differences"], checked.code) == ([], 0)


def test_a_dry_run_counts_the_trials_that_have_ended(dae: Dae, searched: Path) -> None:
    assert dae("search", "tiny", "--dry-run").lines[1].split()[:3] == ["rect-0", "4", "25"]


def test_json_has_the_selected_row(dae: Dae, searched: Path) -> None:
    ended = dae("search", "tiny", "--trials", TRIALS, "--jobs", "1", "--format", "json")
    first = json.loads(ended.out)["cells"][0]
    assert (first["cell"], first["trials"], first["failed"]) == ("rect-0", TRIALS, 0)
    assert first["selected"]["state"] == "complete"
    assert set(first["selected"]["settings"]) == {"units", "layers", "finetune.learning_rate"}


def test_a_database_holds_the_trials_as_well(dae: Dae, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/trials.db"
    try:
        assert dae(*ONE, "--trials", "2", "--storage", url).code == 0
        assert len(rows_in(tmp_path)) == 2
        assert not (tmp_path / "results/tiny/search/trials.journal").exists()
        other = tmp_path / "elsewhere"
        assert dae(*ONE, "--trials", "3", "--storage", url, "--out", other).code == 0
        assert len(read_csv(other / "search.csv")) == 3  # with those of the first folder
    finally:
        storage: Any = open_storage(url)
        storage._backend.engine.dispose()


def test_without_optuna_it_says_how_to_install_it(
    dae: Dae, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    ended = dae("search", "tiny")
    assert ended.code == 2
    assert ended.err.startswith("dae search needs optuna (")
    assert "pip install '.[search]' where dae's source is" in ended.err


def test_help_loads_neither_torch_nor_optuna() -> None:
    code = (
        "import sys\nfrom typer.testing import CliRunner\nfrom dae_cli.commands.app import app\n"
        "assert CliRunner().invoke(app, ['search', '--help']).exit_code == 0\n"
        "print([m for m in ('torch', 'optuna', 'joblib') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("--only", "rect-1"), "no search of tiny has a cell 'rect-1'; did you mean rect-0?"),
        (("--storage", "mongodb://me:secret@x/y"), "--storage mongodb://me:…@x/y: cannot be"),
        (("--engine", "blas", "--device", "cuda"), "blas runs on the CPU alone"),
    ],
)
def test_what_cannot_be_is_refused_with_exit_code_2(
    dae: Dae, arguments: tuple[str, ...], text: str
) -> None:
    ended = dae("search", "tiny", *arguments)
    assert ended.code == 2
    assert text in ended.err


def test_a_study_without_a_search_section_says_where_to_read(dae: Dae, tmp_path: Path) -> None:
    study = tmp_path / "experiments/tiny/study.yaml"
    study.write_text(study.read_text().removesuffix(SECTION))
    ended = dae("search", "tiny")
    assert ended.code == 2
    assert ended.err.startswith("experiments/tiny/study.yaml has no search section")


def test_weights_of_a_network_are_those_of_its_layers() -> None:
    from dae_cli.config.experiments import resolve_experiment

    experiment = resolve_experiment("tiny/rect-0").network  # 12 and 10 units, 2 classes
    assert trials.weights_of(experiment) == 784 * 12 + 12 * 10 + 10 * 2


@pytest.fixture
def pretrained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[None]:
    """As long as there were pretrainings; the space is one of fine-tuning alone."""
    from dae_cli.training.pretrain import pretrain

    made: list[None] = []

    def counted(*arguments: Any) -> None:
        made.append(None)
        pretrain(*arguments)

    monkeypatch.setattr("dae_cli.training.train.pretrain", counted)
    study = tmp_path / "experiments/tiny/study.yaml"
    study.write_text(study.read_text().replace(SECTION, ""))
    add_search(
        tmp_path,
        SECTION.replace("      units: {low: 4, high: 16, step: 4}\n", "").replace(
            "      layers: {choices: [1, 2]}\n", ""
        ),
    )
    return made


APART = (*ONE, "--trials", 3, "--no-write")


@pytest.fixture
def alone(dae: Dae, pretrained: list[None], monkeypatch: pytest.MonkeyPatch) -> list[TrialRow]:
    """The rows of trials that have each pretrained by themselves."""
    with monkeypatch.context() as patch:
        patch.setattr(trials, "put_aside", lambda *_: None)
        assert dae(*APART, "--out", "alone").code == 0
    assert len(pretrained) == 3
    pretrained.clear()
    return [replace(row, minutes=None) for row in read_csv(Path("alone/search.csv"))]


def test_trials_take_over_the_pretraining_of_a_finished_run_and_come_to_the_same(
    dae: Dae, tmp_path: Path, pretrained: list[None], alone: list[TrialRow]
) -> None:
    assert dae("replicate", "tiny", "--only", "rect-0", "--jobs", "1").code == 0
    pretrained.clear()
    assert dae(*APART).code == 0
    assert pretrained == []
    assert rows_in(tmp_path) == alone


def test_trials_that_differ_in_finetuning_pretrain_once_and_come_to_the_same(
    dae: Dae, tmp_path: Path, pretrained: list[None], alone: list[TrialRow]
) -> None:
    assert dae(*APART).code == 0
    assert len(pretrained) == 1
    assert rows_in(tmp_path) == alone
    assert not (tmp_path / "results/tiny/search/pretrained").exists()


def test_of_pretrained_layers_the_last_few_are_kept(
    dae: Dae, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, finished_search: tuple[Path, Ended]
) -> None:
    kept: list[int] = []

    def counted(*arguments: Any) -> None:
        put_aside(*arguments)
        kept.append(len(list(arguments[1].iterdir())))

    monkeypatch.setattr(trials, "put_aside", counted)
    monkeypatch.setattr(trials, "MOST_PRETRAINED", 2)
    assert dae(*ONE, "--trials", TRIALS).code == 0  # each of other layers
    assert kept == [1, 2, 2, 2]
    assert rows_in(tmp_path) == rows_in(finished_search[0])


def test_where_nothing_can_be_put_aside_the_trials_are_the_same(
    dae: Dae, tmp_path: Path, pretrained: list[None], alone: list[TrialRow]
) -> None:
    shelf = tmp_path / "results/tiny/search/pretrained"
    shelf.parent.mkdir(parents=True)
    shelf.write_text("in the way")
    assert dae(*APART).code == 0
    assert len(pretrained) == 3
    assert rows_in(tmp_path) == alone
