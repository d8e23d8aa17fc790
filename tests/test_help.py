"""`dae --help` and the help of each command, in pipes and on terminals; completion in shells."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import pytest

from tests.support.children import ROOT, Child
from tests.support.commands import Ended
from tests.support.terminal import on_terminal, visible_lines

Dae = Callable[..., Ended]
Start = Callable[..., Child]

GROUPS = {
    "Replicate": ["ls", "replicate", "train", "search"],
    "Explore": ["compare", "filters", "encode", "show"],
    "Data": ["data", "new"],
    "Maintain": ["evaluate", "report", "verify"],
}
SETS = ["list", "fetch", "make", "verify", "show"]
COMMANDS = [
    *(name for group in GROUPS.values() for name in group),
    *(f"data {name}" for name in SETS),
]
BOTH = "stdout stderr"


def sections(lines: list[str]) -> dict[str, list[str]]:
    """Return the lines of each section of a help, plain or in panels, by its heading."""
    found: dict[str, list[str]] = {}
    for line in lines:
        if heading := re.fullmatch(r"╭─ (.*?) ─+╮|(\w[\w ]*):", line):
            title = heading[1] or heading[2]
            found[title] = []
        elif found and (row := re.fullmatch(r"│ (.*) │|  (.+)", line)):
            found[title].append((row[1] or row[2]).rstrip())
    return found


def unwrapped(lines: list[str]) -> dict[str, str]:
    """Return the text of each section without its spaces, wherever its lines are wrapped."""
    return {title: "".join("".join(rows).split()) for title, rows in sections(lines).items()}


def listed(section: list[str]) -> dict[str, str]:
    """Return what follows each name of a section; every line must be a name with its text."""
    rows = [re.fullmatch(r"(\S+) {2,}(\S.*)", line) for line in section]
    assert all(rows), section
    return {row[1]: row[2] for row in rows if row}


def test_every_command_shows_its_help_with_an_example_in_80_columns(dae: Dae) -> None:
    for command in COMMANDS:
        ended = dae(*command.split(), "--help").succeeded()
        assert max(map(len, ended.lines)) <= 80
        assert dae(*command.split(), "-h").out == ended.out
        assert f"Example: dae {command}" in ended.out
        assert "\x1b" not in ended.out and "│" not in ended.out
    assert "auto|torch|compiled" in dae("train", "--help").out
    whole = dae("--help").out
    assert re.search(r"Exit codes:\n +0 .*\n +1 .*\n +2 .*\n +130 .*143.*129", whole)
    assert dae("--version").succeeded().out == f"dae {version('dae-cli')}\n"


def test_no_command_shows_the_help(dae: Dae) -> None:
    for words in ((), ("--debug",)):
        ended = dae(*words)
        assert ended.code == 2
        assert "\n  replicate " in ended.out + ended.err


def test_commands_are_listed_in_groups_with_whole_summaries(dae: Dae, child: Start) -> None:
    """In pipes and in panels of a terminal; each summary is the first sentence of the help."""
    summaries = {name: summary_of(dae(*name.split(), "--help").lines) for name in COMMANDS}
    for words, names in (((), GROUPS), (("data",), {"Commands": SETS})):
        ended, drawn = on_terminal(child, BOTH, *words, "--help")
        assert ended.code == 0
        for lines in (dae(*words, "--help").lines, visible_lines(drawn)):
            found = sections(lines)
            for title, group in names.items():
                assert listed(found[title]) == {
                    name: summaries[" ".join((*words, name))] for name in group
                }
    assert not [text for text in summaries.values() if "…" in text or "..." in text]
    assert all(text.endswith((".", "?")) for text in summaries.values())


def summary_of(lines: list[str]) -> str:
    """Return the first paragraph of a help, which must be one line."""
    assert not lines[3]
    return lines[2].strip()


def test_a_terminal_gets_the_same_text_in_panels(dae: Dae, child: Start) -> None:
    for command in ("", *COMMANDS):
        words = [*command.split(), "--help"]
        ended, drawn = on_terminal(child, BOTH, *words)
        assert ended.code == 0 and "\x1b[" in drawn
        lines = visible_lines(drawn)
        assert max(map(len, lines)) <= 80
        assert unwrapped(lines) == unwrapped(dae(*words).lines), command


def test_no_command_and_mistakes_on_a_terminal(child: Start) -> None:
    ended, drawn = on_terminal(child, BOTH)
    assert ended.code == 2
    assert list(GROUPS) == list(sections(visible_lines(drawn)))[:4]
    ended, drawn = on_terminal(child, BOTH, "replicat")
    assert ended.code == 2
    assert "│" not in drawn and "\x1b" not in drawn
    assert (
        visible_lines(drawn)[-1] == "Error: No such command 'replicat'. Did you mean 'replicate'?"
    )


@pytest.mark.parametrize(
    ("streams", "environment"),
    [
        ("stdout", {}),
        (BOTH, {"NO_COLOR": "1"}),
        (BOTH, {"TERM": "dumb"}),
        (BOTH, {"COLUMNS": "59"}),
    ],
)
def test_help_is_plain_where_panels_do_not_fit(
    child: Start, streams: str, environment: dict[str, str]
) -> None:
    ended, drawn = on_terminal(child, streams, "data", "--help", environment=environment)
    assert ended.code == 0
    assert "│" not in drawn and "\x1b" not in drawn
    assert "Commands:" in visible_lines(drawn)


def test_the_options_of_a_long_command_are_in_panels(dae: Dae) -> None:
    panels = {
        "train": ["Arguments", "Settings", "Runs", "Data", "Output", "Options"],
        "replicate": ["Arguments", "Runs", "Settings", "Data", "Output", "Options"],
        "search": ["Arguments", "Search", "Runs", "Settings", "Data", "Output", "Options"],
        "filters": ["Arguments", "Units", "Picture", "Data", "Options"],
        "data list": ["Arguments", "Options"],
    }
    for command, titles in panels.items():
        found = sections(dae(*command.split(), "--help").lines)
        assert list(found) == titles
        assert any("--help" in line for line in found["Options"])
    found = sections(dae("replicate", "--help").lines)
    assert [line.split()[0] for line in found["Data"] if line.startswith("-")] == [
        "--data-dir",
        "--origin",
        "--accept-unverified",
        "--photos",
    ]


def complete(child: Start, words: str, shell: str = "bash") -> list[str]:
    """Return what a shell is given for the last word of a command line."""
    environment = {
        "_DAE_COMPLETE": f"complete_{shell}",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(re.split(" +", words)) - 1),
        "_TYPER_COMPLETE_ARGS": words,
        "_TYPER_COMPLETE_FISH_ACTION": "get-args",
    }
    ended = child(environment=environment).wait().succeeded()
    assert not ended.err
    return [line for line in ended.lines if line]


CONVEX = [f"convex-{level}" for level in (0, 10, 25, 50)]


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("dae re", ["replicate", "report"]),
        ("dae --install", ["--install-completion"]),
        ("dae --version ver", ["verify"]),
        ("dae data ", SETS),
        ("dae train --se", ["--set", "--seeds", "--seed"]),
        ("dae train icml2008/conv", [f"icml2008/{cell}" for cell in CONVEX]),
        ("dae train tiny/rect-0 --engine ", ["auto", "torch", "compiled"]),
        ("dae replicate t", ["table1", "table1-tuned", "tiny"]),
        ("dae replicate icml2008 --seeds 2 --only conv", CONVEX),
        ("dae search --only conv", []),
        ("dae replicate no-such-study --only ", []),
        ("dae show tin", ["tiny", "tiny/rect-0", "tiny/rect-25"]),
        ("dae compare tiny/rect-0 tiny/rect-2", ["tiny/rect-25"]),
        ("dae data fetch convex rect", ["rect", "rect-img"]),
        ("dae evaluate results/", []),
        ("dae train tiny/rect-0 --set model.h", ["model.hidden="]),
        ("dae replicate tiny --grid pretrain.ep", ["pretrain.epochs="]),
    ],
)
def test_names_of_commands_options_studies_cells_and_data_sets_are_completed(
    child: Start, words: str, expected: list[str]
) -> None:
    assert complete(child, words) == expected


@pytest.mark.usefixtures("tiny")
def test_zsh_and_fish_are_given_one_line_for_each_name_with_its_text(
    dae: Dae, child: Start
) -> None:
    lines = complete(child, "dae ver", "fish")
    assert lines == ["verify\tRecompute a study's results and report mismatches."]
    lines = complete(child, "dae replicate tiny --", "fish")
    assert all(re.fullmatch(r"--[a-z-]+\t\S.{0,75}", line) for line in lines)
    options = re.findall(r"^  (?:-\w, )?(--[\w-]+)", dae("replicate", "-h").out, re.MULTILINE)
    assert {line.split("\t")[0] for line in lines} == set(options)
    text = "\n".join(complete(child, "dae data ", "zsh"))
    assert all(f'"{name}":"' in text for name in SETS)


def test_completion_reads_no_broken_folder(child: Start) -> None:
    Path("experiments").write_text("not a folder")
    assert "icml2008" in complete(child, "dae replicate ")


@pytest.mark.usefixtures("tiny")
def test_help_on_a_terminal_and_completion_load_no_heavy_package() -> None:
    code = """if True:
        import os, sys
        from tests.entry_points.cli import app
        unwanted = {"torch", "numba", "pandas", "sklearn", "skimage", "scipy", "matplotlib"}
        for word in ("train tin", "compare tiny", "data fetch c", "filters --", "replicate t",
                     "train tiny/rect-0 --set mo"):
            os.environ["COMP_WORDS"] = f"dae {word}"
            os.environ["COMP_CWORD"] = str(len(word.split()))
            os.environ["_DAE_COMPLETE"] = "complete_bash"
            try:
                app([], prog_name="dae")
            except SystemExit:
                pass
            assert not unwanted & set(sys.modules), (word, unwanted & set(sys.modules))
        """
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert {"tiny/rect-0", "convex", "--layer"} <= set(done.stdout.split())


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_can_have_completion_installed(shell: str, tmp_path: Path) -> None:
    if not (program := shutil.which(shell)):
        pytest.skip(f"{shell} is not installed")
    home = tmp_path / "home"
    home.mkdir()
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "HOME": str(home)}
    for option in ("--show-completion", "--install-completion"):
        line = f"{sys.executable} -m dae_cli {option}; exit $?"
        command = [program, "-c", line]
        ended = subprocess.run(
            command, env=environment, capture_output=True, text=True, check=False
        )
        assert ended.returncode == 0, ended.stderr
        if option == "--show-completion":
            assert "_DAE_COMPLETE" in ended.stdout
    written = [path.read_text() for path in home.rglob("*") if path.is_file()]
    assert any("_DAE_COMPLETE" in text for text in written)
