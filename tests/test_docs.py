"""The documents say what the commands say, the packaged reference rows hold, and the files show."""

from __future__ import annotations

import ast
import csv
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

from tests.entry_points.docs import STUDY_KEYS, load_script
from tests.entry_points.statistics import Runs
from tests.support.commands import Ended
from tests.support.tiny import read_csv

ROOT = Path(__file__).resolve().parents[1]
PAGES = (*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"))
RENEWED = {
    "README.md": "readme",
    "docs/datasets.md": "datasets",
    "docs/experiments.md": "experiments",
    "docs/reliability.md": "reliability",
    "docs/results.md": "results",
}
MOST_INNER_NAMES, MOST_PATCHES = 120, 15


@pytest.fixture(scope="module")
def generate() -> ModuleType:
    return load_script("generate")


def text_of(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("page", RENEWED)
def test_a_page_shows_what_its_sources_hold(page: str, generate: ModuleType) -> None:
    text = text_of(page)
    assert getattr(generate, RENEWED[page])(text) == text, "run `make readme`"


@pytest.mark.parametrize("study", ["icml2008", "table1-tuned"])
def test_the_reference_rows_are_of_the_committed_results_and_of_the_settings_of_today(
    study: str,
) -> None:
    packaged = read_csv(ROOT / "experiments" / study / "reference.csv")
    committed_rows = csv.DictReader(committed(f"results/{study}/runs.csv").splitlines())
    for row in committed_rows:
        assert {name: row[name] for name in packaged[0]} in packaged, row["cell"]
    runs = Runs(study)
    for row in packaged:
        _, digest = runs.identity(row["cell"], int(row["seed"]), "", int(row["numerics"]))
        assert row["config_sha256"] == digest, row["cell"]
    keys = [(row["cell"], row["seed"], row["data_sha256"]) for row in packaged]
    assert len(set(keys)) == len(keys)


def test_the_page_on_table1_says_of_the_claims_what_the_committed_report_of_table1_says() -> None:
    block = text_of("docs/table1.md").partition("<!-- claims:")[2].partition("<!-- end -->")[0]
    if "`table1` has not been run" in block:
        assert "Which of the paper's claims" not in committed("results/table1-tuned/REPORT.md")
        return
    report = committed("results/table1/REPORT.md")
    claims = re.findall(r"^- (.*): \*\*(.*)\*\*$", block, flags=re.MULTILINE)
    assert len(claims) == 7
    for claim, outcome in claims:
        assert re.search(rf"{re.escape(claim)}.*{re.escape(outcome)}", report), claim


def committed(path: str) -> str:
    """A file as git has it: what a user's own run wrote over it does not count."""
    shown = subprocess.run(
        ["git", "-c", "safe.directory=*", "show", f"HEAD:{path}"],
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    if shown.returncode:
        pytest.skip("no git repository to take the committed results from")
    return shown.stdout.decode("utf-8")


def test_the_page_of_commands_shows_every_help(generate: ModuleType) -> None:
    assert generate.command_help() == text_of("docs/commands.md"), "run `make readme`"


def test_every_command_that_the_documents_quote_exists() -> None:
    known = set(re.findall(r"^## `dae ([a-z ]+)`$", text_of("docs/commands.md"), re.MULTILINE))
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for block in re.findall(r"```(?:console|sh|bash)\n(.*?)```", text, flags=re.DOTALL):
            for name, sub in re.findall(r"^\$ dae ([a-z]+)(?: ([a-z]+))?", block, re.MULTILINE):
                assert name in known and (name != "data" or f"data {sub}" in known), page.name


def test_the_files_that_the_page_on_experiments_shows_are_sound(
    dae: Callable[..., Ended], tmp_path: Path
) -> None:
    text = text_of("docs/experiments.md")
    shown = re.findall(r"```yaml\n# ([a-z0-9./-]+)(.*?)```", text, flags=re.DOTALL)
    for name, content in shown:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(f"#{content}", encoding="utf-8")
    assert "hidden: [500, 500]" in dae("show", "./my.yaml").succeeded().out
    study = dae("show", "width").succeeded().out
    assert "epochs: 50" in study and "hidden: [500" in study
    header = "| key | |\n"
    table = text.partition(header)[2].partition("\n\n")[0]
    documented = re.findall(r"`([a-z_]+)`", "\n".join(x.split("|")[1] for x in table.splitlines()))
    assert set(documented) == set(STUDY_KEYS)
    for line in text.partition("| key | value | default | |\n")[2].splitlines():
        values = re.findall("`([^`]+)`", line.split("|")[2]) if line.startswith("| `") else []
        assert len(values) == len(set(values)), line


def test_every_column_of_the_results_is_documented(finished: tuple[Path, Ended]) -> None:
    page = text_of("docs/results.md")
    for path in sorted(finished[0].rglob("*.csv")):
        for column in path.read_text(encoding="utf-8").partition("\n")[0].split(","):
            assert f"`{column}`" in page, f"{path.name}: {column}"


def test_every_environment_variable_is_documented() -> None:
    pages = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    for path in (ROOT / "dae_cli").rglob("*.py"):
        for name in re.findall(r"\bDAE_[A-Z]+(?:_[A-Z]+)*\b", path.read_text(encoding="utf-8")):
            assert name in pages, f"{path.name}: {name}"


def test_the_page_of_mathematics_names_what_its_links_lead_to() -> None:
    links = re.findall(
        r"\[`([A-Za-z_.]+)`\]\(\.\./([a-z_/]+\.py)\)", text_of("docs/mathematics.md")
    )
    assert len(links) > 10
    for name, path in links:
        for part in name.removesuffix(".py").split("."):
            assert re.search(rf"\b{part}\b", text_of(path)) or part in path, f"{name} in {path}"


def test_every_file_that_the_documents_link_to_is_there() -> None:
    for page in (*PAGES, *ROOT.glob("results/*/*.md")):
        for link in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
            is_run = "/results/" in page.as_posix() and link.startswith("runs/")
            if "://" not in link and not is_run:
                assert (page.parent / link).exists(), f"{page.name}: {link}"


def test_the_last_long_runs_lost_nothing() -> None:
    torture = read_csv(ROOT / "docs" / "reliability" / "torture.csv")
    figures = {row["what"]: row["figure"] for row in torture}
    assert int(figures["kills in total"]) >= 100
    for ending in (" left", "lost", "half-written", "exit codes", "undisturbed study"):
        assert {f for what, f in figures.items() if what.endswith(ending)} == {"0"}, ending
    fuzz = read_csv(ROOT / "docs" / "reliability" / "fuzz.csv")
    assert fuzz and {row["failures"] for row in fuzz} == {"0"}


def test_the_sheets_and_figures_of_the_sets_are_of_the_present_recipes() -> None:
    rows = read_csv(ROOT / "docs" / "datasets" / "statistics.csv")
    page = text_of("docs/datasets.md")
    digests = dict(re.findall(r"^\| ([a-z-]+) \|.*`([0-9a-f]{12})…` \(recipe", page, re.MULTILINE))
    assert len(digests) == 8
    assert {row["dataset"] for row in rows} == set(digests)
    for row in rows:
        assert row["regenerated_sha256"].startswith(digests[row["dataset"]]), row["dataset"]
        assert row["holds"] != "False", row["measure"]
    for name, digest in digests.items():
        with Image.open(ROOT / "docs" / "datasets" / f"{name}.png") as sheet:
            assert sheet.text["SHA256"].startswith(digest)  # type: ignore[attr-defined]
    with Image.open(ROOT / "dae_cli" / "study" / "report" / "templates" / "datasets.png") as sheet:
        title = sheet.text["Title"]  # type: ignore[attr-defined]
    assert title == f"a genuine image of each of {', '.join(digests)}"


def test_genuine_rows_are_compared_as_the_page_has_it(
    test_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = load_script("compare_datasets")
    monkeypatch.setenv("DAE_DATA_DIR", str(test_data / "mnist"))
    words = ("--only", "basic", "--only", "rect-img", "--out", "written")
    assert script.main([str(test_data / "genuine_rows"), *words]) == 0
    rows = read_csv(ROOT / "docs" / "datasets" / "statistics.csv")
    shown = [r for r in rows if r["dataset"] in words and r["trained"] == "False"]
    assert read_csv(Path("written/statistics.csv")) == shown
    with Image.open("written/basic.png") as sheet:
        assert sheet.text["SHA256"] == shown[0]["regenerated_sha256"]  # type: ignore[attr-defined]


def test_figures_of_genuine_rows_that_are_off_are_exit_1() -> None:
    image = np.zeros((28, 28))
    image[3:12, 4:9] = 1
    image[4:11, 5:8] = 0
    Path("sample").mkdir()
    np.savez(
        "sample/rect.npz",
        X=np.tile(image.reshape(1, 784), (8, 1)),
        y=np.ones(8, dtype=np.int64),
        split=np.array(["train"] * 4 + ["test"] * 4),
        end=np.array(["first", "first", "last", "last"] * 2),
    )
    script = load_script("compare_datasets")
    assert script.main(["sample", "--out", "written"]) == 1
    rows = {row["measure"]: row for row in read_csv(Path("written/statistics.csv"))}
    assert (rows["height, mean"]["genuine"], rows["height, mean"]["holds"]) == ("9.0", "False")


def test_tests_reach_inside_through_the_entry_points_alone() -> None:
    names: set[tuple[str, str]] = set()
    patches = 0
    entry_points = ROOT / "tests" / "entry_points"
    for path in sorted((ROOT / "tests").rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        patches += text.count("setattr" + "(")  # of whatever, within dae_cli or outside
        for node in ast.walk(ast.parse(text)):
            inside = isinstance(node, ast.ImportFrom) and (node.module or "").startswith("dae_cli")
            if inside and isinstance(node, ast.ImportFrom):
                assert path.parent == entry_points, f"{path.name}: import it in tests/entry_points"
                names |= {(node.module or "", alias.name) for alias in node.names}
    assert len(names) <= MOST_INNER_NAMES
    assert patches <= MOST_PATCHES
    page = text_of("CONTRIBUTING.md")
    for path in entry_points.glob("[a-z]*.py"):
        assert f"`{path.stem}`" in page, "CONTRIBUTING.md names the entry points of the tests"


def test_the_page_on_architecture_names_every_package_and_every_file_of_a_study() -> None:
    page = text_of("docs/architecture.md")
    package = ROOT / "dae_cli"
    for folder in package.glob("[a-z]*/"):
        assert f"`{folder.name}/`" in page or folder.name == "__pycache__", folder
    for path in (*package.glob("study/[a-z]*.py"), *package.glob("[a-z]*.py")):
        assert f"`{path.name}`" in page or f"`{path.stem}`" in page, path
