"""What the figures were measured on, and how many threads a process computes with."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.figures import About
from dae_cli.machine import cores, cpu_name, vector_features, version_of
from dae_cli.study.run.provenance import commit

ROOT = Path(__file__).resolve().parent.parent
"""Where processes are started, so that they find the benchmarks."""

OUTPUTS = (
    "benchmarks/RESULTS.md",
    "benchmarks/results.csv",
    "docs/performance.md",
    "docs/performance",
)
"""What a run of the benchmarks writes."""

LIBRARIES = ("torch", "numpy", "scipy", "numba", "llvmlite")
THREADS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMBA_NUM_THREADS",
)


def about(mode: str, engine: str) -> About:
    """Describe this machine and what runs on it."""
    return About(
        mode=mode,
        engine=engine,
        cpu=cpu_name(),
        cores=str(cores()),
        vectors=vector_features(),
        system=platform.platform(terse=True),
        libraries=_libraries(),
        commit=_commit(),
        measured=datetime.now(UTC).date().isoformat(),
    )


def _commit() -> str:
    """Return the commit; what a run of the benchmarks wrote before does not make it dirty."""
    told = commit()
    if not told.endswith("-dirty"):
        return told
    others = [f":(exclude){path}" for path in ("results", *OUTPUTS)]
    command = ["git", "-C", str(ROOT), "status", "--porcelain", "--", ".", *others]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20)
    clean = done.returncode == 0 and not done.stdout.strip()
    return told.removesuffix("-dirty") if clean else told


def _libraries() -> str:
    told = [f"python {platform.python_version()}"]
    for name in LIBRARIES:
        told.append(f"{name} {found}" if (found := version_of(name)) else f"no {name}")
    return ", ".join(told)


def one_thread() -> dict[str, str]:
    """Return an environment in which every library computes with one thread."""
    return os.environ | dict.fromkeys(THREADS, "1")


def default_threads() -> dict[str, str]:
    """Return an environment that leaves the number of threads to the libraries."""
    return {name: value for name, value in os.environ.items() if name not in THREADS}


def compiler() -> str | None:
    """Return the C++ compiler that torch.compile would find, or None."""
    return next(filter(None, map(shutil.which, (os.environ.get("CXX") or "g++", "clang++"))), None)
