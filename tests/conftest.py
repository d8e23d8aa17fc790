"""What every test shares: the test data, one thread, a terminal of fixed width."""

from __future__ import annotations

import os
from pathlib import Path

import hypothesis
import pytest

# Examples drawn afresh would make a failure come and go; a busy machine must not fail a test.
hypothesis.settings.register_profile("dae", derandomize=True, deadline=None, database=None)
hypothesis.settings.load_profile("dae")


def pytest_configure() -> None:
    """Fix the terminal before anything is imported that asks for it (typer does on import)."""
    os.environ.update(COLUMNS="80", LINES="24", NO_COLOR="1")
    for name in ("FORCE_COLOR", "PY_COLORS", "GITHUB_ACTIONS", "TERMINAL_WIDTH"):
        os.environ.pop(name, None)


@pytest.fixture(scope="session")
def test_data() -> Path:
    """The folder of genuine data: DAE_TEST_DATA, else ../shared/data beside the repository."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("DAE_TEST_DATA") or beside)
    if not folder.is_dir():
        pytest.skip(f"no test data: {folder} is not a folder; set DAE_TEST_DATA")
    return folder


@pytest.fixture(scope="session")
def one_thread() -> None:
    """Make torch compute with one thread, as the workers do."""
    import torch  # here, since most tests never need it

    torch.set_num_threads(1)
