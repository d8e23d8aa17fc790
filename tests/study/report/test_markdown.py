"""REPORT.md: every number with its interval, its origin and what it is compared with."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from dae_cli.config.experiments import ResolvedStudy
from dae_cli.config.schema import Experiment
from dae_cli.machine import cores, cpu_name
from dae_cli.study.report.markdown import certainty_told, markdown_table, write_report
from dae_cli.study.rows import RunRow, TableRow
from dae_cli.study.tables.cells import gap, ours, paper
from dae_cli.study.tables.cells import verdict as verdict_text
from dae_cli.study.tables.comparisons import read_comparisons
from dae_cli.study.tables.makes import made_by
from dae_cli.study.tables.table import table_of

MakeRow = Callable[..., RunRow]
NO_PAPER = {"paper_error_percent": None, "paper_half_width_95": None, "paper_model": ""}


@pytest.fixture
def cell(make_row: MakeRow) -> Callable[..., TableRow]:
    """Make a row of the table from one run."""
    return lambda **changes: table_of([make_row(**changes)])[0]


@pytest.fixture(scope="module")
def report(in_process: Any) -> str:
    """The report of the study that was run."""
    text: str = in_process.outcome.report.read_text(encoding="utf-8")
    return text


def _lines(table: list[TableRow]) -> list[str]:
    return markdown_table(table).splitlines()[2:]


# Numbers


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [(9_000, "-0.41"), (9_500, "+0.59"), (9_205, "+0.00"), (9_204, "+0.00"), (9_206, "+0.00")],
)
def test_the_gap_is_ours_minus_the_papers_as_printed(
    cell: Callable[..., TableRow], wrong: int, expected: str
) -> None:
    row = cell(n_wrong=wrong)
    assert gap(row) == expected
    printed = float(ours(row).split()[0]) - float(paper(row).split()[0])
    assert float(expected) == pytest.approx(printed)


def test_a_row_reads_ours_interval_paper_gap_verdict(cell: Callable[..., TableRow]) -> None:
    (line,) = _lines([cell()])
    assert line == (
        "| convex | 0 % | SAA-3 | 18.00 ± 0.34 | 18.41 ± 0.34 (SAA-3) | -0.41 | matches |"
    )


def test_without_a_number_of_the_paper_there_is_neither_gap_nor_verdict(
    cell: Callable[..., TableRow],
) -> None:
    (line,) = _lines([cell(destruction_percent=12.5, **NO_PAPER)])
    assert line == "| convex | 12.5 % | SAA-3 | 18.00 ± 0.34 | – | – | no reference |"


@pytest.mark.parametrize(
    ("dataset", "error", "mark", "told"),
    [
        ("convex", 18.41, "", ""),
        ("bg-rand", 11.28, "†", "† read in a second-hand account."),
        ("convex", 19.06, "‡", "‡ recalled, not read again."),
    ],
)
def test_a_number_of_the_paper_that_is_second_hand_is_marked(
    cell: Callable[..., TableRow], dataset: str, error: float, mark: str, told: str
) -> None:
    model = "SdA-3" if error == 19.06 else "SAA-3"
    row = cell(dataset=dataset, paper_error_percent=error, paper_model=model)
    (line,) = _lines([row])
    assert f"{error:.2f} ± 0.34{mark} ({model})" in line
    assert certainty_told([row]).endswith(told)
    assert bool(certainty_told([row])) == bool(mark)


def test_several_seeds_show_their_spread(make_row: MakeRow) -> None:
    (row,) = table_of([make_row(seed=0, n_wrong=9_000), make_row(seed=1, n_wrong=9_100)])
    assert ours(row) == "18.10 ± 0.34 (sd 0.14)"


def test_a_failed_cell_has_a_row(make_failed_row: MakeRow) -> None:
    (row,) = table_of([make_failed_row()])
    assert (ours(row), gap(row), verdict_text(row)) == ("–", "–", "failed")


@pytest.mark.parametrize(
    ("wrong", "verdict"), [(8_000, "better"), (9_000, "matches"), (10_000, "worse")]
)
def test_a_verdict_on_regenerated_data_is_marked(
    cell: Callable[..., TableRow], wrong: int, verdict: str
) -> None:
    assert verdict_text(cell(n_wrong=wrong)) == verdict
    regenerated = cell(n_wrong=wrong, data_origin="regenerated")
    assert verdict_text(regenerated) == f"{verdict} (regenerated data)"


def test_cells_of_one_place_are_told_apart_by_name(cell: Callable[..., TableRow]) -> None:
    lines = _lines([cell(cell="narrow"), cell(cell="wide")])
    assert [line.split(" | ")[0] for line in lines] == ["| narrow", "| wide"]


# The whole report


def test_the_report_has_every_row_of_the_table(report: str, in_process: Any) -> None:
    assert markdown_table(in_process.outcome.table) in report
    for row in in_process.outcome.table:
        assert any(ours(row) in line and row.dataset in line for line in report.splitlines())


def test_the_report_has_every_run_with_its_counts(report: str, in_process: Any) -> None:
    for row in in_process.outcome.rows:
        (line,) = [line for line in report.splitlines() if line.startswith(f"| {row.run} ")]
        if row.error:
            assert "failed" in line
            assert f"- {row.cell}, seed {row.seed}: {row.error}" in report
        else:
            assert f"{row.n_wrong} of 200" in line
            assert f"{row.best_epoch} of 8" in line
            assert f"{row.valid_error_percent:.2f}" in line


def test_the_report_has_the_settings_of_each_cell_as_yaml(report: str, in_process: Any) -> None:
    block = report.partition("```yaml\n")[2].partition("\n```")[0]
    documents = [part for part in block.split("# tiny/") if part.strip()]
    assert len(documents) == 3
    for document, cell in zip(documents, in_process.study.all_cells, strict=True):
        name, _, text = document.partition("\n")
        assert name == cell.cell
        assert Experiment.model_validate(yaml.safe_load(text)) == cell.experiment


def test_the_report_names_data_command_study_and_paper(
    report: str, in_process: Any, data: Any
) -> None:
    assert f"| convex | original | `{data.sha256}` |" in report
    assert "Made by `dae replicate tiny`" in report
    assert report.startswith("# A tiny study\n\nNobody, Table 0\n")


def test_the_report_shows_pictures_that_are_there(report: str, in_process: Any) -> None:
    shown = [line.partition("](")[2].rstrip(")") for line in report.splitlines() if "](" in line]
    assert {"error_vs_destruction.png", "learning_curves.png", "filters/convex.png"} <= set(shown)
    assert all((in_process.out / name).is_file() for name in shown)


@pytest.fixture
def made(
    make_study: Callable[..., ResolvedStudy],
    make_experiment: Callable[..., Experiment],
    tmp_path: Path,
) -> Callable[[list[RunRow]], str]:
    """Write a report of rows whose run folders are elsewhere and return its text."""
    study = make_study({"convex-0": make_experiment()})

    def make(rows: list[RunRow]) -> str:
        path = write_report(study, tmp_path, rows, table_of(rows), "dae replicate tiny")
        return path.read_text(encoding="utf-8")

    return make


@pytest.mark.parametrize(
    ("command", "shown"),
    [
        ("dae replicate smoke", "`dae replicate smoke`"),
        ("dae replicate smoke --out 'a`b'", "`` dae replicate smoke --out 'a`b' ``"),
        ("dae replicate smoke --out '``'", "``` dae replicate smoke --out '``' ```"),
    ],
)
def test_the_command_is_one_piece_of_code_whatever_it_holds(
    make_row: MakeRow, command: str, shown: str
) -> None:
    assert made_by(command, [make_row()]).startswith(f"Made by {shown} at commit ")


def test_runs_of_several_commits_are_not_said_to_be_of_one_command(
    made: Callable[[list[RunRow]], str], make_row: MakeRow
) -> None:
    text = made([make_row(commit="abc"), make_row(seed=1, commit="def")])
    assert "Put together by `dae replicate tiny` from runs at commit abc, def; 2 runs" in text
    assert "Made by" not in text


def test_uncommitted_changes_are_warned_of(
    made: Callable[[list[RunRow]], str], make_row: MakeRow
) -> None:
    text = made([make_row(commit="abc-dirty")])
    assert "at commit abc-dirty (**with changes that were not committed**)" in text


def test_a_clean_commit_is_named_and_an_installed_package_has_none(
    made: Callable[[list[RunRow]], str], make_row: MakeRow
) -> None:
    text = made([make_row(commit="abc"), make_row(seed=1, commit="def")])
    assert "at commit abc, def;" in text
    assert "not committed" not in text
    assert "from an installed package;" in made([make_row(commit="")])


def test_every_commit_of_a_run_that_went_on_with_another_is_named(
    made: Callable[[list[RunRow]], str], make_row: MakeRow
) -> None:
    text = made([make_row(commit="abc-dirty+def"), make_row(seed=1, commit="def")])
    assert "at commit abc-dirty, def (**with changes that were not committed**)" in text
    assert "**These rows are not of one make**: commits abc-dirty, def." in text


def test_many_commits_are_counted_and_not_named(
    made: Callable[[list[RunRow]], str], make_row: MakeRow
) -> None:
    rows = [make_row(seed=k, commit=f"abc{k}") for k in range(5)]
    assert "from runs at commit abc0, abc1, abc2, abc3; 4 runs" in made(rows[:4])
    text = made([*rows, make_row(seed=5, commit="abc4")])
    assert "from runs at 5 commits, which their rows in runs.csv name; 6 runs" in text
    assert "**These rows are not of one make**: 5 commits." in text


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"commit": "def"}, "commits abc, def"),
        ({"commit": ""}, "commits abc, installed"),
        ({"engine": "blas"}, "engines torch, blas"),
        ({"device": "NVIDIA H100"}, "devices cpu, NVIDIA H100"),
        ({"device": "cpu / mps"}, "devices cpu, mps"),
        ({"versions": "dae 1"}, "versions (dae 0), (dae 1)"),
        ({"data_sha256": "e" * 64}, f"contents of convex {'d' * 64}, {'e' * 64}"),
        ({"commit": "def", "engine": "blas"}, "commits abc, def; engines torch, blas"),
    ],
)
def test_rows_of_several_makes_are_never_mixed_silently(
    made: Callable[[list[RunRow]], str],
    make_row: MakeRow,
    changes: dict[str, str],
    told: str,
) -> None:
    text = made([make_row(), make_row(seed=1, **changes), make_row(seed=2)])
    assert f"\n**These rows are not of one make**: {told}.\n" in text
    for sha256 in {"d" * 64, changes.get("data_sha256", "d" * 64)}:
        assert f"| convex | original | `{sha256}` |" in text


def test_of_rows_of_one_make_nothing_is_said(
    made: Callable[[list[RunRow]], str], make_row: MakeRow
) -> None:
    rect = {"cell": "rect-0", "dataset": "rect", "data_sha256": "e" * 64, "config_sha256": "f"}
    assert "not of one make" not in made([make_row(), make_row(seed=1), make_row(**rect)])


def test_the_machine_and_every_engine_are_named(
    made: Callable[[list[RunRow]], str], make_row: MakeRow
) -> None:
    one, two = make_row(engine="compiled"), make_row(seed=1, engine="torch")
    last = made([one]).rstrip().splitlines()[-1]
    assert last == f"Written on {cpu_name()}, {cores()} cores; one thread a run, engine compiled."
    assert "one thread a run, engines compiled, torch." in made([one, two])


def test_regenerated_data_are_explained_and_marked_in_each_row(
    made: Callable[[list[RunRow]], str], make_row: MakeRow
) -> None:
    rect = {"cell": "rect-0", "dataset": "rect", "data_origin": "regenerated"}
    text = made([make_row(), make_row(**rect)])
    (line,) = [line for line in text.splitlines() if line.startswith("| rect | 0 %")]
    assert line.endswith("| matches (regenerated data) |")
    assert f"| rect | regenerated | `{'d' * 64}` |" in text
    assert "data made anew from the published recipe" in text


def test_of_original_data_nothing_is_said_to_be_regenerated(report: str) -> None:
    assert "regenerated" not in report


def test_a_study_of_which_everything_failed_has_a_report(
    made: Callable[[list[RunRow]], str], make_failed_row: MakeRow, tmp_path: Path
) -> None:
    text = made([make_failed_row()])
    assert "| failed |" in text
    assert "- convex-0, seed 0: diverged" in text
    assert "![" not in text
    assert [path.name for path in tmp_path.iterdir()] == ["REPORT.md"]


def test_cells_of_one_place_do_not_break_the_report(
    made: Callable[[list[RunRow]], str], make_row: MakeRow
) -> None:
    # The picture of error against destruction has one point for each place.
    text = made([make_row(cell="narrow"), make_row(cell="wide")])
    assert "error_vs_destruction.png" not in text


def test_pictures_stay_when_the_run_folders_are_elsewhere(in_process: Any, tmp_path: Path) -> None:
    # The reference results are committed without their run folders.
    out = tmp_path / "tiny"
    shutil.copytree(in_process.out, out, ignore=shutil.ignore_patterns("runs"))
    before = {path: path.read_bytes() for path in (out / "filters").iterdir()}
    rows, table = in_process.outcome.rows, in_process.outcome.table
    tests = read_comparisons(out)
    path = write_report(in_process.study, out, rows, table, "dae replicate tiny", tests)
    assert path.read_bytes() == in_process.outcome.report.read_bytes()
    assert {path: path.read_bytes() for path in (out / "filters").iterdir()} == before
