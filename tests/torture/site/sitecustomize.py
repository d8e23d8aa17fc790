"""In every process of a tortured command: checkpoints every few steps instead of every 20 seconds.

A study of seconds would otherwise never be killed between two checkpoints of one epoch.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.util
import sys
from collections.abc import Sequence
from types import ModuleType

KEEPER, SECONDS = "dae_cli.study.run.keeper", 0.05


class _Hasten(importlib.abc.MetaPathFinder):
    """Finds the module that keeps checkpoints, once, and changes its pace."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != KEEPER:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(fullname)
        if spec and spec.loader:
            execute = spec.loader.exec_module

            def exec_module(module: ModuleType) -> None:
                execute(module)
                module.__dict__.update(LEAST_SECONDS=SECONDS, MOST_SECONDS=SECONDS)

            spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec


sys.meta_path.insert(0, _Hasten())
