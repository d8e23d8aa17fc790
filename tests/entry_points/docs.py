"""The script that writes what the documentation quotes, and the keys of a study.yaml."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

from dae_cli.config.study_schema import StudySettings

__all__ = ["STUDY_KEYS", "load_generator"]


STUDY_KEYS = tuple(StudySettings.model_fields)


def load_generator() -> ModuleType:
    """Load docs/generate.py, which is no part of the package."""
    path = Path(__file__).resolve().parents[2] / "docs" / "generate.py"
    spec = importlib.util.spec_from_file_location("generate", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
