"""Which code, on which machine, made a number."""

from __future__ import annotations

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

REPORTED = (
    *("torch", "numpy", "scipy", "numba", "llvmlite"),
    *("safetensors", "joblib", "pydantic", "scikit-image", "pillow", "scikit-learn"),
)
_OF_THE_ENGINE = {
    "torch": ("torch", "numpy"),
    "blas": ("torch", "numpy", "scipy"),
    "compiled": ("torch", "numpy", "numba", "llvmlite"),
    LIBSVM: ("numpy", "scikit-learn"),
}


UNKNOWN, INSTALLED = "unknown", "installed"
"""In place of a commit: of a session that left no record; of a package outside a checkout."""


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
    """Commit of the checkout the code ran from, with -dirty if it had changes; else empty."""
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
    """Return the environment of a run that goes on: now, with the sessions before that differ.

    Args:
        before: what environment.json of the stopped run tells; None if it cannot be read, which
            is recorded as a session that is not known.
        now: of the process that goes on.
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
        python=platform.python_version(),
        packages={name: found for name in REPORTED if (found := version_of(name))},
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
    """Return the commit of the checkout that the package lies in, or an empty string.

    Changed are tracked files outside results/, and new ones where code and experiments lie: what
    a command wrote elsewhere changes nothing.
    """
    root = Path(dae_cli.__file__).resolve().parent.parent
    if not (root / ".git").exists():
        return ""
    head = _git(root, "rev-parse", "--short=12", "HEAD")
    tracked = ("--untracked-files=no", "--", ".", ":(exclude)results")
    changes = _git(root, "status", "--porcelain", *tracked)
    changes += _git(root, "status", "--porcelain", "--", "dae_cli", "experiments")
    return f"{head}-dirty" if head and changes else head


def _git(root: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(
            ["git", "-C", str(root), *arguments], capture_output=True, text=True, timeout=20
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
