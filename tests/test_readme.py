"""The commands in README work as printed and in their order, here on a small study."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np

from tests.support.commands import Ended
from tests.support.tiny import write_study

ROOT = Path(__file__).resolve().parents[1]


def commands_of_readme() -> list[list[str]]:
    """The words of each command line in README, without its comment."""
    blocks = re.findall(r"```console\n(.*?)```", (ROOT / "README.md").read_text(), flags=re.DOTALL)
    lines = re.findall(r"^\$ (.*)$", "".join(blocks), flags=re.MULTILINE)
    return [shlex.split(line, comments=True) for line in lines]


def test_every_dae_command_in_readme_runs_as_printed(
    dae: Callable[..., Ended], tiny: Path, tmp_path: Path
) -> None:
    destruction = {f"convex-{p}": {"corruption": {"destruction": p / 100}} for p in (0, 25, 50)}
    write_study(tmp_path, "icml2008", destruction)
    random = np.random.default_rng(0)
    rows = np.column_stack([random.random((120, 9)).round(3), random.integers(0, 2, 120)])
    header = ",".join([*(f"x{k}" for k in range(9)), "label"])
    np.savetxt(tmp_path / "my.csv", rows, "%g", ",", header=header, comments="")
    commands = [words for program, *words in commands_of_readme() if program == "dae"]
    for words in commands:
        dae(*words).succeeded()
    assert {words[0] for words in commands} >= {"replicate", "train", "compare", "verify", "new"}
    for study in ("icml2008", "mine"):
        assert (tmp_path / "results" / study / "report.html").is_file()


def test_every_make_target_in_readme_exists() -> None:
    targets = [words[0] for program, *words in commands_of_readme() if program == "make"]
    assert targets == ["results", "test"]
    for target in targets:
        subprocess.run(["make", "-n", target], cwd=ROOT, check=True, capture_output=True)
