"""`dae compare`: runs paired by seed, decided by Student's t or McNemar's test."""

from __future__ import annotations

import html
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from scipy.stats import binomtest, ttest_rel

from tests.support.commands import Ended
from tests.support.synthetic_results import N_TEST, SETTINGS, SyntheticStudy
from tests.support.tiny import run_of

Dae = Callable[..., Ended]
CELLS = {cell: {"dataset": "convex"} | SETTINGS[model] for cell, model in
         (("saa", "SAA-3"), ("sda", "SdA-3"), ("svm", "SVM_rbf"))}  # fmt: skip
SAA, SDA = (9000, 9100, 8900), (8800, 8870, 8730)
"""Numbers of wrong test rows by seed."""


def study(
    folder: Path, sda: tuple[int, ...] = SDA, saa: tuple[int, ...] = SAA, first: int = 300
) -> SyntheticStudy:
    """Written results of three cells, whose wrong rows start at different places."""
    made = SyntheticStudy(folder, CELLS, reference="model")
    for cell, model, errors, begin in (("saa", "SAA-3", saa, 0), ("sda", "SdA-3", sda, first)):
        for seed, wrong in enumerate(errors):
            made.add(cell, model, wrong, seed=seed, first=begin)
    made.add("svm", "SVM_rbf", 9500, first=0)
    made.write()
    return made


def test_seeds_that_only_one_cell_has_are_named_and_a_single_seed_is_noted(
    dae: Dae, tmp_path: Path
) -> None:
    study(tmp_path, sda=SDA[:1])
    ended = dae("compare", "made/saa", "made/sda").succeeded()
    assert ended.out.startswith("convex: with one seed, sda is better than saa")
    assert "sda has no run of seed 1, 2; comparisons with saa" in ended.err


def test_several_seeds_are_decided_by_students_t_over_their_differences(
    dae: Dae, tmp_path: Path
) -> None:
    study(tmp_path)
    (one,) = dae("compare", "made/saa", "made/sda", "--format", "json").succeeded().json
    ours, theirs = ([100 * wrong / N_TEST for wrong in errors] for errors in (SDA, SAA))
    test = ttest_rel(ours, theirs).confidence_interval(0.95)
    assert one["difference"] == pytest.approx((test.low + test.high) / 2, abs=1e-4)
    assert one["half_width_95"] == pytest.approx((test.high - test.low) / 2, abs=1e-4)
    assert (one["baseline"], one["name"], one["outcome"]) == ("saa", "sda", "better")
    assert [seed["seed"] for seed in one["seeds"]] == [0, 1, 2]

    said = dae("compare", "made/saa", "made/sda").succeeded().lines
    assert said[0].startswith(
        "convex: with 3 seeds, sda is better than saa: the error of sda is 0.40 ± "
    )
    assert "95 %" in said[-1] and "Student's t" in said[-1]
    assert "saa is worse than sda" in dae("compare", "made", "--baseline", "sda").out

    study(tmp_path, sda=(8800, 9300, 8730))
    assert "3 seeds cannot decide whether sda" in dae("compare", "made/saa", "made/sda").out


def test_one_seed_is_decided_by_mcnemars_test(dae: Dae, tmp_path: Path) -> None:
    for wrong, says in ((8998, "one seed cannot decide"), (8950, "sda is better than saa")):
        made = SyntheticStudy(tmp_path, CELLS, reference="model")
        made.add("saa", "SAA-3", 9000, first=0)
        made.add("sda", "SdA-3", wrong, first=10)
        made.write()
        ended = dae("compare", "made/saa", "made/sda").succeeded()
        assert says in ended.lines[0]
        assert "McNemar" in ended.lines[0] and "after Holm's correction" in ended.lines[0]
        (one,) = dae("compare", "made/saa", "made/sda", "--format", "json").json
        (seed,) = one["seeds"]
        alone = seed["only_baseline_wrong"], seed["only_this_wrong"]
        assert alone == (10 + max(0, 9000 - wrong - 10), max(0, wrong + 10 - 9000))
        if sum(alone) < 25:
            assert seed["p_value"] == pytest.approx(binomtest(min(alone), sum(alone)).pvalue)
        assert one["half_width_95"] is None


def test_programs_get_the_cell_and_the_source_and_a_condition_fails(
    dae: Dae, tmp_path: Path
) -> None:
    study(tmp_path)
    words = ("compare", "made/sda", "made/saa")
    (one,) = dae(*words, "--format", "json").succeeded().json
    keys = ("baseline_cell", "baseline_source", "cell", "source")
    assert [one[key] for key in keys] == ["sda", "made/sda", "saa", "made/saa"]
    ended = dae(*words, "--fail-if", "outcome=worse").failed(1, "saa has worse")
    assert ended.err.count("--fail-if") == 1 and "saa is worse than sda" in ended.out
    dae(*words, "--fail-if", "difference>0.3").failed(1, "saa has 0.4")
    dae(*words, "--fail-if", "outcome=better", "--fail-if", "difference>1").succeeded()
    dae(*words, "--fail-if", "outcome=wrose").failed(2, "did you mean worse?")
    dae(*words, "--fail-if", "verdict=worse").failed(2, "no column verdict")
    dae("compare", "made/svm", "made/sda", "--fail-if", "outcome=worse").succeeded()


def test_a_baseline_on_other_data_is_an_error(dae: Dae, tmp_path: Path) -> None:
    """Not a comparison with some other cell."""
    made = study(tmp_path)
    made.out.rename("ours")
    made = study(tmp_path)
    for row in made.rows:
        row["data_sha256"], row["data_origin"], row["trust"] = "ab" * 32, "regenerated", ""
    made.write()
    parts = ("the baseline results/made/saa", "original data", "regenerated data", "--origin")
    dae("compare", "results/made/saa", "ours").failed(2, *parts)
    dae("compare", "ours/sda", "--baseline", "results/made/saa").failed(2, *parts[1:3])
    dae("compare", "ours", "results/made").failed(2, *parts[1:3])
    ended = dae("compare", "ours", "results/made/saa").succeeded()
    assert "saa of results/made/saa was tested on other data" in ended.err


def test_without_wrong_rows_one_seed_decides_nothing(dae: Dae, tmp_path: Path) -> None:
    made = SyntheticStudy(tmp_path, CELLS, reference="model")
    made.add("saa", "SAA-3", 9000)
    made.add("sda", "SdA-3", 1000)
    made.write()
    said = dae("compare", "made").succeeded().lines
    assert "cannot decide" in said[0] and "cannot be made" in said[0]
    assert said[2].split()[-4:] == ["-"] * 4


def test_an_svm_is_compared_with_every_seed_and_p_values_are_adjusted(
    dae: Dae, tmp_path: Path
) -> None:
    study(tmp_path)
    rows = dae("compare", "made", "--format", "csv").succeeded().rows
    assert [(row["name"], row["seed"]) for row in rows] == [
        (name, str(seed)) for name in ("sda", "svm") for seed in range(3)
    ]
    p_values = sorted(float(row["p_value"]) for row in rows)
    adjusted = sorted(float(row["p_holm"]) for row in rows)
    assert adjusted[0] == pytest.approx(6 * p_values[0])
    assert {row["error_percent"] for row in rows if row["name"] == "svm"} == {"19.0"}


def test_the_cells_of_two_folders_are_compared_by_their_names(dae: Dae, tmp_path: Path) -> None:
    study(tmp_path).out.rename(tmp_path / "before")
    study(tmp_path, sda=(8000, 8010, 7990))
    found = dae("compare", "before", "made", "--format", "json").succeeded().json
    assert [(one["baseline"], one["name"], one["outcome"]) for one in found] == [
        ("saa of before", "saa of made", "not decided"),
        ("sda of before", "sda of made", "better"),
        ("svm of before", "svm of made", "not decided"),
    ]


def test_p_values_of_two_folders_are_adjusted_for_all_of_their_cells(
    dae: Dae, tmp_path: Path
) -> None:
    """It does not matter whether both have run every cell."""
    for place, errors, first in (("before", (9000, 9000), 0), ("after", (8970, 8950), 5)):
        results = SyntheticStudy(tmp_path, CELLS, reference="model")
        results.add("saa", "SAA-3", errors[0], first=first)
        results.add("sda", "SdA-3", errors[1], first=first)
        if place == "before":
            results.add("svm", "SVM_rbf", 9500, first=0)
        results.write().rename(tmp_path / place)
    ended = dae("compare", "before", "after", "--format", "csv").succeeded()
    assert "svm: only before has a cell of this name" in ended.err
    saa, sda = ended.rows
    assert (saa["name"], sda["name"]) == ("saa of after", "sda of after")
    low, high = sorted(float(row["p_value"]) for row in (saa, sda))
    assert float(sda["p_holm"]) == pytest.approx(2 * low)
    assert float(saa["p_holm"]) == pytest.approx(max(2 * low, high))


def test_equal_differences_at_all_seeds_are_decided_by_mcnemars_test(
    dae: Dae, tmp_path: Path
) -> None:
    for less, outcome in ((2, "not decided"), (200, "better")):
        study(tmp_path, sda=tuple(wrong - less for wrong in SAA), first=0)
        (one,) = dae("compare", "made/saa", "made/sda", "--format", "json").succeeded().json
        assert (one["half_width_95"], one["outcome"]) == (0.0, outcome)
        said = dae("compare", "made/saa", "made/sda").lines[0]
        assert "at each of 3 seeds (McNemar's test" in said and "Student" not in said
    study(tmp_path, sda=SAA, first=0)
    assert "the error of sda is the same" in dae("compare", "made/saa", "made/sda").out


def test_two_runs_with_the_same_settings_and_seed_are_kept_apart(dae: Dae, done: Path) -> None:
    """For example, runs of two engines."""
    run, copy = run_of(done, "rect-0"), done / "runs" / "copy"
    shutil.copytree(run, copy)
    (one,) = dae("compare", run, copy, "--format", "json").succeeded().json
    assert (one["difference"], one["outcome"]) == (0.0, "not decided")
    assert one["baseline"] != one["name"]


def test_runs_are_compared_from_their_folders_and_grouped_by_their_settings(
    dae: Dae, done: Path, tmp_path: Path
) -> None:
    dae("replicate", "tiny", "--seeds", "2", "--out", tmp_path / "two").succeeded()
    folders = sorted((tmp_path / "two" / "runs").glob("rect-*"))
    of_runs = dae("compare", *folders, "--format", "json").succeeded().json
    of_results = dae("compare", tmp_path / "two", "--format", "json").succeeded().json
    for one in (*of_runs, *of_results):
        assert one.pop("source") and one.pop("baseline_source")
    assert of_runs == of_results
    assert [seed["seed"] for seed in of_runs[0]["seeds"]] == [0, 1]
    assert dae("compare", run_of(done, "rect-0"), "tiny/rect-25").succeeded().err == ""


def test_cells_are_compared_with_their_current_settings(dae: Dae, done: Path) -> None:
    """A row of a cell that has changed since is not used; a run of `dae train` is."""
    before = run_of(done, "rect-25")
    path = Path("experiments/tiny/rect-25.yaml")
    path.write_text("corruption: {destruction: 0.15}\n")
    dae("compare", "tiny/rect-0", "tiny/rect-25").failed(2, "no finished run", before.name)
    dae("compare", "tiny").failed(2, "rect-0 is the only cell")
    dae("compare", "results/tiny/rect-0", "results/tiny/rect-25").succeeded()
    dae("train", "tiny/rect-25").succeeded()
    ended = dae("compare", "tiny/rect-0", "tiny/rect-25", "--format", "json").succeeded()
    assert [one["name"] for one in ended.json] == ["rect-25"]
    dae("compare", "tiny/rect-0", "tiny/rect25").failed(2, "did you mean tiny/rect-25?")


def test_a_comparison_that_is_impossible_is_reported_with_the_reason(
    dae: Dae, tmp_path: Path
) -> None:
    made = study(tmp_path)
    dae("compare", "made/saa").failed(2, "saa is the only cell", "50000 of convex")
    dae("compare", "made/saa", "made/nothing").failed(2, "no cell 'nothing'")
    shutil.copytree(made.out, "sweep")
    for path in Path("sweep").glob("*.csv"):
        text = path.read_text(encoding="utf-8")
        path.write_text(re.sub(r"\b(saa|sda|svm),", r"\1+rate=1,", text), encoding="utf-8")
    dae("compare", "made", "sweep").failed(2, "nothing to compare", "FOLDER/CELL")
    dae("compare", "nowhere").failed(2, "no experiment or study is named 'nowhere'")
    dae("compare", "tiny").failed(2)
    for row in made.rows:
        row["seed"] = {"saa": 5}.get(row["cell"], row["seed"])
    made.rows = [row for row in made.rows if row["cell"] != "saa"] + made.rows[:1]
    made.write()
    out = "results/made"  # all rows, even with other settings than the study has now
    dae("compare", f"{out}/saa", f"{out}/sda").failed(2, "seeds 5", "no seed in common")
    ended = dae("compare", out, "--baseline", "saa").succeeded()
    assert "no seed in common" in ended.err and "svm" in ended.out


def test_a_report_has_the_same_sentences_with_a_baseline_per_data_set(
    dae: Dae, tmp_path: Path
) -> None:
    """The baseline is the first cell without corruption, or else the first cell."""
    cells = CELLS | {"dbn": {"dataset": "convex"} | SETTINGS["DBN-1"],
                     "net": {"dataset": "rect"} | SETTINGS["NNet-1"],
                     "sda-rect": {"dataset": "rect"} | SETTINGS["SdA-3"]}  # fmt: skip
    made = SyntheticStudy(tmp_path, cells, reference="model")
    for cell, model, dataset, errors in (
        *(("dbn", "DBN-1", "convex", (9500,)), ("sda", "SdA-3", "convex", SDA)),
        *(("saa", "SAA-3", "convex", SAA), ("net", "NNet-1", "rect", (9000,))),
        ("sda-rect", "SdA-3", "rect", (8900,)),
    ):
        for seed, wrong in enumerate(errors):
            made.add(cell, model, wrong, dataset=dataset, seed=seed, first=0)
    made.write()
    dae("report", "made", "--quiet").succeeded()
    printed = dae("compare", "made", "--baseline", "saa").succeeded().out
    printed += dae("compare", "made", "--baseline", "net").succeeded().out
    sentences = re.findall(r"^(?:convex|rect): .*$", printed, re.MULTILINE)
    assert [line.split(": the error of")[0] for line in sentences] == [
        "convex: with one seed, dbn is worse than saa",
        "convex: with 3 seeds, sda is better than saa",
        "rect: with one seed, sda-rect is better than net",
    ]
    report = (made.out / "REPORT.md").read_text(encoding="utf-8")
    assert re.findall(r"^- ((?:convex|rect): .*)$", report, re.MULTILINE) == sentences
    assert ": saa (convex), net (rect).\n" in report
    page = html.unescape((made.out / "report.html").read_text(encoding="utf-8"))
    page = page.replace("\u00a0", " ")
    assert re.findall(r"<li>((?:convex|rect): .*)</li>", page) == sentences
    assert "convex, baseline saa: better 1, worse 1, not decided 0" in page
    for text in (report, page):
        assert text.count("stacked denoising autoencoder") == 1
        assert "network without pretraining" in text and "deep belief" in text
    one = SyntheticStudy(tmp_path, CELLS, reference="model")
    one.add("sda", "SdA-3", 9000)
    one.write()
    dae("report", "made", "--quiet").succeeded()
    assert "baseline" not in (made.out / "REPORT.md").read_text(encoding="utf-8")
