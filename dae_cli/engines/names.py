"""The names of the engines; imports nothing, so that `--help` stays quick."""

from __future__ import annotations

from typing import Literal, get_args

EngineName = Literal["torch", "compiled"]
EngineChoice = Literal["auto", "torch", "compiled"]

ENGINES: tuple[EngineName, ...] = get_args(EngineName)

LIBSVM = "libsvm"
"""What SVMs are computed with, on the CPU: recorded like an engine, and none that can be chosen."""
