"""Which code, on which machine, made a number."""

from __future__ import annotations

import os
import platform
import subprocess
from dataclasses import asdict, dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import dae_cli

REPORTED = ("torch", "numpy", "safetensors", "joblib", "pydantic", "scikit-image", "pillow")


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
    blas: str
    command: str

    @property
    def versions(self) -> str:
        """The versions that a number may depend on, in one line."""
        shown = [f"{name} {self.packages[name]}" for name in ("torch", "numpy")]
        return "; ".join([f"dae {self.dae}", f"python {self.python}", *shown])

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return asdict(self)


def environment(device: str, threads: int, command: str) -> Environment:
    """Describe this process and machine."""
    import torch

    used = torch.cuda.get_device_name(0) if device == "cuda" else device
    return Environment(
        dae=dae_cli.__version__,
        commit=commit(),
        python=platform.python_version(),
        packages={name: version(name) for name in REPORTED},
        platform=platform.platform(),
        cpu=cpu_name(),
        cores=cores(),
        threads=threads,
        device=used,
        blas=torch.__config__.parallel_info().partition("\nstd::thread")[0].replace("\n", "; "),
        command=command,
    )


def cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


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


def cpu_name() -> str:
    """Return the processor's name as the system tells it."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
