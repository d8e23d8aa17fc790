"""Rendering of REPORT.md, report.html and LaTeX, and reading of an earlier REPORT.md.

The same report always gives the same bytes. In report.html all values are escaped.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterable, Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from dae_cli.errors import plain
from dae_cli.figures import charts
from dae_cli.figures.filters import tiles_of
from dae_cli.figures.page_images import PageSheet, corrupted_shape
from dae_cli.figures.series import spread_of
from dae_cli.study.paper import MARKS, sources
from dae_cli.study.report.context import Report, TableReport
from dae_cli.study.report.datasets import our_error, paper_error
from dae_cli.study.report.pictures import CURVES_PNG, ERRORS_PNG
from dae_cli.study.report.saved_runs import ShownFilters
from dae_cli.study.rows import TableRow
from dae_cli.study.tables import cells, claims, provenance
from dae_cli.study.tables.paired import BASELINE_RULE, METHOD

REPORT, PAGE = "REPORT.md", "report.html"
FENCE = "```"
MOST_VALUES = 8
"""Maximum number of values shown for a setting; otherwise only lowest, highest and selected."""
SYMBOLS = {
    "better": "✓",
    "matches": "≈",
    "worse": "✗",
    "no reference": "·",
    "calibrated": "=",
    "failed": "!",
}
"""Symbols of the verdicts, so that they do not depend on colour."""


def report_markdown(report: Report) -> str:
    """Return the text of REPORT.md, for table studies and filter studies."""
    text = _environment().get_template("REPORT.md.j2").render(report=report)
    return text.strip() + "\n"


def report_page(report: Report) -> str:
    """Return the text of report.html, for table studies and filter studies."""
    name = "filters.html.j2" if report.study.is_filter_study else "report.html.j2"
    return _environment().get_template(name).render(report=report)


def table_markdown(table: Sequence[TableRow]) -> str:
    """Return rows of table.csv as the table ours | paper | gap | verdict, in percent."""
    macros: Any = _environment().get_template("macros.md.j2").module
    return str(macros.ours_and_papers(table, ())).strip()


def report_table(report: TableReport) -> str:
    """Return the table of a report in Markdown, with the paper's numbers if there are any."""
    macros: Any = _environment().get_template("macros.md.j2").module
    table = macros.ours_and_papers if report.has_paper_numbers else macros.ours_with_seeds
    return str(table(report.table, report.study.changed)).strip() + "\n"


def report_latex(report: TableReport) -> str:
    """Return the table of a report in LaTeX, in the paper's form if there are several models."""
    names = cells.names(report.table, report.study.changed)
    by_cell = dict(zip((row.cell for row in report.table), names, strict=True))
    template = _environment().get_template("table.tex.j2")
    return template.render(report=report, names=by_cell).strip() + "\n"


def recorded_command(out: Path) -> str:
    """Return the command named in the REPORT.md of a folder; empty if there is none."""
    line = re.search(
        r"^(?:Made|Put together) by (`+)(.+?)\1 (?:at|from) ", _text_of(out), re.MULTILINE
    )
    return line[2].strip() if line else ""


def recorded_machine(out: Path) -> str:
    """Return the machine named in the REPORT.md of a folder; empty if there is none."""
    machines = re.findall(
        r"^Written on (.+); one thread (?:a|per) run, ", _text_of(out), re.MULTILINE
    )
    return str(machines[-1]) if machines else ""


def _text_of(out: Path) -> str:
    try:
        return (out / REPORT).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("dae_cli.study.report"),
        autoescape=lambda name: name is not None and name.endswith(".html.j2"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    own = files("dae_cli.study.report").joinpath("templates")
    environment.globals.update(
        # Only these files of our own are not escaped.
        style=Markup(own.joinpath("report.css").read_text(encoding="utf-8")),
        filters_style=Markup(own.joinpath("filters.css").read_text(encoding="utf-8")),
        script=Markup(own.joinpath("report.js").read_text(encoding="utf-8")),
        datasets_png=own.joinpath("datasets.png").read_bytes(),
        symbols=SYMBOLS,
        charts=charts,
        corrupted_shape=corrupted_shape,
        paper_marks=MARKS,
        comparison_columns=claims.COMPARISON_COLUMNS,
        baseline_rule=BASELINE_RULE,
        comparison_method=METHOD,
        most_values=MOST_VALUES,
        changed_lead=provenance.CHANGED,
        mixed_lead=provenance.MIXED,
        errors_png=ERRORS_PNG,
        curves_png=CURVES_PNG,
    )
    functions = (
        *(cells.ours, cells.paper, cells.paper_number, cells.gap, cells.verdict, cells.interval),
        *(cells.heading, cells.names, cells.named, cells.contents, cells.origin, cells.data_mark),
        *(cells.selected, cells.selected_heading, our_error, paper_error, sources),
        *(
            provenance.commits_of,
            provenance.commit_phrase,
            provenance.mixture,
            provenance.computed_with,
        ),
        *(claims.comparison_rows, tried_markdown, code, either, page_sheet, latex, one_line),
        *(in_table, link),
        spread_of,
    )
    environment.filters.update(
        {function.__name__: function for function in functions},
        percent="{:.2f}".format,
        p_value=lambda p: f"{p:.2g}" if p else "< 1e-300",
        base64=lambda content: b64encode(content).decode("ascii"),
        emphasised=lambda text, lead: text.replace(lead, f"**{lead}**", 1),
    )
    return environment


def tried_markdown(text: str) -> str:
    """Return the text of tried.md with its headings one level below those of the report."""
    lines, fenced = [], False
    for line in plain(text.replace("\r\n", "\n").replace("\t", "    ")).split("\n"):
        fenced ^= line.lstrip().startswith(FENCE)
        is_heading = line.startswith("#") and not fenced
        level = len(line) - len(line.lstrip("#"))
        lines.append("#" * min(6, level + 3) + line.lstrip("#") if is_heading else line)
    return "\n".join([*lines, *([FENCE] if fenced else [])]).strip()


def code(text: str) -> str:
    """Return a text as one piece of code in Markdown, even if it contains backticks."""
    longest = max(map(len, re.findall("`+", text)), default=0)
    fence, space = "`" * (longest + 1), " " if longest else ""
    return f"{fence}{space}{text}{space}{fence}"


def in_table(text: str) -> str:
    """Escape a name for a cell of a Markdown table."""
    return re.sub(r"[|*<`\[\\]", r"\\\g<0>", text)


def link(path: str) -> str:
    """Escape a path for the target of a Markdown link."""
    return quote(path, safe="/+=,~")


_LATEX = str.maketrans(
    {
        **{letter: f"\\{letter}" for letter in "&%$#_{}"},
        # After a line break, LaTeX would read [ and * as its arguments.
        **{letter: f"{{{letter}}}" for letter in "[*"},
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "<": r"\textless{}",
        ">": r"\textgreater{}",
        "|": r"\textbar{}",
        "±": r"$\pm$",
        "ν": r"$\nu$",
        "–": "--",
        "†": r"$^\dagger$",
        "‡": r"$^\ddagger$",
        "\N{REPLACEMENT CHARACTER}": "?",
    }
)


def latex(text: str) -> str:
    """Escape a text for LaTeX, on one line."""
    return one_line(text).translate(_LATEX)


def one_line(text: str) -> str:
    """Return a text on one line, for a comment."""
    return " ".join(plain(text).split())


def either(values: Iterable[object]) -> str:
    """Return the common value, or all values if they differ."""
    texts = list(map(str, values))
    return texts[0] if len(set(texts)) == 1 else " / ".join(texts)


def page_sheet(shown: ShownFilters, limit: float) -> PageSheet:
    """Return the image of a run's filters for the page."""
    return PageSheet(tiles_of(shown.filters.weights, shown.filters.image, limit))
