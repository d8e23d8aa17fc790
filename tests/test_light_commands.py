"""The command as a whole: mistakes, listings, tables, progress in pipes and on terminals."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.entry_points.runs import say_where_runs_are_every
from tests.support.children import ROOT, Child
from tests.support.commands import Ended
from tests.support.synthetic_results import SETTINGS, SyntheticStudy
from tests.support.terminal import on_terminal, visible_lines
from tests.support.tiny import destruction_cells, write_study

Dae = Callable[..., Ended]
Start = Callable[..., Child]

COMMANDS = (
    *(
        "train",
        "evaluate",
        "filters",
        "encode",
        "replicate",
        "search",
        "report",
        "verify",
        "ls",
        "show",
        "new",
    ),
    *("data", "data list", "data fetch", "data make", "data verify", "data show"),
)


MISTAKES = """
replicat | replicat | replicate
data lst | lst | list
train tiny/rect-0 --forse | --forse | --force
show | EXPERIMENT
data fetch | NAME
new mine | --data
new mine --data no.csv | --data | 'no.csv' does not exist
show tiny --set | --set
verify tiny --format csv | --format | 'csv' | json
search tiny --sampler grid | --sampler | 'grid' | tpe
search tiny --seed 4294967296 | --seed | 4294967295
filters tiny/rect-0 --tiles 1x101 | --tiles | '1x101' | 100
filters tiny/rect-0 --units 1,1234567 | --units | '1,1234567'
filters runs/no --tiles 2×3 | runs/no
data verify --against x | --against
"""


def mistakes() -> list[tuple[list[str], list[str]]]:
    """Return the words of each wrong command and the parts of its message."""
    rows = [line.split(" | ") for line in MISTAKES.strip().splitlines()]
    return [(command.split(), [part.strip() for part in parts]) for command, *parts in rows]


@pytest.mark.usefixtures("tiny")
def test_a_mistake_is_exit_code_2_with_the_option_the_value_and_the_remedy(
    dae: Dae, tmp_path: Path
) -> None:
    for words, parts in mistakes():
        assert dae(*words).failed(2, *parts).out == "", words
    too_many = ",".join(map(str, range(101)))
    dae("filters", "tiny/rect-0", "--units", too_many).failed(2, "--units", "100")
    long = "x" * 300
    for command in (("report", "tiny", "--out", long), ("evaluate", long), ("verify", long)):
        # From Python 3.14 on, pathlib answers that there is no such file.
        old = sys.version_info < (3, 14)
        remedy = ("longer than the file system allows", "a shorter") if old else ()
        dae(*command).failed(2, long[:80], *remedy)
    assert [path.name for path in tmp_path.iterdir()] == ["experiments"]


@pytest.mark.usefixtures("tiny")
def test_help_listings_and_mistakes_load_no_heavy_package() -> None:
    """Run all of them in one interpreter, which must load nothing heavy."""
    words = [[*command.split(), "--help"] for command in COMMANDS]
    others = ("--help", "--version", "ls", "ls --format json", "show tiny", "data list")
    words += [other.split() for other in others]
    words += [command for command, _ in mistakes()]
    code = """if True:
        import sys
        from tests.entry_points.cli import app
        for words in eval(sys.argv[1]):
            try:
                app(words, prog_name="dae")
            except SystemExit:
                pass
            unwanted = {"torch", "numba", "pandas", "sklearn", "skimage", "scipy", "matplotlib"}
            assert not unwanted & set(sys.modules), (words, unwanted & set(sys.modules))
        """
    command = [sys.executable, "-c", code, repr(words)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]


def test_the_list_of_commands_and_wrong_names_load_no_command() -> None:
    words: list[list[str]] = [["--help"], [], ["replicat"], ["--no-such-option"]]
    code = """if True:
        import sys
        from tests.entry_points.cli import app
        unwanted = {"pydantic", "numpy", "yaml", "rich.progress", "dae_cli.config", "dae_cli.study"}
        for words in eval(sys.argv[1]):
            try:
                app(words, prog_name="dae")
            except SystemExit:
                pass
            assert not unwanted & set(sys.modules), (words, unwanted & set(sys.modules))
            unwanted -= {"pydantic"}  # Typer may use it to convert values
        """
    command = [sys.executable, "-c", code, repr(words)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "Did you mean 'replicate'" in done.stderr


def modules_after(*words: str) -> set[str]:
    """Return the modules that a command has loaded at its end."""
    code = """if True:
        import sys
        from tests.entry_points.cli import app
        app(sys.argv[1:], prog_name="dae", standalone_mode=False)
        print("modules:", *sys.modules)
        """
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", code, *words]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return set(done.stdout.rpartition("modules:")[2].split())


@pytest.mark.usefixtures("tiny")
def test_training_loads_nothing_that_only_tables_need() -> None:
    loaded = modules_after("train", "tiny/rect-0", "--engine", "torch")
    assert "torch" in loaded
    assert not {"pandas", "optuna", "sklearn", "jinja2"} & loaded


@pytest.mark.usefixtures("done")
def test_where_all_is_done_nothing_is_loaded_that_only_training_needs() -> None:
    loaded = modules_after("replicate", "tiny")
    assert "jinja2" in loaded
    assert not {"torch", "numba", "sklearn", "distributed", "optuna"} & loaded


def test_debug_may_appear_anywhere_and_shows_a_traceback(dae: Dae) -> None:
    plain = dae("show", "nothing").failed(2, "'nothing'")
    for words in (
        ("--debug", "show", "nothing"),
        ("show", "--debug", "nothing"),
        ("show", "nothing", "--debug"),
        ("show", "--debug", "--", "nothing"),
    ):
        ended = dae(*words)
        assert (ended.code, ended.out) == (2, "")
        assert ended.err.startswith("Traceback") and ended.err.endswith(plain.err)
    dae("show", "--", "--debug").failed(2, "'--debug'")


def test_a_full_disk_and_a_reader_that_goes_away_are_reported_by_the_exit_code(
    child: Start,
) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    gone = child("ls", stdout=writing)
    silent = child("show", "nothing", stderr=writing)
    os.close(writing)
    assert gone.wait() == (141, "", "")
    assert silent.wait().code == 2
    with Path("/dev/full").open("w") as full:
        ended = child("ls", stdout=full.fileno()).wait()
        debug = child("ls", "--debug", stdout=full.fileno()).wait()
    ended.failed(1, "No space left", "--debug")
    assert debug.code == 1
    assert debug.err.startswith("Traceback") and "--debug shows" not in debug.err


def test_runs_do_not_end_because_nobody_reads_what_is_reported(child: Start, tiny: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    child("replicate", "tiny", stderr=writing).wait()
    os.close(writing)
    assert [path.name for path in sorted(tiny.glob("runs/*/status.json"))] == ["status.json"] * 2
    assert (tiny / "REPORT.md").is_file()


def write_mine(**cells: str) -> None:
    """Write the study `mine` with the texts of its cells."""
    folder = write_study(Path(), "mine", {}, title="My own study")
    for name, text in cells.items():
        (folder / f"{name}.yaml").write_text(text, encoding="utf-8")


def states(ended: Ended) -> dict[str, str]:
    """Return what `dae ls` shows for the runs of each study or cell."""
    head, *lines = ended.succeeded().lines
    at, end = head.index("run"), head.index("reproduces")
    return {line.split()[0]: line[at:end].strip() for line in lines}


def test_studies_are_listed_with_their_cells_and_what_is_done_on_one_screen(
    dae: Dae, done: Path
) -> None:
    write_mine(a="dataset: rect\n")
    ended = dae("ls")
    assert len(ended.lines) <= 24
    head, *lines = [line.split(maxsplit=3) for line in ended.lines]
    assert head == ["study", "cells", "runs", "reproduces"]
    names = ["filters-mnist", "icml2008", "mine", "natural-images", "smoke", "table1"]
    assert [line[0] for line in lines] == [*names, "table1-tuned", "tiny"]
    assert lines[1][1:] == ["7", "none", "ICML 2008, Table 1: rect-img and convex"]
    assert lines[2][1:] == ["1", "none", "My own study"]
    assert states(ended)["tiny"] == "done"

    runs_csv = done / "runs.csv"
    header, first, second = runs_csv.read_text().splitlines()
    runs_csv.write_text(f"{header}\n{first}\n")
    assert states(dae("ls"))["tiny"] == "1 of 2 runs done"
    runs_csv.write_text(f"{header}\n{first}\n{second}\n")
    assert states(dae("ls"))["tiny"] == "done"
    cell = Path("experiments/tiny/rect-25.yaml")
    cell.write_text(cell.read_text() + "seed: 3\n")  # a cell does not depend on the seed
    assert states(dae("ls"))["tiny"] == "done"
    cell.write_text(cell.read_text() + "finetune: {learning_rate: 0.2}\n")
    assert states(dae("ls"))["tiny"] == "1 of 2 runs done"
    assert states(dae("ls", "tiny")) == {"tiny/rect-0": "done", "tiny/rect-25": "none"}
    runs_csv.write_text(f"{header}\nrect-0\n")
    assert "runs.csv" in next(line for line in dae("ls").lines if line.startswith("tiny"))
    dae("ls", "tiny").succeeded()


def test_results_of_other_studies_are_listed_and_missing_run_folders_noted(
    dae: Dae, done: Path
) -> None:
    Path("experiments/tiny").rename("tiny")
    dae("replicate", "tiny", "--out", "results/other").succeeded()  # of tiny: not listed
    assert states(dae("ls"))["tiny"] == "done" and "results/other" not in states(dae("ls"))
    (listed,) = dae("ls", "tiny", "--format", "json").json
    assert (listed["runs"], listed["run_folders"]) == ("done", True)
    shutil.rmtree(done / "runs")
    assert states(dae("ls"))["tiny"] == "done (run folders not here)"
    assert states(dae("ls", "tiny"))["tiny/rect-0"] == "done (run folders not here)"
    assert dae("ls", "tiny", "--format", "json").json == [listed | {"run_folders": False}]
    shutil.rmtree("tiny")
    assert states(dae("ls"))["results/tiny"] == "done (run folders not here)"
    (done / "settings.yaml").write_text("study: [\n")
    assert "results/tiny" not in states(dae("ls"))


def test_a_run_that_failed_is_listed_as_failed(dae: Dae, tiny: Path) -> None:
    cells = destruction_cells(0, 25)
    cells["rect-25"] |= {"pretrain": {"learning_rate": 1000.0, "loss": "squared-error"}}
    write_study(Path(), "tiny", cells)
    dae("replicate", "tiny", "--only", "rect-25").failed(1, "diverged")
    assert states(dae("ls"))["tiny"] == "0 of 2 runs done, 1 failed"
    assert states(dae("ls", "tiny")) == {"tiny/rect-0": "none", "tiny/rect-25": "failed"}
    (listed,) = dae("ls", "tiny", "--format", "json").json
    assert [cell["run"] for cell in listed["cells"]] == ["none", "failed"]


def test_the_cells_of_a_study_are_listed_in_their_natural_order(dae: Dae) -> None:
    write_mine(b10="#  Ten.\nseed: 10\n", b9="seed: 9 # nine\n", c="\ufeff# Three.  \n")
    head, *lines = [line.split(maxsplit=2) for line in dae("ls", "icml2008").succeeded().lines]
    assert head == ["cell", "run", "reproduces"]
    assert lines[0] == ["icml2008/convex-0", "none", "ICML 2008, Table 1, convex: SAA-3, 0 %."]
    assert len(lines) == 7
    cells = {"mine/b9": "", "mine/b10": "Ten.", "mine/c": "Three."}
    for name in ("mine", "experiments/mine/"):
        lines = [line.split() for line in dae("ls", name).succeeded().lines[1:]]
        assert lines == [[cell, "none", *text.split()] for cell, text in cells.items()]
    Path("experiments/mine/c.yaml").write_text("# Three.\nmodle: {}\n")
    ended = dae("ls", "mine")
    ended.failed(0, "dae show mine")
    assert ended.lines[3].split() == ["mine/c", "-", "Three."]
    dae("ls", "smok").failed(2, "'smok'", "smoke")
    dae("ls", "smoke/convex-0").failed(2, "smoke/convex-0", "dae show")


def test_json_has_studies_with_their_folders_and_cells(dae: Dae, tmp_path: Path) -> None:
    write_mine(a="# First.\ndataset: rect\n")
    hidden = tmp_path / "experiments" / "icml2008"
    shutil.copytree(tmp_path / "experiments" / "mine", hidden)
    shutil.copytree(hidden, tmp_path / "experiments" / "not a name")
    (tmp_path / "experiments" / "empty").mkdir()
    (tmp_path / "experiments" / "broken").mkdir()
    (tmp_path / "experiments" / "broken" / "study.yaml").write_text("title: [\n")
    listed = dae("ls", "--format", "json").succeeded().json
    names = ["broken", "filters-mnist", "icml2008", "mine", "natural-images", "smoke"]
    names += ["table1", "table1-tuned"]
    assert [study["name"] for study in listed] == names
    studies = {study["name"]: study for study in listed}
    assert studies["mine"] == {
        "name": "mine",
        "title": "My own study",
        "source": str(tmp_path / "experiments" / "mine"),
        "runs": "none",
        "run_folders": False,
        "cells": [{"name": "mine/a", "reproduces": "First.", "run": "none"}],
    }
    assert dae("ls", "mine", "--format", "json").json == [studies["mine"]]
    assert studies["icml2008"]["source"] == str(hidden)
    assert (studies["broken"]["title"], studies["broken"]["cells"]) == ("", [])
    assert "dae show broken" in next(line for line in dae("ls").lines if line.startswith("broken"))


def test_a_table_fits_the_terminal_and_no_study_can_control_it(child: Start) -> None:
    write_mine(a="# A.\n")
    study = Path("experiments/mine/study.yaml")
    title = 'title: "\\e[33myellow"'
    text = re.sub("^title: .*$", lambda _: title, study.read_text(), flags=re.MULTILINE)
    study.write_text(text, encoding="utf-8")
    evil = study.with_name("\x1b[32mb.yaml")
    for words, parts in ((("ls",), ("yellow", "…\r\n")), (("ls", "mine"), ("red", "[32mb"))):
        ended, drawn = on_terminal(child, "stdout", *words)
        lines = visible_lines(drawn)
        assert ended.code == 0
        assert lines[0].split()[-1] == "reproduces"
        assert max(map(len, lines)) <= 80
        assert all(part in drawn for part in parts)
        assert not re.search(r"\x1b\[3[123]m|\x1b\]|\x07", drawn + ended.err)
        evil.write_text("# \x1b]0;title\x07\x1b[31mred\n", encoding="utf-8")


def test_the_time_of_a_run_is_reported_in_seconds_or_minutes(dae: Dae, done: Path) -> None:
    (status,) = done.glob("runs/*-25-*/status.json")
    text = status.read_text()
    times = {"0.99": "59 s", "1": "1.0 min", "9.94": "9.9 min", "9.95": "10 min"}
    for minutes, shown in times.items():
        status.write_text(re.sub(r'"minutes": [\d.]+', f'"minutes": {minutes}', text))
        assert dae("train", "tiny/rect-25").lines[3] == f"took         {shown}"


@pytest.mark.usefixtures("tiny")
def test_a_log_reports_where_runs_are_after_a_silence(
    dae: Dae, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = ("--set", "finetune.max_epochs=200", "--set", "finetune.patience=200")
    assert "running" not in dae("replicate", "tiny", "--force").succeeded().err
    say_where_runs_are_every(0.05, monkeypatch)
    said = [
        line
        for line in dae("replicate", "tiny", *long).succeeded().err.splitlines()
        if "running" in line
    ]
    assert said and all(
        re.match(r"running  rect-(0|25) (pretrain|finetune|test)", line) for line in said
    )


@pytest.mark.usefixtures("tiny")
def test_a_terminal_shows_a_bar_for_each_run_and_one_for_all(child: Start) -> None:
    long = ("--set", "finetune.max_epochs=400", "--set", "finetune.patience=400")
    ended, drawn = on_terminal(child, "stderr", "replicate", "tiny", *long)
    ended.succeeded()
    assert "\x1b" not in ended.out
    lines = visible_lines(drawn)
    assert max(map(len, lines)) <= 80
    bar = r" +[━╸╺]+ +\d+ % 0:00:\d\d +"
    for line in (
        rf"all{bar}0 of 2 runs",
        rf"all{bar}1 of 2 runs",
        rf"rect-25{bar}finetune +\d+/400  valid [\d.]+ %",
        r"done     rect-0: [\d.]+ ± [\d.]+ % test error in \d+ s \(1 of 2\)",
        r"done     rect-25: [\d.]+ ± [\d.]+ % test error( \(at chance\))? in \d+ s \(2 of 2\)",
    ):
        assert any(re.fullmatch(line, one) for one in lines), line
    assert "\x1b[38;5;" in drawn and drawn.index("\x1b[?25l") < drawn.index("\x1b[?25h")
    run = next(Path("results").glob("*/runs/*"))
    ended, drawn = on_terminal(child, "stderr", "encode", str(run), "--out", "codes.csv")
    assert ended.succeeded().lines == ["codes.csv"]
    line = rf"{run.name}{bar}encode 550/550"
    assert any(re.fullmatch(line, one) for one in visible_lines(drawn))


TABLE = """\
dataset    destruction   ours            paper                   gap    verdict
rect-img    0 %          25.00 ± 0.38    24.05 ± 0.37 (SAA-3)    +0.95  worse (regenerated data)
convex     25 %          18.00 ± 0.34    19.06 ± 0.34 (SdA-3)    -1.06  better"""


def test_the_table_of_results_has_marks_and_names_cells_that_are_alike(dae: Dae) -> None:
    convex = SETTINGS["SdA-3"]
    cells = {"a": SETTINGS["SAA-3"] | {"dataset": "rect-img"}, "b": convex}
    results = SyntheticStudy(Path(), cells, reference="model")
    regenerated: dict[str, Any] = {"data_origin": "regenerated", "data_sha256": "e" * 64}
    results.add("a", "SAA-3", 12_500, dataset="rect-img", **regenerated)
    results.add("b", "SdA-3", 9_000)
    results.write()
    assert dae("report", "made").succeeded().out == f"{TABLE}\nresults/made/REPORT.md\n"

    alike = SyntheticStudy(
        Path(), {"deep": convex, "wide": convex | {"seed": 1}}, reference="model"
    )
    alike.add("deep", "SdA-3", 9_000)
    alike.add("wide", "SdA-3", 9_001, seed=1)
    alike.write()
    lines = dae("report", "made").succeeded().lines
    assert [line.split()[0] for line in lines[:3]] == ["cell", "deep", "wide"]


@pytest.mark.usefixtures("tiny")
def test_the_command_is_recorded_as_it_was_typed_on_one_line(
    child: Start,
) -> None:
    for out, quoted in (("a b", "'a b'"), ("c\nd's", r'''"c\nd's"''')):
        child("train", "tiny/rect-0", "--out", out).wait().succeeded()
        (path,) = Path(out).glob("*/environment.json")
        command = json.loads(path.read_text())["command"]
        assert command == f"dae train tiny/rect-0 --out {quoted} --engine torch"
