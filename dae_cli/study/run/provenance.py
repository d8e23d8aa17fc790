"""Which code, on which machine, made a number."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

import dae_cli
from dae_cli.engines.names import LIBSVM
from dae_cli.machine import cores, cpu_name, version_of
from dae_cli.training.version import NUMERICS_VERSION, UNRECORDED

REPORTED = (
    *("torch", "numpy", "scipy", "numba", "llvmlite"),
    *("safetensors", "pydantic", "scikit-image", "pillow", "scikit-learn"),
)
_OF_THE_ENGINE = {
    "torch": ("torch", "numpy"),
    "blas": ("torch", "numpy", "scipy"),  # in runs of earlier versions
    "compiled": ("torch", "numpy", "numba", "llvmlite"),
    LIBSVM: ("numpy", "scikit-learn"),
}


UNKNOWN, INSTALLED = "unknown", "installed"
"""In place of a commit: of a session without a record; of a package outside a checkout."""
_UNKNOWN_BECAUSE = f"{UNKNOWN} ("
"""Begins what is recorded in place of a commit that git cannot name."""


class _Strict(BaseModel):
    """No silent conversion of types, no unknown keys."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")


class Session(_Strict):
    """What an earlier process used that worked on the same run."""

    commit: str
    versions: str
    device: str
    cpu: str
    platform: str
    command: str


class Environment(_Strict):
    """What environment.json of a run holds: of the last process, and what differed before."""

    dae: str
    commit: str
    """Commit of the checkout the code ran from, with -dirty if it had changes; `unknown (why)`;
    empty outside a checkout."""
    numerics: Annotated[int, Field(ge=1, le=10**6)] = UNRECORDED
    python: str
    packages: dict[str, str]
    platform: str
    cpu: str
    cores: Annotated[int, Field(ge=1, le=10**6)]
    threads: Annotated[int, Field(ge=1, le=10**6)]
    device: str
    engine: str
    blas: str
    command: str
    earlier: Annotated[tuple[Session, ...], Field(strict=False)] = ()
    """The sessions before the last one, each once, oldest first; empty if none differed."""

    @property
    def versions(self) -> str:
        """The versions that the numbers may depend on, in one line; of every session."""
        return _each_once((*(s.versions for s in self.earlier), self._versions()), " / ")

    @property
    def commits(self) -> str:
        """The commit of every session: `abc`, or `abc+def` of a run that went on with def."""
        names = [*(session.commit for session in self.earlier), self.commit]
        if any(names):
            names = [name or INSTALLED for name in names]
        return _each_once(names, "+")

    @property
    def devices(self) -> str:
        """The device of every session."""
        return _each_once((*(session.device for session in self.earlier), self.device), " / ")

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return self.model_dump(mode="json")

    def _versions(self) -> str:
        names = _OF_THE_ENGINE.get(self.engine, ("torch", "numpy"))
        shown = [f"{name} {self.packages.get(name, '?')}" for name in names]
        return "; ".join([f"dae {self.dae}", f"python {self.python}", *shown])

    def session(self) -> Session:
        """Return what this process used, as a later one will remember it."""
        return Session(
            commit=self.commit,
            versions=self._versions(),
            device=self.device,
            cpu=self.cpu,
            platform=self.platform,
            command=self.command,
        )


def continued(before: Environment | None, now: Environment) -> Environment:
    """Return the environment of a resumed run: now, with the sessions before that differ.

    Args:
        before: environment.json of the stopped run; None if it cannot be read, which is recorded
            as a session that is not known.
        now: of the process that resumes it.
    """
    if before is None:
        lost = Session.model_validate(dict.fromkeys(Session.model_fields, UNKNOWN))
        sessions: tuple[Session, ...] = (lost,)
    else:
        sessions = (*before.earlier, before.session())
    present = now.session()
    earlier = tuple(session for session in dict.fromkeys(sessions) if session != present)
    return now.model_copy(update={"earlier": earlier})


def _each_once(values: Iterable[str], between: str) -> str:
    return between.join(dict.fromkeys(values))


def environment(device: str, engine: str, threads: int, command: str) -> Environment:
    """Describe this process and machine, and what a run is computed with."""
    import torch

    used = torch.cuda.get_device_name(0) if device == "cuda" else device
    return Environment(
        dae=dae_cli.__version__,
        commit=commit(),
        numerics=NUMERICS_VERSION,
        python=platform.python_version(),
        packages={name: version for name in REPORTED if (version := version_of(name))},
        platform=platform.platform(),
        cpu=cpu_name(),
        cores=cores(),
        threads=threads,
        device=used,
        engine=engine,
        blas=torch.__config__.parallel_info().partition("\nstd::thread")[0].replace("\n", "; "),
        command=command,
    )


@cache
def commit() -> str:
    """Return the commit of the checkout that the package lies in; empty where it lies in none.

    With -dirty if there are changes: of tracked files outside results/, and new ones where code and
    experiments lie; what a command wrote elsewhere changes nothing. Where git fails,
    `unknown (why)`.
    """
    root = _root()
    if not (root / ".git").exists():
        return ""
    status = ("status", "--porcelain")
    tracked = ("--untracked-files=no", "--", ".", ":(exclude)results")
    new = ("--untracked-files=normal", "--", "dae_cli", "experiments")
    try:
        head = _git(root, "rev-parse", "--verify", "--short=12", "HEAD")
        changes = _git(root, *status, *tracked) or _git(root, *status, *new)
    except _GitError as error:
        return f"{_UNKNOWN_BECAUSE}{error})"
    return f"{head}-dirty" if changes else head


def known(commit: str) -> str:
    """Return a commit, or an empty string instead of one that is unknown."""
    return "" if commit.startswith(_UNKNOWN_BECAUSE) else commit


def not_known(commits: Iterable[str]) -> str:
    """Return which commits of rows are unknown and why; empty where all are known."""
    parts = {part for names in commits for part in names.split("+") if part and not known(part)}
    if not parts:
        return ""
    return (
        f"these results do not tell which code made them: commit {', '.join(sorted(parts))}; "
        f"once `git -C {_root()} status` works, new runs will"
    )


def _root() -> Path:
    return Path(dae_cli.__file__).resolve().parent.parent


class _GitError(Exception):
    """Git does not answer; the message, which goes into tables, says why, without `+` and paths."""


_MEANINGS = {
    "dubious ownership": "git refuses a checkout of another user: dubious ownership",
    "Needed a single revision": "the repository has no commit yet",
    "not a git repository": "its .git is not a git repository",
}
_OF_THE_USER = ("GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM", "GIT_CONFIG_NOSYSTEM")


def _git(root: Path, *arguments: str) -> str:
    """Ask the git repository in this folder and no other, whatever the environment names.

    Git sets GIT_DIR, GIT_INDEX_FILE and more for what it starts: hooks, aliases, `rebase --exec`.
    """
    ours = {"GIT_CEILING_DIRECTORIES": str(root.parent), "GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"}
    others = {k: v for k, v in os.environ.items() if not k.startswith("GIT_") or k in _OF_THE_USER}
    command = ["git", "-C", str(root), "-c", "core.fsmonitor=false", *arguments]
    try:
        done = subprocess.run(
            command, env=others | ours, capture_output=True, text=True, errors="replace", timeout=20
        )
    except FileNotFoundError:
        raise _GitError("git is not on the PATH") from None
    except subprocess.TimeoutExpired as error:
        raise _GitError(f"git gave no answer in {error.timeout:.0f} seconds") from error
    except OSError as error:
        raise _GitError(f"git cannot be started: {error.strerror}") from error
    if done.returncode == 0:
        return done.stdout.strip()
    message = done.stderr.strip().replace(str(root), "").replace("+", " ")
    first = (
        f"git: {message.partition(chr(10))[0]}"[:100]
        if message
        else f"git ended with {done.returncode}"
    )
    raise _GitError(next((why for part, why in _MEANINGS.items() if part in message), first))
