"""The API that notebooks import."""

from __future__ import annotations

from dae_cli import load_run

__all__ = ["load_run"]
