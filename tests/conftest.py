"""Fixtures of all tests: a separate folder, one thread, no internet, plain text."""

from __future__ import annotations

import gc
import os
import shutil
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis
import pytest

from tests.support import commands
from tests.support.children import ZYGOTE, Child, wait_until, zygote
from tests.support.commands import Ended
from tests.support.dask import DaskCluster
from tests.support.tiny import write_rect, write_study
from tests.support.zygote import without_disk

# Fixed examples make failures reproducible; without a deadline, a busy machine fails no test.
hypothesis.settings.register_profile("dae", derandomize=True, deadline=None, database=None)
hypothesis.settings.load_profile("dae")

NOWHERE = "http://127.0.0.1:9"


def pytest_configure(config: pytest.Config) -> None:
    """Set the terminal, before imports that ask for it, and the handling of Ctrl-C."""
    # With all libraries loaded, the default thresholds take a tenth of the time.
    gc.set_threshold(20_000, 50, 100)
    os.environ.update(COLUMNS="80", LINES="24", NO_COLOR="1", OMP_NUM_THREADS="1")
    os.environ["DAE_ACCEPT_UNVERIFIED"] = "1"  # most tests use invented data
    for name in (
        "FORCE_COLOR",
        "PY_COLORS",
        "GITHUB_ACTIONS",
        "TERMINAL_WIDTH",
        "DAE_CHECKPOINT_SECONDS",
    ):
        os.environ.pop(name, None)
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        del os.environ[name]
    # Background jobs of a shell ignore Ctrl-C, and their children inherit that.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    os.fsync = without_disk  # type: ignore[assignment]
    if getattr(config.option, "dist", "no") != "no":
        os.environ[ZYGOTE] = zygote()  # one zygote for all processes of pytest
    elif ZYGOTE in os.environ:
        zygote()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take longest, so that all processes end at about the same time.

    These are the files with most tests that run commands. A process takes whole files, in order.
    """
    if "PYTEST_XDIST_WORKER" not in os.environ:
        return
    commands_of = Counter(i.path for i in items if {"dae", "child"} & set(i.fixturenames))  # type: ignore[attr-defined]
    items.sort(key=lambda item: (-commands_of[item.path], item.path))


@pytest.fixture(scope="session")
def session_cache(tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config) -> Path:
    """The default cache folder of commands.

    Kernels of earlier sessions are reused if their sources have not changed.
    """
    cache = tmp_path_factory.mktemp("cache")
    (cache / "kernels").symlink_to(pytestconfig.cache.mkdir("kernels"))
    return cache


@pytest.fixture(autouse=True)
def _own_place(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    session_cache: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Make the test's folder the current one; keep commands from fetching or finding other data."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DAE_CACHE_DIR", str(session_cache))
    for name in ("DAE_DATA_DIR", "DAE_MIRROR"):
        monkeypatch.delenv(name, raising=False)
    if request.node.get_closest_marker("network"):
        return
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, NOWHERE)
        monkeypatch.setenv(name.upper(), NOWHERE)
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.setenv(name, "127.0.0.1")


@pytest.fixture(scope="session")
def test_data() -> Path:
    """The folder of the authors' data: DAE_TEST_DATA, by default ../shared/data."""
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("DAE_TEST_DATA") or default)
    if not folder.is_dir():
        pytest.skip(f"no test data: {folder} is not a folder; set DAE_TEST_DATA")
    return folder


@pytest.fixture(scope="session")
def one_thread() -> None:
    """Make torch compute with one thread, like the workers."""
    import torch  # here, because most tests do not need it

    torch.set_num_threads(1)


@pytest.fixture
def dae() -> Callable[..., Ended]:
    """Run a command in this process: `dae("train", "tiny/rect-0")`."""
    return commands.dae


@pytest.fixture
def child() -> Iterator[Callable[..., Child]]:
    """Start a command in a separate process: `child("replicate", "tiny").wait()`."""
    started = []

    def start(*words: str | Path, **how: object) -> Child:
        started.append(Child(*words, **how))  # type: ignore[arg-type]
        return started[-1]

    yield start
    for one in started:
        if one.poll() is None or one.others():
            one.kill_group()


@pytest.fixture(scope="session")
def tiny_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the invented rect.npz of the tiny study."""
    return write_rect(tmp_path_factory.mktemp("data")).parent


@pytest.fixture
def tiny(tmp_path: Path, tiny_data: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The tiny study in the test's folder, with its data; the path where its results will be."""
    write_study(tmp_path)
    monkeypatch.setenv("DAE_DATA_DIR", str(tiny_data))
    return tmp_path / "results" / "tiny"


@pytest.fixture(scope="session")
def finished(
    tmp_path_factory: pytest.TempPathFactory, tiny_data: Path, session_cache: Path
) -> tuple[Path, Ended]:
    """The results of `dae replicate tiny`, which tests must not change, and the outcome."""
    folder = tmp_path_factory.mktemp("finished")
    write_study(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("DAE_DATA_DIR", str(tiny_data))
        patch.setenv("DAE_CACHE_DIR", str(session_cache))
        ended = commands.dae("replicate", "tiny").succeeded()
    return folder / "results" / "tiny", ended


@pytest.fixture
def done(tiny: Path, finished: tuple[Path, Ended]) -> Path:
    """The tiny study in the test's folder with a copy of its finished results; their path."""
    shutil.copytree(finished[0], tiny)
    return tiny


@pytest.fixture(scope="module")  # idle, it takes a tenth of a processor
def shared_cluster(
    tmp_path_factory: pytest.TempPathFactory, tiny_data: Path, session_cache: Path
) -> Iterator[DaskCluster]:
    """A Dask scheduler and two workers on this machine, started once per file."""
    environment = {
        "DAE_DATA_DIR": str(tiny_data),
        "DAE_CACHE_DIR": str(session_cache),
        "DAE_CHECKPOINT_SECONDS": "0.05",
    }
    cluster = DaskCluster(tmp_path_factory.mktemp("dask"), environment)
    try:
        cluster.add_workers()
        yield cluster
    finally:
        cluster.end()


@pytest.fixture
def dask_cluster(shared_cluster: DaskCluster) -> DaskCluster:
    """The shared cluster; wait until both workers run again."""
    wait_until(lambda: len(shared_cluster.worker_pids()) == 2)
    return shared_cluster
