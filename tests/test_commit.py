"""The commit that a run records: that of the code's checkout, or why it is unknown."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.children import ROOT, Child
from tests.support.commands import Ended
from tests.support.tiny import read_csv, read_json

REAL = shutil.which("git") or ""
pytestmark = [
    pytest.mark.usefixtures("tiny"),
    pytest.mark.skipif(
        not REAL or not (ROOT / ".git").exists(), reason="needs git, and the package in a checkout"
    ),
]
Start = Callable[..., Child]
Train = Callable[..., tuple[str, Ended]]

# A replacement of git that uses the test's checkout instead of this package's, and can run another
# command first.
FAKE_GIT = """\
#!/bin/sh
{first}
for word; do
  shift
  [ "$word" = '{root}' ] && word='{checkout}'
  set -- "$@" "$word"
done
exec '{real}' "$@"
"""


def git(folder: Path, *words: str) -> str:
    who = ("-c", "user.name=a", "-c", "user.email=a@b.example")
    command = [REAL, "-C", str(folder), *who, *words]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def repository(folder: Path) -> Path:
    """Create a repository whose first commit has code, an experiment and results."""
    for name in ("dae_cli/code.py", "experiments/a.yaml", "results/table.csv"):
        (folder / name).parent.mkdir(parents=True)
        (folder / name).write_text(f"first of {folder.name}\n")
    git(folder, "init", "--quiet")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "-m", "first")
    return folder


def head(folder: Path) -> str:
    return git(folder, "rev-parse", "HEAD")[:12]


def stand_in(checkout: Path, first: str = "") -> None:
    """Write the program that replaces git."""
    path = checkout.parent / "tools" / "git"
    path.parent.mkdir(exist_ok=True)
    path.write_text(FAKE_GIT.format(first=first, root=ROOT, checkout=checkout, real=REAL))
    path.chmod(0o755)


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Create a repository that replaces the checkout that this package runs from."""
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    checkout = repository(tmp_path / "checkout")
    stand_in(checkout)
    monkeypatch.setenv("PATH", str(tmp_path / "tools"), prepend=os.pathsep)
    return checkout


@pytest.fixture
def train(child: Start) -> Train:
    """Return a function that trains a run and returns its recorded commit and the outcome."""

    def run(environment: dict[str, str] | None = None) -> tuple[str, Ended]:
        words = ("--set", "finetune.max_epochs=1", "--out", "runs", "--force")
        ended = child("train", "tiny/rect-0", *words, environment=environment).wait().succeeded()
        return read_json(Path(ended.lines[-1]) / "environment.json")["commit"], ended

    return run


def test_changes_of_code_and_experiments_are_told_and_others_are_not(
    checkout: Path, train: Train
) -> None:
    git(checkout, "config", "status.showUntrackedFiles", "no")
    (checkout / "results" / "table.csv").write_text("changed\n")
    (checkout / "results" / "new.csv").write_text("new\n")
    (checkout / "notes.txt").write_text("new, outside the folders of code\n")
    commit, ended = train()
    assert commit == head(checkout)
    assert "commit" not in ended.err
    (checkout / "experiments" / "a.yaml").write_text("changed\n")
    assert train()[0] == f"{head(checkout)}-dirty"
    git(checkout, "checkout", "--quiet", "--", "experiments")
    (checkout / "dae_cli" / "new.py").write_text("new\n")
    assert train()[0] == f"{head(checkout)}-dirty"


@pytest.mark.parametrize(
    "names",
    [
        ("GIT_DIR",),
        ("GIT_DIR", "GIT_WORK_TREE"),
        ("GIT_INDEX_FILE",),
        ("GIT_OBJECT_DIRECTORY",),
        ("GIT_COMMON_DIR",),
        ("GIT_LITERAL_PATHSPECS",),
        ("GIT_CONFIG_PARAMETERS",),
        ("GIT_CONFIG_COUNT", "GIT_CONFIG_KEY_0", "GIT_CONFIG_VALUE_0"),
    ],
    ids="+".join,
)
def test_what_git_sets_for_another_repository_is_not_obeyed(
    checkout: Path, tmp_path: Path, train: Train, names: tuple[str, ...]
) -> None:
    """Git sets these variables for hooks, aliases and `rebase --exec`."""
    other = repository(tmp_path / "other")
    values = {
        "GIT_DIR": f"{other}/.git",
        "GIT_WORK_TREE": f"{other}",
        "GIT_INDEX_FILE": f"{other}/.git/index",
        "GIT_OBJECT_DIRECTORY": f"{other}/.git/objects",
        "GIT_COMMON_DIR": f"{other}/.git",
        "GIT_LITERAL_PATHSPECS": "1",
        "GIT_CONFIG_PARAMETERS": "'status.showuntrackedfiles'='no'",
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": "core.excludesFile",
        "GIT_CONFIG_VALUE_0": str(tmp_path / "everything"),
    }
    (tmp_path / "everything").write_text("*\n")
    (checkout / "results" / "table.csv").write_text("changed\n")
    hides_changes = names[0].startswith("GIT_CONFIG")
    if hides_changes:
        (checkout / "dae_cli" / "new.py").write_text("new\n")
    commit, _ = train({name: values[name] for name in names})
    assert commit == head(checkout) + ("-dirty" if hides_changes else "")


def test_nothing_of_a_hook_or_a_file_monitor_is_run(checkout: Path, train: Train) -> None:
    (checkout / "monitor").write_text(f"#!/bin/sh\ntouch '{checkout}/ran'\n")
    (checkout / "monitor").chmod(0o755)
    shutil.copy(checkout / "monitor", checkout / ".git" / "hooks" / "post-index-change")
    git(checkout, "config", "core.fsmonitor", str(checkout / "monitor"))
    os.utime(checkout / "dae_cli" / "code.py", (0, 0))  # git would update the index
    assert train()[0] == head(checkout)
    assert not (checkout / "ran").exists()


@pytest.mark.parametrize(
    ("first", "why"),
    [
        ("echo 'fatal: a+b' >&2; exit 9", "git: fatal: a b"),
        ("exit 9", "git exited with 9"),
        ("export GIT_TEST_ASSUME_DIFFERENT_OWNER=1", "dubious ownership"),
        (": > '{checkout}/.git/index'; echo x > '{checkout}/.git/index'", "index file"),
        (
            "rm -rf '{checkout}/.git/refs/heads'; mkdir '{checkout}/.git/refs/heads'",
            "single revision",
        ),
        (
            "echo 'gitdir: /nowhere' > '{checkout}/x'; cd '{checkout}'; mv .git g; mv x .git",
            "not a git repository",
        ),
    ],
    ids=["error", "silent", "owner", "index", "empty", "gitfile"],
)
def test_why_a_commit_is_not_known_is_recorded_and_told(
    checkout: Path, train: Train, first: str, why: str
) -> None:
    stand_in(checkout, first.format(checkout=checkout))
    commit, ended = train()
    assert commit.startswith("unknown (") and commit.endswith(")") and why in commit
    assert str(checkout) not in commit and "+" not in commit
    assert commit in ended.message and f"git -C {ROOT} status" in ended.message


def test_a_study_without_git_tells_so_at_its_end_and_in_its_report(
    child: Start, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "no-tools").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "no-tools"))
    ended = child("replicate", "tiny").wait().succeeded()
    unknown = "unknown (git is not on the PATH)"
    assert unknown in ended.err.splitlines()[-1]
    assert [row["commit"] for row in read_csv(tiny / "runs.csv")] == [unknown, unknown]
    assert f"at commit {unknown}" in (tiny / "REPORT.md").read_text()
    assert unknown in (tiny / "report.html").read_text()
    assert unknown in child("replicate", "tiny").wait().succeeded().err  # repeated
    child("verify", "tiny").wait().succeeded()


def test_the_repository_around_the_checkout_is_not_asked(tmp_path: Path) -> None:
    """The package's own .git, though damaged, shows that it is a separate checkout."""
    around = repository(tmp_path / "around")
    shutil.copytree(ROOT / "dae_cli", around / "inner" / "dae_cli")
    (around / "inner" / ".git").mkdir()
    command = [sys.executable, "-m", "dae_cli", "train", "tiny/rect-0", "--quiet"]
    ended = subprocess.run(
        [*command, "--engine", "torch"],
        env=os.environ | {"PYTHONPATH": str(around / "inner")},
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    commit = read_json(Path(ended.stdout.strip()) / "environment.json")["commit"]
    assert commit.startswith("unknown (git: fatal: not a git repository")
