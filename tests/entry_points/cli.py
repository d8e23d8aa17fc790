"""The command line as Typer runs it."""

from __future__ import annotations

from dae_cli.commands.app import app

__all__ = ["app"]
