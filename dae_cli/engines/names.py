"""Names of the engines, in a module without imports so that `--help` stays fast."""

from __future__ import annotations

from typing import Literal, get_args

EngineName = Literal["torch", "compiled"]
EngineChoice = Literal["auto", "torch", "compiled"]

ENGINES: tuple[EngineName, ...] = get_args(EngineName)

LIBSVM = "libsvm"
"""Recorded as the engine of SVM runs, which run on the CPU; not a valid choice of `--engine`."""
