"""`--grid KEY=A,B` and `dae train --seeds`: sweeps in one folder and one table; their cost."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.children import Child
from tests.support.commands import Ended
from tests.support.interrupts import interrupt_when_written
from tests.support.tiny import destruction_cells, read_csv, snapshot, stop, write_study

Dae = Callable[..., Ended]
Start = Callable[..., Child]

RATE = ("0.1", "0.2")
RATES = ("--grid", "pretrain.learning_rate=0.1,0.2")

pytestmark = pytest.mark.usefixtures("tiny")


def planned(dae: Dae, *words: str, study: str = "tiny") -> list[str]:
    """Return the cells of a sweep of a study."""
    ended = dae("replicate", study, *words, "--dry-run", "--format", "json").succeeded()
    return list(dict.fromkeys(run["cell"] for run in ended.json["runs"]))


def cells_of(folder: Path) -> list[str]:
    """Return the cells of table.csv."""
    return [row["cell"] for row in read_csv(folder / "table.csv")]


# One folder and one table


def test_a_stopped_sweep_is_resumed_and_report_and_verify_accept_its_table(
    dae: Dae, child: Start
) -> None:
    variants = [f"{cell}+learning_rate={rate}" for cell in ("rect-0", "rect-25") for rate in RATE]
    words = ("replicate", "tiny", *RATES)
    after_one = interrupt_when_written("table.csv")
    child(*words, "--jobs", "1", "--engine", "torch", prepare=after_one).wait().failed(130)
    (folder,) = Path("results").iterdir()
    assert len(read_csv(folder / "runs.csv")) in (1, 2)
    assert "4 done, 0 skipped" not in dae(*words).succeeded().out
    assert cells_of(folder) == variants
    stop(next(folder.glob("runs/*-25-*")))
    ended = dae(*words).succeeded()
    assert "1 done, 3 skipped" in ended.lines[-1] and "resumed" in ended.err
    assert dae("verify", folder).succeeded().lines == ["4 runs recomputed, 0 differences"]
    files = snapshot(folder, (".csv", ".yaml"))
    assert ended.lines[:-1] == dae("report", folder).succeeded().lines[:-1]
    assert snapshot(folder, (".csv", ".yaml")) == files
    assert "changed" not in (folder / "settings.yaml").read_text()
    # A further value adds only its own runs.
    more = dae("replicate", "tiny", "--grid", f"{RATES[1]},0.3", "--out", folder).succeeded()
    assert "2 done, 4 skipped" in more.lines[-1] and len(cells_of(folder)) == 6
    dae(*words, "--out", folder).failed(2, "the study has no cell rect-0+learning_rate=0.3")


def test_train_sweeps_a_cell_as_replicate_does(dae: Dae) -> None:
    sweep = (*RATES, "--set", "finetune.max_epochs=1", "--seeds", "2")
    trained = dae("train", "tiny/rect-25", *sweep).succeeded()
    assert "4 done, 0 skipped, 0 failed" in trained.lines[-1]
    same = dae("replicate", "tiny", "--only", "rect-25", *sweep).succeeded()
    assert "0 done, 4 skipped, 0 failed" in same.lines[-1]
    assert same.lines[:-1] == trained.lines[:-1] and len(list(Path("results").iterdir())) == 1
    (folder,) = Path("results").iterdir()
    assert [row["seeds"] for row in read_csv(folder / "table.csv")] == ["0 1", "0 1"]
    found = dae("train", "tiny/rect-25", *sweep, "--format", "json").succeeded().json
    assert [row["cell"] for row in found["table"]] == cells_of(folder)
    latex = dae("report", folder, "--format", "latex").succeeded().out
    assert "\n% Every cell has 2 seeds" in latex and "& Test error \\\\\n" in latex
    assert "Paper" not in latex and "no reference" not in latex
    markdown = dae("report", folder, "--format", "markdown").succeeded().lines
    assert [line.split(" | ")[-2:] for line in markdown[:1]] == [["test error", "seeds |"]]
    assert markdown[2].endswith(" | 2 |") and len(markdown) == 4
    high = ("--fail-if", "test_error_percent>=0")
    assert dae("train", "tiny/rect-25", *sweep, *high).failed(1).err.count("--fail-if") == 2


def test_a_sweep_spelled_differently_has_the_same_folder(dae: Dae) -> None:
    short = ("--set", "finetune.max_epochs=1", "--set", "pretrain.epochs=1", "--jobs", "1")
    layers = ("--grid", "model.hidden=[4],[4,4]")
    dae("train", "tiny/rect-0", *short, *RATES, *layers).succeeded()
    other = ("--grid", "model.hidden = [4, 4], [4]", "--grid", "pretrain.learning_rate=.20,0.1,0.2")
    shorter = ("--set", " pretrain.epochs = 1", "--set", "finetune.max_epochs=1")
    ended = dae("train", "tiny/rect-0", *shorter, *other).succeeded()
    assert "0 done, 4 skipped" in ended.lines[-1]
    (folder,) = Path("results").iterdir()
    assert len(cells_of(folder)) == 4
    assert dae("verify", folder).succeeded().lines == ["4 runs recomputed, 0 differences"]
    for words in (folder,), ("tiny", "--out", folder):
        dae("report", *words).succeeded()
        title = (folder / "REPORT.md").read_text(encoding="utf-8").splitlines()[0]
        assert title == "# Sweep of tiny: model.hidden, pretrain.learning_rate"
    dae("replicate", "tiny", "--set", "pretrain.epochs=1").succeeded()
    assert "0 done" in dae("replicate", "tiny", "--set", "pretrain.epochs= 1").succeeded().out
    assert len(list(Path("results").iterdir())) == 2


def test_train_sweeps_a_file_outside_a_study_as_a_study_with_its_name(dae: Dae) -> None:
    Path("mine.yaml").write_text(dae("show", "tiny/rect-0").succeeded().out)
    short = ("--set", "finetune.max_epochs=1", "--set", "pretrain.epochs=1")
    seeded = dae("train", "mine.yaml", "--seed", "4", "--seeds", "2", *short).succeeded()
    assert "2 done" in seeded.lines[-1]
    dae("train", "mine.yaml", *short, "--grid", "model.hidden=[4],[4,4]").succeeded()
    tables: dict[str, str] = {}
    for folder in Path("results").glob("mine-*"):
        assert dae("verify", folder).succeeded().lines == ["2 runs recomputed, 0 differences"]
        tables |= {row["cell"]: row["seeds"] for row in read_csv(folder / "table.csv")}
    assert tables == {"mine": "4 5", "rect+hidden=4": "0", "rect+hidden=4-4": "0"}


# Variants and their names


def test_a_variant_is_named_by_its_settings_and_occurs_once(dae: Dae) -> None:
    destructions = ("--grid", "corruption.destruction=0,0.25,2.5e-1")
    assert planned(dae, *destructions) == ["rect+destruction=0", "rect+destruction=0.25"]
    both = ("--grid", "pretrain.learning_rate=0.1", "--grid", "finetune.learning_rate=1")
    assert planned(dae, *both, "--only", "*-0") == [
        "rect-0+pretrain.learning_rate=0.1+finetune.learning_rate=1"
    ]
    write_study(
        Path(),
        "two",
        cells={
            "deep": {"corruption": {"destruction": 0.1}, "model": {"hidden": [9, 9, 9]}},
            "flat": {"corruption": {"destruction": 0.2}, "model": {"hidden": [9]}},
        },
    )
    # The data set alone would not distinguish them.
    assert planned(
        dae, "--grid", "corruption.destruction=0.1,0.3", "--only", "deep", study="two"
    ) == [f"rect+destruction={level}" for level in ("0.1", "0.3")]
    assert planned(dae, "--grid", "corruption.destruction=0.1,0.3", study="two") == [
        f"{cell}+destruction={level}" for cell in ("deep", "flat") for level in ("0.1", "0.3")
    ]


def test_cells_that_become_the_same_experiment_are_one_row(dae: Dae) -> None:
    words = ("--set", "finetune.max_epochs=1", "--grid", "corruption.destruction=0,0.5")
    ended = dae("replicate", "tiny", *words).succeeded()
    assert "2 done, 0 skipped" in ended.lines[-1]
    (folder,) = Path("results").iterdir()
    rows = read_csv(folder / "runs.csv")
    assert [row["cell"] for row in rows] == ["rect+destruction=0", "rect+destruction=0.5"]
    assert len({row["run"] for row in rows}) == 2 == len(cells_of(folder))
    assert dae("verify", folder).succeeded().lines == ["2 runs recomputed, 0 differences"]


def test_a_cell_without_the_setting_is_not_changed(dae: Dae) -> None:
    cells = destruction_cells(0) | {"svm": {"svm": {"kernel": "rbf"}}}
    write_study(Path(), "both", cells=cells)
    variants = [f"rect-0+learning_rate={rate}" for rate in RATE]
    assert planned(dae, *RATES, study="both") == [*variants, "svm"]


# Mistakes


@pytest.mark.parametrize(
    ("values", "parts"),
    [
        ("nonsense", ("--grid nonsense", "expected KEY=A,B", "'model.hidden=[1000],[1000,1000]'")),
        ("pretrain.epochs=1,,2", ("--grid pretrain.epochs=1,,2", "expected KEY=A,B")),
        ("pretrain.epoch=1,2", ("--grid pretrain.epoch=1 ", "did you mean pretrain.epochs?")),
        (
            "corruption.destruction=0.1,1.5,15 %",
            (
                "2 problems",
                "--grid corruption.destruction=1.5 ",
                "--grid corruption.destruction=15 % ",
                "did you mean 0.15?",
            ),
        ),
        (
            "model.hidden=1000,2000",
            ("--grid model.hidden=1000 ", "--grid 'model.hidden=[1000],[1000,1000]'"),
        ),
        ("seed=0,1", ("--grid seed=0,1", "--seeds")),
        ("svm.kernel=rbf,poly", ("--grid svm.kernel=rbf ", "svm does not apply")),
    ],
)
def test_an_invalid_grid_is_reported_with_its_value(
    dae: Dae, values: str, parts: tuple[str, ...]
) -> None:
    for command in (("replicate", "tiny"), ("train", "tiny/rect-0")):
        dae(*command, "--grid", values).failed(2, *parts)
    assert not Path("results").exists()


def test_settings_given_twice_and_sweeps_of_the_wrong_thing_are_refused(dae: Dae) -> None:
    dae("replicate", "tiny", *RATES, *RATES).failed(2, "given twice")
    both = ("--set", "pretrain.learning_rate=0.3", *RATES)
    dae("replicate", "tiny", *both).failed(2, "--grid pretrain.learning_rate=0.1", "given twice")
    dae("replicate", "tiny/rect-0", *RATES).failed(2, "one experiment, not a study")
    dae("train", "tiny", *RATES).failed(2, "a study, not one experiment", "tiny/rect-25")
    dae("train", "tiny/rect-0", "--jobs", "2").failed(2, "--jobs", "--grid or --seeds")


def test_several_values_of_set_are_referred_to_grid(dae: Dae) -> None:
    for values, parts in (
        ("pretrain.epochs=1,2", ("whole number", "--grid pretrain.epochs=1,2")),
        ("model.hidden=[2],[3]", ("--grid 'model.hidden=[2],[3]'",)),
        ("seed=0,1", ("--seeds",)),
    ):
        dae("train", "tiny/rect-0", "--set", values).failed(2, f"--set {values}", *parts)
    for values in ("model.hidden=2,3", "model.hidden=[2,x]", "epoch=1,2"):
        assert "--grid" not in dae("train", "tiny/rect-0", "--set", values).failed(2).err


# Cost


def test_a_dry_run_ends_with_the_cost_of_the_runs_and_writes_nothing(
    dae: Dae, done: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = snapshot(Path())
    assert dae("replicate", "tiny", "--dry-run").succeeded().lines[-1].startswith("0 of 2 to run")
    two = dae("replicate", "tiny", "--seeds", "2", "--dry-run").succeeded()
    assert two.lines[-1].startswith("less than a core minute, ")

    def cost(*words: str) -> dict[str, float]:
        ended = dae(*words, "--dry-run", "--format", "json").succeeded()
        names = ("core_minutes", "minutes", "memory_mb", "disk_mb")
        return {name: ended.json[name] for name in names}

    assert set(cost("replicate", "tiny").values()) == {0.0}
    sweep = cost("train", "tiny/rect-0", *RATES, "--seeds", "2", "--jobs", "2")
    assert sweep["minutes"] == pytest.approx(sweep["core_minutes"] / 2, rel=0.01)
    # Data of the published recipe, not generated yet. The bounds allow for any processor's speed.
    monkeypatch.delenv("DAE_DATA_DIR")
    monkeypatch.setenv("DAE_CACHE_DIR", "cache")
    published = cost("replicate", "icml2008", "--jobs", "4")
    assert 3 < published["core_minutes"] < 300
    assert published["minutes"] < published["core_minutes"] / 2
    assert 1000 < published["memory_mb"] < 16_000 and 50 < published["disk_mb"] < 1000
    ended = dae("replicate", "icml2008", "--dry-run").succeeded()
    assert "0 of 0 to run, 7 more after" in ended.out
    assert " core minutes" in ended.lines[-1] and " MB on disk" in ended.lines[-1]
    assert snapshot(Path()) == before
