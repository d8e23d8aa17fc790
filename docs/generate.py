"""Update generated parts of the documentation: tables from results/ and docs/datasets/, all --help.

`make readme` runs it; a test fails if a document differs from its source. `--reference FOLDER…`
first copies the rows of these results folders, on data of any origin, into the reference rows of
their studies.
"""

from __future__ import annotations

import csv
import json
import re
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import fields
from itertools import groupby
from pathlib import Path
from typing import Any, get_args

from typer.testing import CliRunner

from dae_cli.commands.app import COMMANDS, app, load_command
from dae_cli.config.experiments import resolve_study
from dae_cli.config.names import study_folders
from dae_cli.config.saved_settings import SETTINGS, read_settings
from dae_cli.config.schema import (
    AnyExperiment,
    Experiment,
    FilterExperiment,
    Settings,
    SvmExperiment,
)
from dae_cli.config.study_schema import Reference
from dae_cli.csvfile import read_rows, write_rows
from dae_cli.data.datasets import DATASETS
from dae_cli.data.trust import recorded_trust
from dae_cli.study.paper import Verdict, compared_with, half_width_95, sources
from dae_cli.study.reference import REFERENCE_CSV, reference_rows
from dae_cli.study.report.render import table_markdown
from dae_cli.study.rows import ReferenceRow, RunComparison, RunRow, TableRow, read_results
from dae_cli.study.run.job import config_sha256, destruction_percent, model_name, with_seed
from dae_cli.study.run.record import with_verdict
from dae_cli.study.tables.cells import paper_number
from dae_cli.study.tables.claims import paper_claims
from dae_cli.study.tables.comparisons import MCNEMAR_CSV
from dae_cli.study.tables.paired import contenders_of
from dae_cli.study.tables.paper_table import paper_table
from dae_cli.study.tables.table import table_of

ROOT = Path(__file__).resolve().parent.parent
RELIABILITY = ROOT / "docs" / "reliability"
REFERENCE_COLUMNS = [field.name for field in fields(ReferenceRow)]
ORIGINS = {
    "original": "On the authors' data:",
    "regenerated": "On regenerated data, which `make results` uses without the authors' files:",
}
COUNTS = {1: "one", 2: "two", 3: "three"}
HELP_WIDTH = 80


def readme(text: str) -> str:
    """Return the text of README.md with updated tables of the reference rows."""
    table = reference_table("icml2008")
    parts = []
    for origin, heading in ORIGINS.items():
        if own := [row for row in table if row.data_origin == origin]:
            parts.append(f"{heading}\n\n{table_markdown(own)}")
    parts.append(f"{_seeds(table)} ({_runs(table)}). {sources(map(paper_number, table))}".strip())
    text = _between(text, "table", "\n{}\n".format("\n\n".join(parts)))
    study = shown_study()
    # Of a cell with rows of both origins, show the row on the authors' data.
    whole = list({row.cell: row for row in reversed(reference_table(study))}.values())[::-1]
    shown = [row for row in whole if row.model == "SdA-3"]
    verdicts = [row.verdict for row in whole]
    counts = ", ".join(f"{verdicts.count(v)} {v}" for v in get_args(Verdict) if v in verdicts)
    counts = counts.replace("calibrated", "[calibrated](docs/results.md#calibrated-cells)")
    cells = len(resolve_study(study).all_cells)
    done = f"All {cells}" if len(whole) == cells else f"{len(whole)} of the {cells}"
    origin = (
        f"{_seeds(shown)}. {done} cells of the table have been run ({_runs(whole)}): {counts}. "
        f"{sources(map(paper_number, shown))}"
    )
    return _between(text, "whole", f"\n{table_markdown(shown)}\n\n{origin}\n")


def shown_study() -> str:
    """Return the study that README shows as the whole table: table1 if all its cells were run."""
    cells = {cell.cell for cell in resolve_study("table1").all_cells}
    return "table1" if {row.cell for row in reference_table("table1")} == cells else "table1-tuned"


def _runs(table: list[TableRow]) -> str:
    runs = sum(len(row.seeds.split()) for row in table)
    versions = dict.fromkeys(part for row in table for part in row.numerics.split(" / "))
    return f"{runs} runs with [numerics version](docs/results.md#numerics) {' and '.join(versions)}"


def _seeds(table: list[TableRow]) -> str:
    """Describe the number of seeds: `Errors are means over three seeds`."""
    counts = sorted({len(row.seeds.split()) for row in table})
    if counts == [1]:
        return "Each error is from one seed"
    numbers = " or ".join(COUNTS.get(count, str(count)) for count in counts)
    return f"Errors are means over {numbers} seeds"


def reference_table(study: str) -> list[TableRow]:
    """Return the table of a study's reference rows, original data first."""
    resolved = resolve_study(study)
    cells = {cell.cell: cell.experiment for cell in resolved.all_cells}
    table = []
    for _, rows in groupby(reference_rows(resolved.source), key=lambda r: (r.cell, r.data_sha256)):
        table += table_of([_run(row, cells[row.cell], resolved.reference) for row in rows])
    return table


def _run(row: ReferenceRow, experiment: AnyExperiment, reference: Reference) -> RunRow:
    """Complete a reference row with the settings of its cell and the paper's numbers."""
    dataset, model = experiment.dataset, model_name(experiment)
    destruction = destruction_percent(experiment)
    n_test = DATASETS[dataset].n_test
    paper = compared_with(reference, dataset, model, destruction)
    columns = {field.name: getattr(row, field.name) for field in fields(row)}
    run = RunRow(
        **columns,
        run=row.cell,
        dataset=dataset,
        trust=recorded_trust(dataset, row.data_origin, row.data_sha256),
        model=model,
        destruction_percent=destruction,
        n_test=n_test,
        test_error_percent=100.0 * row.n_wrong / n_test,
        half_width_95=half_width_95(row.n_wrong, n_test),
        paper_error_percent=paper.error_percent if paper else None,
        paper_half_width_95=paper.half_width_95 if paper else None,
        paper_model=paper.model if paper else "",
    )
    return with_verdict(run)


def write_reference(folders: Sequence[Path]) -> None:
    """Copy the rows of results folders into the reference rows of their studies.

    A row replaces that of the same cell, seed and data. Rows without a result, and rows whose
    settings are not the current ones of their cell, are left out.
    """
    taken: dict[str, list[ReferenceRow]] = {}
    for folder in folders:
        rows = taken.setdefault(read_settings(folder / SETTINGS, folder).name, [])
        for row in read_results(folder / "runs.csv", RunRow):
            if row.n_wrong is not None:
                rows.append(ReferenceRow(*(getattr(row, name) for name in REFERENCE_COLUMNS)))
    for name, rows in taken.items():
        study = resolve_study(name)
        cells = {cell.cell: cell.experiment for cell in study.all_cells}
        found = [*reference_rows(study.source), *rows]
        by_run = {(row.cell, row.seed, row.data_sha256): row for row in found}
        kept = [row for row in by_run.values() if _is_current(row, cells.get(row.cell))]
        kept.sort(key=lambda r: (list(cells).index(r.cell), r.data_origin, r.data_sha256, r.seed))
        write_rows(study.source / REFERENCE_CSV, kept, ReferenceRow)
        print(f"{name}: {len(kept)} reference rows; left out: {len(by_run) - len(kept)}")


def _is_current(row: ReferenceRow, cell: AnyExperiment | None) -> bool:
    """Whether a row has the current settings of its cell."""
    return cell is not None and row.config_sha256 == config_sha256(
        with_seed(cell, row.seed), row.numerics
    )


def results(text: str) -> str:
    """Return the text of docs/results.md with updated versions of the reference rows."""
    rows = [row for folder in study_folders().values() for row in reference_rows(folder)]
    made = Counter((row.numerics, row.engine, row.device, row.versions) for row in rows)
    lines = [
        f"- {count} runs (numerics version {numerics}, engine {engine}, {device}): {versions}"
        for (numerics, engine, device, versions), count in sorted(made.items())
    ]
    return _between(text, "versions", "\n{}\n".format("\n".join(lines)))


def renew_claims(text: str) -> str:
    """Return the text of docs/table1.md with updated outcomes of the paper's claims."""
    results = ROOT / "results" / "table1"
    if shown_study() != "table1":
        return _between(text, "claims", "\nNot available: `table1` has not been run in full.\n")
    table = read_results(results / "table.csv", TableRow)
    rows = read_results(results / "runs.csv", RunRow)
    printed = paper_table(resolve_study("table1"), rows, table)
    tests = read_rows(results / MCNEMAR_CSV, RunComparison)
    claims = paper_claims(printed, tests, contenders_of(rows, {}))
    outcomes = "\n".join(f"- {claim.says}: **{claim.outcome}**" for claim in claims)
    return _between(text, "claims", f"\n{outcomes}\n")


def command_help() -> str:
    """Return docs/commands.md: the help of `dae` and of every command."""
    parts = ["# Commands\n\nThis page shows the output of `dae --help` and `dae COMMAND --help`."]
    for name in ((), *_command_names()):
        title = " ".join(("dae", *name))
        parts.append(f"## `{title}`\n\n```text\n{_help(name)}\n```")
    return "\n\n".join(parts) + "\n"


def _command_names() -> Iterator[tuple[str, ...]]:
    for name in sorted(COMMANDS):
        yield (name,)
        for inner in sorted(getattr(load_command(name), "commands", {})):
            yield name, inner


def datasets(text: str) -> str:
    """Return the text of docs/datasets.md with updated statistics of each set."""
    with (ROOT / "docs" / "datasets" / "statistics.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    for name in dict.fromkeys(row["dataset"] for row in rows):
        lines = [
            "| part | measure | genuine | rows | regenerated | rows | tolerance | |",
            "|---|---|---:|---|---:|---:|---:|---|",
        ]
        lines += [_figure(row) for row in rows if row["dataset"] == name]
        text = _between(text, name, "\n" + "\n".join(lines) + "\n")
    text = _between(text, "trained", f"\n{_trained()}\n")
    return _between(text, "contents", f"\n{_contents()}\n")


def experiments(text: str) -> str:
    """Return the text of docs/experiments.md with an updated table of all settings."""
    lines = ["| key | value | default | |", "|---|---|---|---|"]
    for name, kind in _sections().items():
        properties = kind.model_json_schema()["properties"] if name else _outside_sections()
        for key, about in properties.items():
            if "$ref" in about or "anyOf" in about:
                continue  # a section, whose settings have their own lines
            default = _default(about["default"]) if "default" in about else ""
            what = about.get("description", "").replace("|", "\\|")
            dotted = f"{name}.{key}" if name else key
            lines.append(f"| `{dotted}` | {_values(about)} | {default} | {what} |")
    return _between(text, "settings", "\n" + "\n".join(lines) + "\n")


def _outside_sections() -> dict[str, Any]:
    """The keys of experiments outside sections, including those only for filters."""
    keys: dict[str, Any] = dict(Experiment.model_json_schema()["properties"])
    on_filters: dict[str, Any] = FilterExperiment.model_json_schema()["properties"]
    names = [*keys["dataset"]["enum"], *on_filters["dataset"]["enum"]]
    keys["dataset"]["enum"] = list(dict.fromkeys(names))
    whole, _ = on_filters["rows"].pop("anyOf")  # the other is null, for all rows
    return keys | {"rows": on_filters["rows"] | whole}


def _sections() -> dict[str, type[Settings]]:
    """The sections of all kinds of experiments, in the order of the files."""
    found: dict[str, type[Settings]] = {"": Experiment}
    for experiment in (Experiment, SvmExperiment, FilterExperiment):
        for name, field in experiment.model_fields.items():
            for kind in get_args(field.annotation) or (field.annotation,):
                if isinstance(kind, type) and issubclass(kind, Settings):
                    found[name] = kind
    return found


def _values(about: dict[str, Any]) -> str:
    """Describe the values of a setting from its schema."""
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
    """Write a default as in an experiment file."""
    if value == []:
        return "depends on the kernel"
    if value is None:
        return "all"
    return f"`{value}`" if isinstance(value, str) else json.dumps(value)


def reliability(text: str) -> str:
    """Return the text of docs/reliability.md with updated results of the last long runs."""
    for name in ("torture", "fuzz"):
        text = _between(text, name, f"\n{_as_markdown(RELIABILITY / f'{name}.csv')}\n")
    return text


def _as_markdown(path: Path) -> str:
    """Write a CSV file as a Markdown table."""
    with path.open(newline="", encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _contents() -> str:
    """The table of sizes, archives and digests of the eight sets."""
    lines = [
        "| set | rows | archive | stored as | original content | regenerated content |",
        "|---|---|---|---|---|---|",
    ]
    for spec in DATASETS.values():
        if (recipe := spec.recipe) is None or (archive := spec.archive) is None:
            continue
        rows = f"{spec.n_train} + {spec.n_valid} + {spec.n_test}"
        kept = f"uint8, k/{spec.levels}" if spec.levels else "float32"
        same = recipe.sha256 if recipe.exact else spec.content_sha256
        original = f"`{same[:12]}…`" if same else f"by SHA-1 `{archive.sha1[:12]}…`"
        ours = f"`{recipe.sha256[:12]}…` (recipe {recipe.version})"
        lines.append(f"| {spec.name} | {rows} | {archive.name} | {kept} | {original} | {ours} |")
    return "\n".join(lines)


def _figure(row: dict[str, str]) -> str:
    holds = {"True": "within", "False": "**outside**", "": "not judged"}[row["holds"]]
    cells = (row["part"], row["measure"], _short(row["genuine"]), row["genuine_rows"])
    ours = (_short(row["regenerated"]), row["regenerated_rows"], _short(row["tolerance"]), holds)
    return f"| {' | '.join((*cells, *ours))} |"


def _short(number: str) -> str:
    return f"{float(number):.4g}" if number else ""


def _trained() -> str:
    """The table of reference rows of networks on regenerated rect-img, with the paper's numbers."""
    rows = reference_table("icml2008")
    shown = [r for r in rows if (r.dataset, r.data_origin) == ("rect-img", "regenerated")]
    return f"{table_markdown(shown)}\n\n{sources(map(paper_number, shown))}"


def _help(name: tuple[str, ...]) -> str:
    result = CliRunner().invoke(
        app, [*name, "--help"], env={"COLUMNS": str(HELP_WIDTH), "NO_COLOR": "1"}, prog_name="dae"
    )
    return "\n".join(line.rstrip() for line in result.output.strip().splitlines())


def _between(text: str, mark: str, content: str) -> str:
    pattern = rf"(<!-- {mark}: [^>]*-->\n).*?(\n<!-- end -->)"
    new, count = re.subn(pattern, lambda m: f"{m[1]}{content}{m[2]}", text, flags=re.DOTALL)
    if count != 1:
        raise SystemExit(f"found {count} places marked '{mark}', expected 1")
    return new


def main() -> None:
    """Update the generated parts of README.md and docs/, and write docs/commands.md."""
    if sys.argv[1:2] == ["--reference"]:
        write_reference([Path(folder) for folder in sys.argv[2:]])
    for path, renewed in (
        (ROOT / "README.md", readme),
        (ROOT / "docs" / "table1.md", renew_claims),
        (ROOT / "docs" / "datasets.md", datasets),
        (ROOT / "docs" / "experiments.md", experiments),
        (ROOT / "docs" / "reliability.md", reliability),
        (ROOT / "docs" / "results.md", results),
    ):
        path.write_text(renewed(path.read_text(encoding="utf-8")), encoding="utf-8")
    (ROOT / "docs" / "commands.md").write_text(command_help(), encoding="utf-8")


if __name__ == "__main__":
    main()
