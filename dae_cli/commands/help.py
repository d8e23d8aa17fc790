"""The help of a command: panels on a terminal, plain sections elsewhere, with the same text."""

from __future__ import annotations

import inspect
import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from textwrap import shorten
from typing import Any

from typer.core import TyperCommand, TyperGroup

RUNS, SETTINGS, DATA, OUTPUT = "Runs", "Settings", "Data", "Output"
"""Panels of options that several commands share."""
OTHERS = "Options"
"""The last panel: options of no other, such as --help."""
MOST_TOGETHER = 10
"""Options of a command that stay in one panel."""
COMPLETION_WIDTH = 75
"""Characters of an option's text in the list that a shell shows."""
NARROWEST = 60
"""Columns of a terminal below which panels do not fit."""
NAME_WIDTH = 30
"""Characters of a longer name leave no room for its text on the same line."""

Section = tuple[str, Sequence[tuple[str, str]]]
"""A heading, and names with their texts."""


class Command(TyperCommand):
    """A command with this help."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the help, which Typer prints."""
        write_help(self, ctx, formatter)

    def shell_complete(self, ctx: Any, incomplete: str) -> list[Any]:
        """Complete options; a longer text would take two lines and break the shell's list."""
        items = super().shell_complete(ctx, incomplete)
        for item in items:
            text = (item.help or "").partition("  [")[0]
            item.help = shorten(text, COMPLETION_WIDTH, placeholder=" …")
        return items


class Group(TyperGroup):
    """A command with subcommands and this help."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the help, which Typer prints."""
        write_help(self, ctx, formatter)


def write_help(command: Any, ctx: Any, formatter: Any, more: Sequence[Section] = ()) -> None:
    """Write usage, text, arguments, subcommands, options, `more` sections and the epilog."""
    sections = [*_sections(command, ctx), *more]
    if not _has_panels():
        command.format_usage(ctx, formatter)
        command.format_help_text(ctx, formatter)
        for title, rows in sections:
            with formatter.section(title):
                formatter.write_dl(rows)
        command.format_epilog(ctx, formatter)
        return

    from rich.console import Console
    from rich.panel import Panel
    from rich.text import Text

    console = Console(width=formatter.width + 2, force_terminal=True, highlight=False)
    above, below = ctx.make_formatter(), ctx.make_formatter()
    command.format_usage(ctx, above)
    command.format_help_text(ctx, above)
    command.format_epilog(ctx, below)
    with console.capture() as capture:
        console.print(_styled(above.getvalue()))
        for title, rows in sections:
            body = ctx.make_formatter()
            body.write_dl(rows)
            text = _styled(body.getvalue().rstrip("\n"))
            text.highlight_regex(r"(?m)^\S+(?: \S+)*", "cyan")  # the names; texts are indented
            heading = Text(title, "not dim bold")
            console.print(Panel(text, title=heading, title_align="left", border_style="dim"))
        console.print(_styled(below.getvalue().rstrip("\n")))
    formatter.write(capture.get())


def summary_of(command: Any) -> str:
    """Return the first paragraph of a command's help, on one line."""
    return " ".join(inspect.cleandoc(command.help or "").partition("\n\n")[0].split())


def _has_panels() -> bool:
    """Return whether the help goes to a terminal; without a command it goes to stderr."""
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    wide = shutil.get_terminal_size().columns >= NARROWEST
    return wide and not plain and sys.stdout.isatty() and sys.stderr.isatty()


def _sections(command: Any, ctx: Any) -> list[Section]:
    """Return arguments, subcommands and options by panel, the names of each kind aligned."""
    arguments, options = [], []
    for param in command.get_params(ctx):
        if record := param.get_help_record(ctx):
            name, text = record[0], record[1].replace(r"\[", "[")  # escaped by older Typers
            if param.param_type_name == "argument":
                arguments.append(("Arguments", param.metavar, text))
            else:
                options.append((getattr(param, "rich_help_panel", None) or OTHERS, name, text))
    if len(options) <= MOST_TOGETHER:
        options = [(OTHERS, name, text) for _, name, text in options]
    commands = [
        (getattr(inner, "rich_help_panel", None) or "Commands", name, summary_of(inner))
        for name, inner in getattr(command, "commands", {}).items()
    ]
    return [*_by_panel(arguments), *_by_panel(commands), *_by_panel(options)]


def _by_panel(entries: Sequence[tuple[str, str, str]]) -> Iterator[Section]:
    width = min(NAME_WIDTH, max((len(name) for _, name, _ in entries), default=0))
    panels = dict.fromkeys(panel for panel, _, _ in entries)
    for title in sorted(panels, key=lambda panel: panel == OTHERS):
        yield title, [(f"{name:<{width}}", text) for panel, name, text in entries if panel == title]


def _styled(text: str) -> Any:
    """Return Rich text with options, defaults and the names of a section in style."""
    from rich.text import Text

    styled = Text(text)
    styled.highlight_regex(r"^ *Usage:|\bExample:", "bold")
    styled.highlight_regex(r"(?<![\w-])--?[a-z][\w-]*", "cyan")
    styled.highlight_regex(r"\[(?:default|required|env\s+var|x>|\d+<)[^\]]*\]", "dim")
    return styled
