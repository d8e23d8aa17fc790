"""The documents quote the results and the commands' help as they are now."""

from __future__ import annotations

import csv
import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest
from PIL import Image

from dae_cli.config.experiments import resolve_experiment, resolve_study
from dae_cli.config.study_files import STUDY_KEYS
from dae_cli.data.generators.recipes import RECIPES

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def generate() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_readme_shows_the_table_of_the_results_folder(generate: ModuleType) -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert generate.readme(text) == text, "run `make readme`"


def test_the_page_of_the_sets_shows_the_committed_figures(generate: ModuleType) -> None:
    text = (ROOT / "docs" / "datasets.md").read_text(encoding="utf-8")
    assert generate.datasets(text) == text, "run `make readme`"


def test_the_page_on_experiments_tells_every_setting(generate: ModuleType) -> None:
    text = (ROOT / "docs" / "experiments.md").read_text(encoding="utf-8")
    assert generate.experiments(text) == text, "run `make readme`"


def test_the_files_that_the_page_on_experiments_shows_are_sound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (ROOT / "docs" / "experiments.md").read_text(encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    shown = re.findall(r"```yaml\n# ([a-z0-9./-]+)(.*?)```", text, flags=re.DOTALL)
    for name, content in shown:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text(f"#{content}", encoding="utf-8")
    assert resolve_experiment("./my.yaml").network.model.hidden == (500, 500)
    study = resolve_study("width")
    assert [cell.name for cell in study.cells] == ["width/rect-500"]
    assert study.cells[0].network.pretrain.epochs == 50
    assert set(STUDY_KEYS) == set(re.findall(r"`([a-z_]+)`", _first_column(text, "| key | |")))


def _first_column(text: str, header: str) -> str:
    table = text.partition(f"{header}\n")[2].partition("\n\n")[0]
    return "\n".join(line.split("|")[1] for line in table.splitlines())


def test_the_page_on_reliability_shows_the_figures_of_the_last_long_runs(
    generate: ModuleType,
) -> None:
    text = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
    assert generate.reliability(text) == text, "run `make readme`"


def test_the_last_long_runs_lost_nothing() -> None:
    with (ROOT / "docs" / "reliability" / "torture.csv").open(newline="", encoding="utf-8") as file:
        figures = {row["what"]: row["figure"] for row in csv.DictReader(file)}
    assert int(figures["killed, all"]) >= 100
    for what, figure in figures.items():
        if what.endswith((" left", "lost", "half-written", "exit codes", "nobody killed")):
            assert figure == "0", what
    with (ROOT / "docs" / "reliability" / "fuzz.csv").open(newline="", encoding="utf-8") as file:
        assert {row["failures"] for row in csv.DictReader(file)} == {"0"}


@pytest.mark.parametrize("name", list(RECIPES))
def test_the_sheets_of_the_sets_show_what_the_recipes_make_now(name: str) -> None:
    with Image.open(ROOT / "docs" / "datasets" / f"{name}.png") as sheet:
        shown = sheet.text["SHA256"]  # type: ignore[attr-defined]
    assert shown == RECIPES[name].sha256, "run `dae data verify --against … --out docs/datasets`"


def test_the_committed_figures_are_of_the_present_recipes_and_none_is_off() -> None:
    with (ROOT / "docs" / "datasets" / "statistics.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert {row["dataset"] for row in rows} == set(RECIPES)
    for row in rows:
        assert row["regenerated_sha256"] == RECIPES[row["dataset"]].sha256, row["dataset"]
        assert row["holds"] != "False", row["measure"]
    trained = [row["dataset"] for row in rows if row["trained"] == "True"]
    assert trained == ["rect-img"] * 2 + ["convex"] * 2


def test_command_pages_show_the_help_as_it_is(generate: ModuleType) -> None:
    text = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
    assert generate.command_help() == text, "run `make readme`"


def test_every_file_that_the_documents_link_to_is_there() -> None:
    for page in [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("results/*/*.md")]:
        for link in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
            if "://" not in link:
                assert (page.parent / link).exists(), f"{page.name}: {link}"


def test_every_column_of_the_results_is_documented() -> None:
    from dataclasses import fields

    from dae_cli.study.rows import RunRow, TableRow

    page = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
    for name in {f.name for kind in (RunRow, TableRow) for f in fields(kind)}:
        assert f"`{name}`" in page, name
