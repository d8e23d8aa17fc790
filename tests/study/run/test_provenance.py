"""Which code made a number: the commit of the checkout, and the versions of what it uses."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest

import dae_cli
from dae_cli import machine
from dae_cli.machine import cores, cpu_name
from dae_cli.study.run.provenance import REPORTED, Environment, commit, continued, environment

Git = Callable[..., str]


@pytest.fixture(autouse=True)
def _ask_again() -> Iterator[None]:
    """The commit is asked for once in a process; here it changes."""
    commit.cache_clear()
    yield
    commit.cache_clear()


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that the package seems to lie in."""
    package = tmp_path / "repository" / "dae_cli"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text('"""A package."""\n')
    monkeypatch.setattr(dae_cli, "__file__", str(package / "__init__.py"))
    return package.parent


@pytest.fixture
def git(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> Git:
    """Run git in the checkout, whose first commit holds the package and a result."""
    if shutil.which("git") is None:
        pytest.skip("git is not installed")
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)

    def run(*arguments: str) -> str:
        who = ("-c", "user.name=a", "-c", "user.email=a@b.example", "-c", "commit.gpgsign=false")
        done = subprocess.run(
            ["git", "-C", str(checkout), *who, *arguments],
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.strip()

    (checkout / "results").mkdir()
    (checkout / "results" / "table.csv").write_text("a\n")
    run("init", "--quiet")
    run("add", ".")
    run("commit", "--quiet", "-m", "first")
    return run


def test_a_clean_checkout_gives_its_commit(git: Git) -> None:
    assert commit() == git("rev-parse", "HEAD")[:12]


def test_results_do_not_make_it_dirty(git: Git, checkout: Path) -> None:
    (checkout / "results" / "table.csv").write_text("changed\n")
    (checkout / "results" / "new.csv").write_text("new\n")
    assert not commit().endswith("-dirty")


@pytest.mark.parametrize("how", ["changed", "new", "staged", "removed"])
def test_any_other_change_does(git: Git, checkout: Path, how: str) -> None:
    source = checkout / "dae_cli" / "__init__.py"
    if how == "removed":
        source.unlink()
    elif how == "new":
        (checkout / "dae_cli" / "new.py").write_text("")
    else:
        source.write_text("changed = 1\n")
    if how == "staged":
        git("add", ".")
    assert commit() == git("rev-parse", "HEAD")[:12] + "-dirty"


def test_a_folder_that_is_only_called_results_does(git: Git, checkout: Path) -> None:
    (checkout / "dae_cli" / "results").mkdir()
    (checkout / "dae_cli" / "results" / "new.py").write_text("")
    assert commit().endswith("-dirty")


def test_outside_a_checkout_there_is_no_commit(checkout: Path) -> None:
    assert commit() == ""


def test_a_package_installed_inside_a_checkout_is_not_of_its_commit(
    git: Git, checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = checkout / ".venv" / "site-packages" / "dae_cli"
    installed.mkdir(parents=True)
    monkeypatch.setattr(dae_cli, "__file__", str(installed / "__init__.py"))
    assert commit() == ""


def test_a_repository_without_commits_has_none(git: Git, checkout: Path) -> None:
    shutil.rmtree(checkout / ".git")
    git("init", "--quiet")
    assert commit() == ""


def test_without_git_there_is_no_commit(git: Git, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: object, **__: object) -> None:
        raise FileNotFoundError("git")

    monkeypatch.setattr(subprocess, "run", missing)
    assert commit() == ""


def test_the_versions_are_one_line_of_what_a_number_depends_on(checkout: Path) -> None:
    always = (
        f"dae {dae_cli.__version__}; python {platform.python_version()}; "
        f"torch {version('torch')}; numpy {version('numpy')}"
    )
    assert environment("cpu", "torch", 1, "dae train x").versions == always
    blas = environment("cpu", "blas", 1, "dae train x")
    assert blas.versions == f"{always}; scipy {version('scipy')}"
    compiled = environment("cpu", "compiled", 1, "dae train x")
    assert compiled.versions == (
        f"{always}; numba {version('numba')}; llvmlite {version('llvmlite')}"
    )


def test_a_library_that_only_another_engine_needs_may_be_missing(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def installed(name: str) -> str:
        if name in ("numba", "llvmlite"):
            raise PackageNotFoundError(name)
        return version(name)

    monkeypatch.setattr(machine, "version", installed)
    env = environment("cpu", "torch", 1, "dae train x")
    assert set(env.packages) == set(REPORTED) - {"numba", "llvmlite"}
    assert "numba" not in env.versions


def test_the_environment_holds_plain_values(checkout: Path) -> None:
    env = environment("cpu", "torch", 1, "dae train x").as_dict()
    assert set(env["packages"]) == set(REPORTED)
    assert (env["threads"], env["device"], env["engine"]) == (1, "cpu", "torch")
    assert env["command"] == "dae train x"
    assert "\n" not in env["blas"]
    assert env["cores"] == cores() >= 1
    assert env["cpu"] == cpu_name() != ""


# Runs that were stopped and went on


def _session(**changes: str) -> Environment:
    """The environment of a process of the same run."""
    env = environment("cpu", "torch", 1, "dae train x")
    return env.model_copy(update={"commit": "abc", **changes})


def test_a_run_that_goes_on_as_it_was_begun_has_nothing_to_add() -> None:
    now = _session()
    assert continued(_session(), now) == now
    assert (now.commits, now.devices, now.earlier) == ("abc", "cpu", ())


def test_another_commit_or_version_of_an_earlier_session_is_told() -> None:
    before = _session(dae="0.0.1", commit="abc-dirty")
    env = continued(before, _session(commit="def"))
    assert env.commits == "abc-dirty+def"
    assert env.versions == f"{before.versions} / {_session().versions}"
    (earlier,) = env.as_dict()["earlier"]
    assert earlier == {
        "commit": "abc-dirty",
        "versions": before.versions,
        "device": "cpu",
        "cpu": before.cpu,
        "platform": before.platform,
        "command": "dae train x",
    }


def test_the_sessions_of_a_run_stopped_again_and_again_are_each_told_once_in_order() -> None:
    env = _session(commit="a")
    for name in ("b", "a", "b", "c", "c"):
        env = continued(env, _session(commit=name))
    assert env.commits == "a+b+c"
    assert [session.commit for session in env.earlier] == ["a", "b"]
    assert env.versions == _session().versions


def test_the_machine_and_command_of_an_earlier_session_are_kept() -> None:
    env = continued(_session(cpu="abacus", command="dae train y"), _session())
    assert [(s.cpu, s.command) for s in env.earlier] == [("abacus", "dae train y")]
    assert env.commits == "abc"


def test_another_device_of_an_earlier_session_is_told() -> None:
    assert continued(_session(device="NVIDIA A"), _session(device="NVIDIA B")).devices == (
        "NVIDIA A / NVIDIA B"
    )


def test_a_session_of_which_no_record_is_left_is_told_as_unknown() -> None:
    env = continued(None, _session())
    assert (env.commits, env.versions) == ("unknown+abc", f"unknown / {_session().versions}")


def test_an_installed_package_beside_a_checkout_is_told() -> None:
    assert continued(_session(commit=""), _session()).commits == "installed+abc"
    assert continued(_session(commit="", cpu="abacus"), _session(commit="")).commits == ""


def test_an_environment_with_earlier_sessions_is_read_back_from_json() -> None:
    env = continued(_session(commit="def"), _session())
    assert Environment.model_validate_json(json.dumps(env.as_dict())) == env
