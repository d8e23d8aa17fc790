"""What is committed under results/ is of the experiment files that are committed beside it."""

from __future__ import annotations

from pathlib import Path

import pytest

from dae_cli.config.experiments import resolve_study
from dae_cli.config.search_cells import resolve_search
from dae_cli.search.chosen import differences
from dae_cli.study.results_folder import RUNS_CSV
from dae_cli.study.rows import RunRow, read_rows
from dae_cli.study.verify.differences import Findings
from dae_cli.study.verify.tables import check_rows, check_tables

RESULTS = Path(__file__).resolve().parents[2] / "results"


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Away from any ./experiments, which would come before the shipped ones."""
    monkeypatch.chdir(tmp_path)


def test_the_files_of_table1_have_the_settings_that_its_search_selected() -> None:
    study, cells = resolve_search("table1")
    found, _ = differences(study.name, cells, RESULTS / "table1")
    assert found == [], "commit search.csv when the search of a cell has ended, with its file"


@pytest.mark.parametrize("study", ["icml2008", "table1"])
def test_every_committed_run_has_the_settings_of_its_cell(study: str) -> None:
    cells = {cell.cell: cell.experiment for cell in resolve_study(study).all_cells}
    rows = read_rows(RESULTS / study / RUNS_CSV, RunRow)
    assert rows
    wanted = [cells[row.cell].model_copy(update={"seed": row.seed}) for row in rows]
    found = Findings()
    check_rows(rows, wanted, RESULTS / study, found)
    assert found.differences == []


@pytest.mark.parametrize("study", ["icml2008", "table1"])
def test_every_committed_table_follows_from_the_committed_rows(study: str) -> None:
    found = Findings()
    rows = read_rows(RESULTS / study / RUNS_CSV, RunRow)
    check_tables(resolve_study(study), RESULTS / study, rows, found)
    assert found.differences == [], f"dae replicate {study} writes them anew"
    assert found.unchecked == []
