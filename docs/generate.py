"""Write what the documentation quotes: tables from results/ and docs/datasets/, every --help.

Run by `make readme`; a test fails where the documents and their sources disagree.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

from typer.main import get_command
from typer.testing import CliRunner

from dae_cli.commands.app import app
from dae_cli.config.experiments import resolve_study
from dae_cli.config.schema import Experiment, FilterExperiment, Settings, SvmExperiment
from dae_cli.data.generators.recipes import RECIPES
from dae_cli.data.registry import REGISTRY
from dae_cli.study.report.markdown import certainty_told, markdown_table
from dae_cli.study.rows import RunRow, TableRow, read_rows
from dae_cli.study.tables.claims import claims
from dae_cli.study.tables.comparisons import read_comparisons
from dae_cli.study.tables.paper_table import paper_table

ROOT = Path(__file__).resolve().parent.parent
RELIABILITY = ROOT / "docs" / "reliability"
HELP_WIDTH = 80


def readme(text: str) -> str:
    """Return README's text with its tables and their sentences of origin renewed."""
    results = ROOT / "results" / "icml2008"
    table = read_rows(results / "table.csv", TableRow)
    rows = read_rows(results / "runs.csv", RunRow)
    commits = ", ".join(sorted({row.commit for row in rows}))
    minutes = sum(row.minutes or 0.0 for row in rows)
    origin = (
        f"{len(rows)} runs of one seed each, {minutes:.0f} minutes of one core in all, "
        f"at commit {commits}. {certainty_told(table)}"
    )
    text = _between(text, "table", f"\n{markdown_table(table)}\n\n{origin}\n")
    return _between(text, "whole", f"\n{_whole_table()}\n")


def _whole_table() -> str:
    """SdA-3 of the whole table, how much else of it there is, and what comes of the claims."""
    results = ROOT / "results" / "table1"
    table = read_rows(results / "table.csv", TableRow)
    rows = read_rows(results / "runs.csv", RunRow)
    hours = sum(row.minutes or 0.0 for row in rows) / 60.0
    study = resolve_study("table1")
    shown = [row for row in table if row.model == "SdA-3"]
    verdicts = [row.verdict for row in table]
    counts = ", ".join(f"{verdicts.count(v)} {v}" for v in ("better", "matches", "worse"))
    origin = (
        f"SdA-3, the mean of three seeds; sd: over the seeds. {len(table)} of the table's "
        f"{len(study.all_cells)} cells have been run ({counts}): {len(rows)} runs, "
        f"{hours:.1f} hours of one core. {certainty_told(shown)}"
    )
    judged = claims(paper_table(study, rows, table), read_comparisons(results))
    told = "\n".join(f"- {claim.says}: **{claim.outcome}**" for claim in judged)
    return f"{markdown_table(shown)}\n\n{origin}\n\nThe paper's claims, here:\n\n{told}"


def command_help() -> str:
    """Return docs/commands.md: the help of `dae` and of every command."""
    command = get_command(app)
    parts = ["# Commands\n\nWritten by `make readme` from the commands' own `--help`."]
    for name in _names(command):
        title = " ".join(("dae", *name))
        parts.append(f"## `{title}`\n\n```text\n{_help(name)}\n```")
    return "\n\n".join(parts) + "\n"


def _names(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    yield path
    for name, inner in sorted(getattr(command, "commands", {}).items()):
        yield from _names(inner, (*path, name))


def datasets(text: str) -> str:
    """Return the text of docs/datasets.md with the figures of each set renewed."""
    with (ROOT / "docs" / "datasets" / "statistics.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    for name in dict.fromkeys(row["dataset"] for row in rows):
        lines = [
            "| rows | measure | genuine | of | regenerated | of | may be off by | |",
            "|---|---|---:|---|---:|---:|---:|---|",
        ]
        lines += [_figure(row) for row in rows if row["dataset"] == name]
        text = _between(text, name, "\n" + "\n".join(lines) + "\n")
    text = _between(text, "trained", f"\n{_trained()}\n")
    return _between(text, "contents", f"\n{_contents()}\n")


def experiments(text: str) -> str:
    """Return the text of docs/experiments.md with the table of all settings renewed."""
    lines = ["| key | value | default | |", "|---|---|---|---|"]
    for name, kind in _sections().items():
        properties = kind.model_json_schema()["properties"] if name else _outside_sections()
        for key, about in properties.items():
            if "$ref" in about or "anyOf" in about:
                continue  # a section, which has lines of its own
            default = _default(about["default"]) if "default" in about else ""
            what = about.get("description", "").replace("|", "\\|")
            dotted = f"{name}.{key}" if name else key
            lines.append(f"| `{dotted}` | {_values(about)} | {default} | {what} |")
    return _between(text, "settings", "\n" + "\n".join(lines) + "\n")


def _outside_sections() -> dict[str, Any]:
    """The keys of an experiment that stand in no section; of one on filters as well."""
    keys: dict[str, Any] = dict(Experiment.model_json_schema()["properties"])
    on_filters: dict[str, Any] = FilterExperiment.model_json_schema()["properties"]
    keys["dataset"]["enum"] += on_filters["dataset"]["enum"]
    whole, _ = on_filters["rows"].pop("anyOf")  # or null, for all of them
    return keys | {"rows": on_filters["rows"] | whole}


def _sections() -> dict[str, type[Settings]]:
    """The sections of every kind of experiment, in the order in which files have them."""
    found: dict[str, type[Settings]] = {"": Experiment}
    for experiment in (Experiment, SvmExperiment, FilterExperiment):
        for name, field in experiment.model_fields.items():
            for kind in get_args(field.annotation) or (field.annotation,):
                if isinstance(kind, type) and issubclass(kind, Settings):
                    found[name] = kind
    return found


def _values(about: dict[str, Any]) -> str:
    """What a setting may be, as its schema has it."""
    if about["type"] == "array":
        return f"a list, each {_values(about['items'])}"
    if about["type"] == "boolean":
        return "true, false"
    if "enum" in about or "const" in about:
        return ", ".join(f"`{value}`" for value in about.get("enum", [about.get("const")]))
    low = about.get("minimum", about.get("exclusiveMinimum"))
    high = about.get("maximum", about.get("exclusiveMaximum"))
    low_word = "above" if "exclusiveMinimum" in about else "from"
    high_word = "to below" if "exclusiveMaximum" in about else "to"
    kind = "whole, " if about["type"] == "integer" else ""
    return f"{kind}{low_word} {low:,}" + (f" {high_word} {high:,}" if high is not None else "")


def _default(value: object) -> str:
    """A default as a file would have it."""
    if value == []:
        return "by the kernel"
    if value is None:
        return "all"
    return f"`{value}`" if isinstance(value, str) else json.dumps(value)


def reliability(text: str) -> str:
    """Return the text of docs/reliability.md with the figures of the last long runs renewed."""
    for name in ("torture", "fuzz"):
        text = _between(text, name, f"\n{_as_markdown(RELIABILITY / f'{name}.csv')}\n")
    return text


def _as_markdown(path: Path) -> str:
    """A CSV file as it is."""
    with path.open(newline="", encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _contents() -> str:
    """Sizes, archives and digests of the eight sets."""
    lines = [
        "| set | rows | archive | kept as | original content | regenerated content |",
        "|---|---|---|---|---|---|",
    ]
    for spec in REGISTRY.values():
        rows = f"{spec.n_train} + {spec.n_valid} + {spec.n_test}"
        kept = f"uint8, k/{spec.levels}" if spec.levels else "float32"
        recipe = RECIPES[spec.name]
        same = recipe.sha256 if recipe.exact else spec.content_sha256
        original = f"`{same[:12]}…`" if same else f"by SHA-1 `{spec.archive_sha1[:12]}…`"
        ours = f"`{recipe.sha256[:12]}…` (recipe {recipe.version})"
        lines.append(f"| {spec.name} | {rows} | {spec.archive} | {kept} | {original} | {ours} |")
    return "\n".join(lines)


def _figure(row: dict[str, str]) -> str:
    holds = {"True": "holds", "False": "**off**", "": "shown only"}[row["holds"]]
    cells = (row["part"], row["measure"], _short(row["genuine"]), row["genuine_rows"])
    ours = (_short(row["regenerated"]), row["regenerated_rows"], _short(row["tolerance"]), holds)
    return f"| {' | '.join((*cells, *ours))} |"


def _short(number: str) -> str:
    return f"{float(number):.4g}" if number else ""


def _trained() -> str:
    """The networks of the committed table on rect-img, beside the paper's."""
    rows = read_rows(ROOT / "results" / "icml2008" / "table.csv", TableRow)
    shown = [row for row in rows if row.dataset == "rect-img"]
    return f"{markdown_table(shown)}\n\n{certainty_told(shown)}"


def _help(name: tuple[str, ...]) -> str:
    result = CliRunner().invoke(
        app, [*name, "--help"], env={"COLUMNS": str(HELP_WIDTH), "NO_COLOR": "1"}, prog_name="dae"
    )
    return "\n".join(line.rstrip() for line in result.output.strip().splitlines())


def _between(text: str, mark: str, content: str) -> str:
    pattern = rf"(<!-- {mark}: [^>]*-->\n).*?(\n<!-- end -->)"
    new, count = re.subn(pattern, lambda m: f"{m[1]}{content}{m[2]}", text, flags=re.DOTALL)
    if count != 1:
        raise SystemExit(f"there are {count} places marked '{mark}', expected 1")
    return new


def main() -> None:
    """Write what is quoted in README.md and docs/, and the whole of docs/commands.md."""
    for path, renewed in (
        (ROOT / "README.md", readme),
        (ROOT / "docs" / "datasets.md", datasets),
        (ROOT / "docs" / "experiments.md", experiments),
        (ROOT / "docs" / "reliability.md", reliability),
    ):
        path.write_text(renewed(path.read_text(encoding="utf-8")), encoding="utf-8")
    (ROOT / "docs" / "commands.md").write_text(command_help(), encoding="utf-8")


if __name__ == "__main__":
    main()
