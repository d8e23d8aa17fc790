"""The scripts that update the documentation, and the keys of a study.yaml."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

from dae_cli.config.study_schema import StudySettings

__all__ = ["STUDY_KEYS", "load_script"]


STUDY_KEYS = tuple(StudySettings.model_fields)


def load_script(name: str) -> ModuleType:
    """Load docs/NAME.py, which is not part of the package."""
    path = Path(__file__).resolve().parents[2] / "docs" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module
