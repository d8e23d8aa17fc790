"""Tables for papers and READMEs, and pictures as SVG and PDF: `dae report --format`, `--plots`."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from tests.support.commands import Ended
from tests.support.synthetic_results import (
    SETTINGS,
    SyntheticStudy,
    whole_table,
    write_saved_runs,
)
from tests.support.tiny import snapshot

Dae = Callable[..., Ended]
TITLE = "50 % of #1 & {two}_models ~ \\ $x^2$ <b>\nin lines"


def write_two_sets(folder: Path) -> SyntheticStudy:
    """Results of two data sets, one of them with two cells at a destruction, each of two seeds."""
    sda, saa = SETTINGS["SdA-3"], SETTINGS["SAA-3"]
    rect = {"dataset": "rect"}
    cells = {"saa_1": saa, "sda_1": sda, "sda_2": {**sda, "seed": 5}, "r": {**rect, **sda}}
    results = SyntheticStudy(folder, cells, title=TITLE, reference="model")
    for seed in (0, 1):
        results.add("saa_1", "SAA-3", 9_000 + 100 * seed, seed=seed)
        results.add("sda_1", "SdA-3", 8_100 + 100 * seed, seed=seed)
        results.add("sda_2", "SdA-3", 8_300 + 100 * seed, seed=seed + 5)
    results.add("r", "SdA-3", 1_000, dataset="rect", data_origin="regenerated", trust="")
    results.write()
    return results


def latex_rows(text: str) -> list[list[list[str]]]:
    """The cells of a tabular, row by row, in the groups between its rules; checks its syntax."""
    (comments, columns, body), = re.findall(
        r"\A((?:%.*\n)+)\\begin\{tabular\}\{([lr]+)\}\n(.*)\n\\end\{tabular\}\n\Z", text, re.DOTALL
    )  # fmt: skip
    assert r"\usepackage{booktabs}" in comments
    assert body.startswith("\\toprule\n") and body.endswith("\n\\bottomrule")
    groups = re.split(r"\\(?:top|mid|bottom)rule\n?", body)[1:-1]
    rows = [[line.split(" & ") for line in group.splitlines()] for group in groups]
    for row in (row for group in rows for row in group):
        assert len(row) == len(columns) and row[-1].endswith(r" \\")
        row[-1] = row[-1].removesuffix(r" \\")
        for cell in row:
            plain = re.sub(r"\\(?:textbf|quad|pm|nu)\b|\$\^\\d?dagger\$", "", cell)
            assert not re.search(r"(?<!\\)[#%_&~^]|\\[^%_&#{}$]|[^ -~]", plain), cell
            assert cell.count("{") == cell.count("}") and cell.count("$") % 2 == 0
    return rows


def test_a_table_in_latex_is_grouped_escaped_and_bold_by_the_papers_rule(
    dae: Dae, tmp_path: Path
) -> None:
    write_saved_runs(write_two_sets(tmp_path).out, command="dae replicate made # 100 %")
    ended = dae("report", "made", "--format", "latex").succeeded()
    assert ended.err.splitlines()[-1] == "results/made/REPORT.md"
    title, *_ = ended.out.splitlines()
    assert title == "% " + TITLE.replace("\n", " ")
    assert "\n% Made by dae replicate made # 100 % at commit abc.\n" in ended.out
    heading, rect, convex = latex_rows(ended.out)
    assert heading == [["Cell", "Destruction", "Model", "Ours", "Paper", "Gap", "Verdict", "Seeds"]]
    # 18.10, 16.30 and 16.70, each ± .33: the first is above the other two, which overlap.
    assert [(row[0], row[3]) for row in convex] == [
        (r"saa\_1", r"18.10 $\pm$ 0.34 (sd 0.14)"),
        (r"sda\_1", r"\textbf{16.30 $\pm$ 0.32} (sd 0.14)"),
        (r"sda\_2", r"\textbf{16.70 $\pm$ 0.33} (sd 0.14)"),
    ]
    assert convex[1][1:3] == [r"25 \%", "SdA-3"]
    assert convex[1][4:] == [r"19.06 $\pm$ 0.34 (SdA-3)", "$-2.76$", "better", "2"]
    assert rect[0][3:] == [
        r"\textbf{2.00 $\pm$ 0.12}", r"1.99 $\pm$ 0.12 (SdA-3)", "$+0.01$",
        "matches (regenerated data)", "1",
    ]  # fmt: skip


def test_columns_are_the_papers_models_with_our_errors_above_the_papers(
    dae: Dae, tmp_path: Path
) -> None:
    whole_table(tmp_path, {("convex", "SVM_rbf"): [19.0], ("convex", "DBN-3"): None,
                           ("convex", "SdA-3"): [16.0, 16.2], ("rect", "SdA-3"): []})  # fmt: skip
    heading, rect, convex = latex_rows(dae("report", "made", "--format", "latex").succeeded().out)
    (names,) = heading
    assert names[:2] == ["Data set", r"SVM\_rbf"] and names[6] == r"SdA-3 ($\nu$)"
    ours, papers = (dict(zip(names, row, strict=True)) for row in convex)
    assert ours["Data set"] == "convex" and papers["Data set"] == r"\quad paper"
    assert ours[names[1]] == r"19.00 $\pm$ 0.34"
    assert ours["DBN-3"] == "failed" and ours["SAA-3"] == "--"
    assert ours[names[6]] == r"\textbf{16.10 $\pm$ 0.32} (25 \%, sd 0.14)"
    # ICML 2008, Table 1: SAA-3 is best on convex, DBN-3's and SdA-3's intervals overlap with its.
    assert papers["SAA-3"] == r"\textbf{18.41 $\pm$ 0.34}"
    assert papers["DBN-3"] == r"\textbf{18.63 $\pm$ 0.34}"
    assert papers[names[6]] == r"\textbf{19.06 $\pm$ 0.34} (10 \%)"
    assert papers["DBN-1"] == r"19.92 $\pm$ 0.35"
    assert rect[0][6] == "not run"


def test_csv_is_the_bytes_of_the_file_and_markdown_the_table_of_the_report(
    dae: Dae, tmp_path: Path
) -> None:
    out = write_two_sets(tmp_path).out
    words = [sys.executable, "-m", "dae_cli", "report", "made", "-q", "--format", "csv"]
    piped = subprocess.run(words, capture_output=True, check=True, cwd=tmp_path)
    assert piped.stdout == (out / "table.csv").read_bytes() and piped.stderr == b""
    markdown = dae("report", "made", "--format", "markdown").succeeded().out
    report = (out / "REPORT.md").read_text(encoding="utf-8")
    assert markdown.count("\n") == 6 and markdown in report


def test_plots_in_other_formats_show_the_same_results_as_the_png(dae: Dae, tmp_path: Path) -> None:
    results = write_two_sets(tmp_path)
    out = results.out
    results.rows = [row for row in results.rows if row["cell"] != "sda_2"]
    results.write()
    greys = np.random.default_rng(0).integers(0, 256, (12, 784), dtype=np.uint8)
    curves = {row["run"]: ([(1, 40.0), (2, 30.0)], [[(1, 3.0), (2, 2.0)]]) for row in results.rows}
    write_saved_runs(out, curves, {row["run"]: greys for row in results.rows if not row["seed"]})
    dae("report", "made").succeeded()
    for row in results.rows:
        (out / "filters" / f"{row['run']}.png").unlink(missing_ok=True)
    before = snapshot(out)
    dae("report", "made", "--plots", "svg", "--plots", "pdf", "--plots", "png").succeeded()
    drawn = snapshot(out)
    pictures = {name.removesuffix(".png") for name in before if name.endswith(".png")}
    assert {f"filters/{name}" for name in ("saa_1", "sda_1", "r", "convex")} < pictures
    assert set(drawn) - set(before) == {f"{name}.{end}" for name in pictures
                                        for end in ("svg", "pdf")}  # fmt: skip
    assert {name: drawn[name] for name in before} == before
    svg, pdf = out / "filters" / "sda_1.svg", out / "filters" / "sda_1.pdf"
    words = " ".join(ElementTree.parse(svg).getroot().itertext())
    (run,) = [row["run"] for row in results.rows if (row["cell"], row["seed"]) == ("sda_1", 0)]
    assert "made: first-layer filters, convex" in words and f"Runs: {run}" in words
    assert pdf.read_bytes().startswith(b"%PDF") and run.encode() in pdf.read_bytes()
    # A report without the option redraws existing plots, and removes those of former cells.
    results.rows = [row for row in results.rows if row["cell"] != "r"]
    results.write()
    dae("report", "made").succeeded()
    after = snapshot(out)
    assert not any(name.startswith("filters/r") for name in after)
    for name in (f"learning_curves.{end}" for end in ("png", "svg", "pdf")):
        assert after[name] != drawn[name]
    dae("verify", "made")
    assert snapshot(out) == after
