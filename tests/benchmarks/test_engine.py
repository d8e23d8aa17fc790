from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import engine, figures
from benchmarks.figures import Table


@pytest.mark.parametrize("arguments", [["--quick"], ["--only", "masks"]])
def test_parts_of_a_run_never_replace_the_page_of_a_whole_one(arguments: list[str]) -> None:
    with pytest.raises(SystemExit, match="need --out"):
        engine.main(arguments)


def test_a_measure_prints_its_figures(capsys: pytest.CaptureFixture[str]) -> None:
    engine.main(["--quick", "--measure", "masks"])
    found = json.loads(capsys.readouterr().out)
    assert {figure["contender"] for figure in found} == {"argsort and scatter", "topk and scatter"}
    assert all(len(figure["values"]) == 2 for figure in found)


def test_pages_are_written_again_from_the_figures(
    table: Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "RESULTS", tmp_path / "results.csv")
    monkeypatch.setattr(engine, "PERFORMANCE", tmp_path / "performance.md")
    marks = ("measured", "compared", "profile", "growth")
    text = "\n".join(f"<!-- {mark}: by a test -->\n\n<!-- end -->" for mark in marks)
    (tmp_path / "performance.md").write_text(text, encoding="utf-8")
    engine.write(figures.rounded(table.about, table.figures), None)
    names = ("RESULTS.md", "performance.md", "performance/growth.png")
    first = {name: (tmp_path / name).read_bytes() for name in names}
    (tmp_path / "RESULTS.md").unlink()
    engine.main(["--render"])
    assert {name: (tmp_path / name).read_bytes() for name in names} == first


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["pretraining", "finetuning", "profile", "growth", "workers", "help"]
)
def test_every_measure_runs_on_tiny_sizes(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAE_CACHE_DIR", str(tmp_path / "cache"))
    engine.main(["--quick", "--only", name, "--out", str(tmp_path)])
    table = figures.read(tmp_path / "results.csv")
    assert table.about.mode == "quick"
    assert all(figure.values or figure.note for figure in table.figures)
    assert "mean nothing" in (tmp_path / "RESULTS.md").read_text(encoding="utf-8")
