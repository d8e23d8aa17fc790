"""The mathematics is tested with one thread."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="session", autouse=True)
def _one_thread(one_thread: None) -> None:
    """Ask for the shared fixture in every test here."""
