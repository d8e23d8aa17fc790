"""What is committed under results/ is of the experiment files that are committed beside it.

Both are taken from git, so that results of a user's own are never looked at.
"""

from __future__ import annotations

import shutil
import subprocess
import tarfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import pytest

from tests.support.commands import Ended
from tests.support.tiny import read_csv, snapshot

Dae = Callable[..., Ended]
ROOT = Path(__file__).resolve().parents[1]
COMMITTED = ("experiments", "results/icml2008", "results/table1", "results/filters-mnist",
             "results/natural-images")  # fmt: skip


@pytest.fixture(scope="session")
def committed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the experiments and results of the last commit."""
    git = shutil.which("git")
    if git is None:
        pytest.skip("no git here")
    words = [git, "-c", "safe.directory=*", "-C", str(ROOT)]
    top = subprocess.run([*words, "rev-parse", "--show-toplevel"], capture_output=True, text=True)
    if top.returncode or Path(top.stdout.strip()) != ROOT:
        pytest.skip(f"{ROOT} is not a git repository: nothing tells what is committed")
    archive = subprocess.run([*words, "archive", "HEAD", *COMMITTED], capture_output=True)
    assert archive.returncode == 0, archive.stderr.decode()
    folder = tmp_path_factory.mktemp("committed")
    with tarfile.open(fileobj=BytesIO(archive.stdout)) as tar:
        tar.extractall(folder, filter="data")
    return folder


@pytest.fixture(autouse=True)
def _there(committed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where ./experiments come before the shipped ones."""
    monkeypatch.chdir(committed)


@pytest.mark.parametrize("study", ["icml2008", "table1"])
def test_rows_tables_and_pages_follow_from_the_settings_and_from_one_another(
    dae: Dae, study: str
) -> None:
    before = snapshot(Path("results", study))
    assert "settings.yaml" in before  # which is verified with the rest
    ended = dae("verify", study, "--format", "json")
    assert ended.json["differences"] == [], f"dae report {study} writes them anew"
    # Run folders are not committed.
    runs = {f"runs/{row['run']}" for row in read_csv(Path("results", study, "runs.csv"))}
    assert {problem["place"] for problem in ended.json["unchecked"]} == runs
    assert (ended.json["runs"], ended.json["recomputed"], ended.code) == (len(runs), 0, 1)
    assert snapshot(Path("results", study)) == before


def test_the_files_of_table1_have_the_settings_that_its_search_selected(dae: Dae) -> None:
    dae("search", "table1", "--check").succeeded()


def test_without_whitening_50_units_are_local_blobs_and_masking_gives_oriented_filters() -> None:
    rows = read_csv(Path("results/natural-images/figures.csv"))
    for figure in ("few-units-unwhitened", "masking"):
        found = [(row["seed"], row["holds"]) for row in rows if row["figure"] == figure]
        assert found == [("0", "yes"), ("1", "yes"), ("2", "yes")]


@pytest.mark.parametrize("study", ["filters-mnist", "natural-images"])
def test_rows_of_the_studies_on_filters_have_the_settings_of_their_cells(
    dae: Dae, study: str
) -> None:
    for words in ((study,), (Path("results", study),)):
        ended = dae("verify", *words, "--format", "json")
        assert ended.json["differences"] == []
        assert ended.json["runs"] > 0
