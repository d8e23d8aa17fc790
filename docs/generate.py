"""Write what the documentation quotes: README's table, from results/, and every --help.

Run by `make readme`; a test fails where the documents and their sources disagree.
"""

from __future__ import annotations

import re
from pathlib import Path

from typer.main import get_command
from typer.testing import CliRunner

from dae_cli.commands.app import app
from dae_cli.study.report import markdown_table
from dae_cli.study.rows import RunRow, TableRow, read_rows

ROOT = Path(__file__).resolve().parent.parent
HELP_WIDTH = 80


def readme(text: str) -> str:
    """Return README's text with its table and its sentence of origin renewed."""
    results = ROOT / "results" / "icml2008"
    table = markdown_table(read_rows(results / "table.csv", TableRow))
    rows = read_rows(results / "runs.csv", RunRow)
    commits = ", ".join(sorted({row.commit for row in rows}))
    minutes = sum(row.minutes or 0.0 for row in rows)
    origin = (
        f"{len(rows)} runs of one seed each, {minutes:.0f} minutes of one core in all, "
        f"at commit {commits}."
    )
    return _between(text, "table", f"\n{table}\n\n{origin}\n")


def command_help() -> str:
    """Return docs/commands.md: the help of `dae` and of every command."""
    command = get_command(app)
    parts = ["# Commands\n\nWritten by `make readme` from the commands' own `--help`."]
    names: list[tuple[str, ...]] = [
        (),
        *((name,) for name in sorted(getattr(command, "commands", {}))),
    ]
    for name in names:
        title = " ".join(("dae", *name))
        parts.append(f"## `{title}`\n\n```text\n{_help(name)}\n```")
    return "\n\n".join(parts) + "\n"


def _help(name: tuple[str, ...]) -> str:
    result = CliRunner().invoke(
        app, [*name, "--help"], env={"COLUMNS": str(HELP_WIDTH), "NO_COLOR": "1"}, prog_name="dae"
    )
    return "\n".join(line.rstrip() for line in result.output.strip().splitlines())


def _between(text: str, mark: str, content: str) -> str:
    pattern = rf"(<!-- {mark}: [^>]*-->\n).*?(\n<!-- end -->)"
    new, count = re.subn(pattern, lambda m: f"{m[1]}{content}{m[2]}", text, flags=re.DOTALL)
    if count != 1:
        raise SystemExit(f"README.md has {count} places marked '{mark}', expected 1")
    return new


def main() -> None:
    """Write README.md and docs/commands.md."""
    path = ROOT / "README.md"
    path.write_text(readme(path.read_text(encoding="utf-8")), encoding="utf-8")
    (ROOT / "docs" / "commands.md").write_text(command_help(), encoding="utf-8")


if __name__ == "__main__":
    main()
