"""Provenance of a run: code, versions, machine and command."""

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
_ENGINE_PACKAGES = {
    "torch": ("torch", "numpy"),
    "blas": ("torch", "numpy", "scipy"),  # an engine of earlier versions
    "compiled": ("torch", "numpy", "numba", "llvmlite"),
    LIBSVM: ("numpy", "scikit-learn"),
}
_ROOT = Path(dae_cli.__file__).resolve().parent.parent
_GIT_CONFIG = ("GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM", "GIT_CONFIG_NOSYSTEM")
UNKNOWN, INSTALLED = "unknown", "installed"
"""Recorded instead of a commit: for a session without a record, and outside a checkout."""
_UNKNOWN_BECAUSE = f"{UNKNOWN} ("
"""Start of the text that is recorded if git fails to name the commit."""


class _Strict(BaseModel):
    """A model without type conversion and unknown keys."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")


class Session(_Strict):
    """Code, machine and command of one process that computed a part of a run."""

    commit: str
    versions: str
    device: str
    cpu: str
    platform: str
    command: str


class Environment(_Strict):
    """Content of environment.json: the last process, and earlier ones that differed from it."""

    dae: str
    commit: str
    """Commit of the checkout, with -dirty if it had changes; `unknown (why)` if git failed; empty
    outside a checkout."""
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
    """Distinct sessions before the last one, oldest first; empty if none differed."""

    @property
    def sessions(self) -> tuple[Session, ...]:
        """Sessions of all processes that computed the run, the last one included."""
        names = _ENGINE_PACKAGES.get(self.engine, ("torch", "numpy"))
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
        """Versions that the numbers may depend on, of every session, in one line."""
        return " / ".join(dict.fromkeys(session.versions for session in self.sessions))

    @property
    def commits(self) -> str:
        """Commit of every session: `abc`, or `abc+def` for a run that was resumed with def."""
        names = [session.commit for session in self.sessions]
        return "+".join(dict.fromkeys(name or INSTALLED for name in names)) if any(names) else ""

    @property
    def devices(self) -> str:
        return " / ".join(dict.fromkeys(session.device for session in self.sessions))


def continued(before: Environment | None, now: Environment) -> Environment:
    """Return the environment of a resumed run: `now`, with the earlier sessions that differ.

    `before` is None if environment.json cannot be read; then one session of unknowns is recorded.
    """
    unknown = Session.model_validate(dict.fromkeys(Session.model_fields, UNKNOWN))
    sessions = dict.fromkeys(before.sessions if before else (unknown,))
    sessions.pop(now.sessions[-1], None)
    return now.model_copy(update={"earlier": tuple(sessions)})


def environment(device: str, engine: str, threads: int, command: str) -> Environment:
    """Describe this process, its machine, and the device and engine of a run."""
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
    """Return the commit of the checkout that contains the package; empty outside a checkout.

    The commit ends with -dirty if a tracked file outside results/ has changed, or if dae_cli/ or
    experiments/ has a new file. If git fails, the result is `unknown (why)`.
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
    """Return a commit, or an empty string if it is unknown."""
    return "" if commit.startswith(_UNKNOWN_BECAUSE) else commit


def not_known(commits: Iterable[str]) -> str:
    """Return a note on the unknown commits of rows and the reason; empty if all are known."""
    parts = {part for names in commits for part in names.split("+") if part and not known(part)}
    if not parts:
        return ""
    return (
        f"these results do not record the version of the code: commit {', '.join(sorted(parts))}; "
        f"make `git -C {_ROOT} status` work, so that new runs record it"
    )


class _GitError(Exception):
    """Git failed; the message goes into tables, so it contains neither `+` nor paths."""


def _git(*arguments: str) -> str:
    """Run git on the repository of the checkout, ignoring a repository named by the environment.

    Git sets GIT_DIR, GIT_INDEX_FILE and others for its hooks, aliases and `rebase --exec`.
    """
    ours = {"GIT_CEILING_DIRECTORIES": str(_ROOT.parent), "GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"}
    others = {k: v for k, v in os.environ.items() if not k.startswith("GIT_") or k in _GIT_CONFIG}
    command = ["git", "-C", str(_ROOT), "-c", "core.fsmonitor=false", *arguments]
    try:
        done = subprocess.run(
            command, env=others | ours, capture_output=True, text=True, errors="replace", timeout=20
        )
    except subprocess.TimeoutExpired as error:
        raise _GitError(f"git did not finish within {error.timeout:.0f} seconds") from error
    except OSError as error:
        raise _GitError("git is not on the PATH") from error
    if done.returncode:
        said = done.stderr.strip().replace(str(_ROOT), "").replace("+", " ").partition("\n")[0]
        raise _GitError(f"git: {said}"[:100] if said else f"git exited with {done.returncode}")
    return done.stdout.strip()
