"""What every test shares: the test data, one thread, a terminal of fixed width."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import hypothesis
import pytest

# Examples drawn afresh would make a failure come and go; a busy machine must not fail a test.
hypothesis.settings.register_profile("dae", derandomize=True, deadline=None, database=None)
hypothesis.settings.load_profile("dae")


def pytest_configure() -> None:
    """Fix the terminal before anything is imported that asks for it, and what Ctrl-C does."""
    os.environ.update(COLUMNS="80", LINES="24", NO_COLOR="1")
    for name in ("FORCE_COLOR", "PY_COLORS", "GITHUB_ACTIONS", "TERMINAL_WIDTH"):
        os.environ.pop(name, None)
    # A shell starts its background jobs deaf to Ctrl-C, and they would hand that on.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the tests that take longest, so that no worker is left alone with one at the end.

    They are those that have more time than usual.
    """

    def time_given(item: pytest.Item) -> float:
        marker = item.get_closest_marker("timeout")
        return float(marker.args[0]) if marker else 0.0

    items.sort(key=time_given, reverse=True)


NOWHERE = "http://127.0.0.1:9"


@pytest.fixture(autouse=True)
def _no_way_out(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reaches the internet, nor do its child processes, but those that say they need it."""
    if request.node.get_closest_marker("network"):
        return
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, NOWHERE)
        monkeypatch.setenv(name.upper(), NOWHERE)
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.setenv(name, "127.0.0.1")
    monkeypatch.delenv("DAE_MIRROR", raising=False)


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
