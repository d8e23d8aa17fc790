"""Which code, on which machine, made a number."""

from __future__ import annotations

import platform
import subprocess
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import dae_cli
from dae_cli.engines.names import EngineName
from dae_cli.machine import cores, cpu_name, version_of

REPORTED = (
    *("torch", "numpy", "scipy", "numba", "llvmlite"),
    *("safetensors", "joblib", "pydantic", "scikit-image", "pillow"),
)
_OF_THE_ENGINE = {"torch": (), "blas": ("scipy",), "compiled": ("numba", "llvmlite")}


@dataclass(frozen=True)
class Environment:
    """What environment.json of a run holds."""

    dae: str
    commit: str
    """Commit of the checkout the code ran from, with -dirty if it had changes; else empty."""
    python: str
    packages: dict[str, str]
    platform: str
    cpu: str
    cores: int
    threads: int
    device: str
    engine: str
    blas: str
    command: str

    @property
    def versions(self) -> str:
        """The versions that a number may depend on, in one line."""
        names = ("torch", "numpy", *_OF_THE_ENGINE.get(self.engine, ()))
        shown = [f"{name} {self.packages[name]}" for name in names]
        return "; ".join([f"dae {self.dae}", f"python {self.python}", *shown])

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return asdict(self)


def environment(device: str, engine: EngineName, threads: int, command: str) -> Environment:
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

    Changes under results/ do not make it dirty: the commands write there.
    """
    root = Path(dae_cli.__file__).resolve().parent.parent
    if not (root / ".git").exists():
        return ""
    head = _git(root, "rev-parse", "--short=12", "HEAD")
    changes = _git(root, "status", "--porcelain", "--", ".", ":(exclude)results")
    return f"{head}-dirty" if head and changes else head


def _git(root: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(
            ["git", "-C", str(root), *arguments], capture_output=True, text=True, timeout=20
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
