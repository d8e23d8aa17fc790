"""`dae ls` lists studies and cells: a table for people, plain lines in a pipe, JSON."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from dae_cli.commands.ls import ls

app = typer.Typer()
app.command()(ls)


@pytest.fixture(autouse=True)
def _nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "nowhere").mkdir()
    monkeypatch.chdir(tmp_path / "nowhere")
    for variable in ("FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(variable, raising=False)


def test_a_pipe_gets_one_plain_line_per_name() -> None:
    lines = CliRunner().invoke(app, []).stdout.splitlines()
    names = [line.split()[0] for line in lines]
    assert names[:2] == ["filters-mnist", "filters-mnist/mnist-0"]
    assert names[6:9] == ["icml2008", "icml2008/convex-0", "icml2008/convex-10"]
    assert names[-1] == "table1/rot-svm-rbf"
    assert len(lines) == 6 + 8 + 10 + 3 + 57
    assert " ".join(lines[7].split()) == "icml2008/convex-0 ICML 2008, Table 1, convex: SAA-3, 0 %."


def test_a_terminal_gets_a_table_of_80_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "dumb")
    lines = CliRunner().invoke(app, []).stdout.splitlines()
    assert lines[0].split() == ["name", "reproduces"]
    assert max(map(len, lines)) <= 80
    assert len(lines) == 1 + 6 + 8 + 10 + 3 + 57  # nothing is folded
    assert "convex: SdA-3, 25 %" in "\n".join(lines)


def test_json_has_studies_with_their_cells() -> None:
    result = CliRunner().invoke(app, ["--format", "json"])
    studies = {study["name"]: study for study in json.loads(result.stdout)}
    assert set(studies) == {"filters-mnist", "icml2008", "natural-images", "smoke", "table1"}
    assert studies["icml2008"]["cells"][1] == {
        "name": "icml2008/convex-10",
        "reproduces": "ICML 2008, Table 1, convex: SdA-3, 10 %.",
    }
    assert Path(studies["smoke"]["source"], "study.yaml").is_file()


def test_listing_and_showing_import_nothing_heavy() -> None:
    code = (
        "import sys\n"
        "from dae_cli.commands.ls import ls, ListFormat\n"
        "from dae_cli.commands.show import show\n"
        "ls(ListFormat.json); show('icml2008')\n"
        "heavy = {'torch', 'pandas', 'numpy', 'sklearn', 'scipy', 'skimage', 'matplotlib'}\n"
        "sys.exit(', '.join(heavy & set(sys.modules)) or 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
