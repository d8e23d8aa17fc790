"""Which code, on which machine, made a number."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Annotated

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
_ROOT = Path(dae_cli.__file__).resolve().parent.parent
_OF_THE_USER = ("GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM", "GIT_CONFIG_NOSYSTEM")
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
    def sessions(self) -> tuple[Session, ...]:
        """What every process used that worked on the run, the last one included."""
        names = _OF_THE_ENGINE.get(self.engine, ("torch", "numpy"))
        packages = [f"{name} {self.packages.get(name, '?')}" for name in names]
        last = Session(
            commit=self.commit,
            versions="; ".join([f"dae {self.dae}", f"python {self.python}", *packages]),
            device=self.device,
            cpu=self.cpu,
            platform=self.platform,
            command=self.command,
        )
        return (*self.earlier, last)

    @property
    def versions(self) -> str:
        """The versions that the numbers may depend on, in one line; of every session."""
        return " / ".join(dict.fromkeys(session.versions for session in self.sessions))

    @property
    def commits(self) -> str:
        """The commit of every session: `abc`, or `abc+def` of a run that went on with def."""
        names = [session.commit for session in self.sessions]
        return "+".join(dict.fromkeys(name or INSTALLED for name in names)) if any(names) else ""

    @property
    def devices(self) -> str:
        return " / ".join(dict.fromkeys(session.device for session in self.sessions))


def continued(before: Environment | None, now: Environment) -> Environment:
    """Return the environment of a resumed run: now, with the sessions before that differ.

    Without a readable environment.json `before`, that is a session of which nothing is known.
    """
    lost = Session.model_validate(dict.fromkeys(Session.model_fields, UNKNOWN))
    sessions = dict.fromkeys(before.sessions if before else (lost,))
    sessions.pop(now.sessions[-1], None)
    return now.model_copy(update={"earlier": tuple(sessions)})


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
    experiments lie. Where git fails, `unknown (why)`.
    """
    if not (_ROOT / ".git").exists():
        return ""
    status = ("status", "--porcelain")
    tracked = ("--untracked-files=no", "--", ".", ":(exclude)results")
    new = ("--untracked-files=normal", "--", "dae_cli", "experiments")
    try:
        head = _git("rev-parse", "--verify", "--short=12", "HEAD")
        changes = _git(*status, *tracked) or _git(*status, *new)
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
        f"once `git -C {_ROOT} status` works, new runs will"
    )


class _GitError(Exception):
    """Git does not answer; the message, which goes into tables, says why, without `+` and paths."""


def _git(*arguments: str) -> str:
    """Ask the git repository of the checkout and no other, whatever the environment names.

    Git sets GIT_DIR, GIT_INDEX_FILE and more for what it starts: hooks, aliases, `rebase --exec`.
    """
    ours = {"GIT_CEILING_DIRECTORIES": str(_ROOT.parent), "GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"}
    others = {k: v for k, v in os.environ.items() if not k.startswith("GIT_") or k in _OF_THE_USER}
    command = ["git", "-C", str(_ROOT), "-c", "core.fsmonitor=false", *arguments]
    try:
        done = subprocess.run(
            command, env=others | ours, capture_output=True, text=True, errors="replace", timeout=20
        )
    except subprocess.TimeoutExpired as error:
        raise _GitError(f"git gave no answer in {error.timeout:.0f} seconds") from error
    except OSError as error:
        raise _GitError("git is not on the PATH") from error
    if done.returncode:
        said = done.stderr.strip().replace(str(_ROOT), "").replace("+", " ").partition("\n")[0]
        raise _GitError(f"git: {said}"[:100] if said else f"git ended with {done.returncode}")
    return done.stdout.strip()
