"""How lower layers tell what they do: they call what they are given, and never print."""

from __future__ import annotations

from collections.abc import Callable

Note = Callable[[str], None]
"""Receives a line whenever something slow begins or a source fails."""
