"""The committed results agree with the committed experiment files.

Both are read from git, so uncommitted results do not matter.
"""

from __future__ import annotations

import shutil
import subprocess
import tarfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import pytest

from tests.entry_points.config import with_settings
from tests.support.commands import Ended
from tests.support.tiny import read_csv, snapshot

Dae = Callable[..., Ended]
ROOT = Path(__file__).resolve().parents[1]
COMMITTED = ("experiments", "results")
WHOLE_TABLES = ("table1", "table1-tuned")


@pytest.fixture(scope="session")
def committed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the experiments and results of the last commit."""
    git = shutil.which("git")
    if git is None:
        pytest.skip("git is not installed")
    words = [git, "-c", "safe.directory=*", "-C", str(ROOT)]
    top = subprocess.run([*words, "rev-parse", "--show-toplevel"], capture_output=True, text=True)
    if top.returncode or Path(top.stdout.strip()) != ROOT:
        pytest.skip(f"{ROOT} is not a git repository, so nothing is committed")
    archive = subprocess.run([*words, "archive", "HEAD", *COMMITTED], capture_output=True)
    assert archive.returncode == 0, archive.stderr.decode()
    folder = tmp_path_factory.mktemp("committed")
    with tarfile.open(fileobj=BytesIO(archive.stdout)) as tar:
        tar.extractall(folder, filter="data")
    return folder


@pytest.fixture(autouse=True)
def _current_folder(committed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run tests in the folder of the commit, whose ./experiments precede the shipped ones."""
    monkeypatch.chdir(committed)


@pytest.mark.parametrize("study", ["icml2008", *WHOLE_TABLES])
def test_rows_tables_and_reports_agree_with_the_settings_and_each_other(
    dae: Dae, study: str
) -> None:
    if not Path("results", study, "runs.csv").exists():
        pytest.skip(f"{study} has not been run")
    before = snapshot(Path("results", study))
    assert "settings.yaml" in before  # so that it is verified, too
    ended = dae("verify", study, "--format", "json")
    assert ended.json["differences"] == [], f"dae report {study} regenerates them"
    # Run folders are not committed.
    runs = {f"runs/{row['run']}" for row in read_csv(Path("results", study, "runs.csv"))}
    assert {problem["place"] for problem in ended.json["unchecked"]} == runs
    assert (ended.json["runs"], ended.json["recomputed"], ended.code) == (len(runs), 0, 1)
    assert snapshot(Path("results", study)) == before


@pytest.mark.parametrize("study", WHOLE_TABLES)
def test_experiment_files_of_the_whole_tables_have_the_selected_settings(
    dae: Dae, study: str
) -> None:
    files = [file.read_text() for file in Path("experiments", study).glob("*.yaml")]
    if not any("# Selected on validation" in text for text in files):
        pytest.skip(f"no settings of {study} have been selected")
    dae("search", study, "--check").succeeded()


def test_a_selection_changes_only_the_comment_and_the_selected_values_of_a_cells_file() -> None:
    files = [file for file in Path("experiments").rglob("*.yaml") if file.name != "study.yaml"]
    assert len(files) > 100
    for file in files:
        lines = [
            line
            for line in file.read_text().splitlines()
            if not line.startswith("# Selected on validation by dae search ")
        ]
        text = "".join(f"{line}\n" for line in lines)
        after = with_settings(text, {}, "# selected").splitlines()
        after.remove("# selected")
        assert after == lines, file
        changed = with_settings(text, {"finetune.learning_rate": 0.01234}, "# selected")
        removed = set(lines) - set(changed.splitlines())
        assert all(line.startswith("finetune:") for line in removed) and len(removed) <= 1, file
        assert "learning_rate: 0.01234" in changed


def test_the_trials_of_table1_follow_the_announced_search(dae: Dae) -> None:
    search = Path("results", "table1", "search.csv")
    rows = read_csv(search) if search.exists() else []
    assert all((row["sampler"], row["sampler_seed"]) == ("random", "8") for row in rows)
    most = {cell: 10 if cell.endswith("sda-3") else 8 for cell in {row["cell"] for row in rows}}
    for cell, wanted in most.items():
        own = [row for row in rows if row["cell"] == cell]
        assert sum(row["state"] in ("complete", "pruned") for row in own) <= wanted


def test_without_whitening_50_units_are_local_blobs_and_masking_gives_oriented_filters() -> None:
    rows = read_csv(Path("results/natural-images/figures.csv"))
    for figure in ("few-units-unwhitened", "masking"):
        found = [(row["seed"], row["holds"]) for row in rows if row["figure"] == figure]
        assert found == [("0", "yes"), ("1", "yes"), ("2", "yes")]


@pytest.mark.parametrize("study", ["filters-mnist", "natural-images"])
def test_rows_of_filter_studies_have_the_settings_of_their_cells(dae: Dae, study: str) -> None:
    for words in ((study,), (Path("results", study),)):
        ended = dae("verify", *words, "--format", "json")
        assert ended.json["differences"] == []
        assert ended.json["runs"] > 0
