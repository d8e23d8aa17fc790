"""What every test gets: a folder of its own, one thread, no way to the internet, plain text."""

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

# Examples drawn afresh would make a failure come and go; a busy machine must not fail a test.
hypothesis.settings.register_profile("dae", derandomize=True, deadline=None, database=None)
hypothesis.settings.load_profile("dae")

NOWHERE = "http://127.0.0.1:9"


def pytest_configure(config: pytest.Config) -> None:
    """Fix the terminal before anything is imported that asks for it, and what Ctrl-C does."""
    # With all libraries loaded, collecting garbage as often as usual takes a tenth of the time.
    gc.set_threshold(20_000, 50, 100)
    os.environ.update(COLUMNS="80", LINES="24", NO_COLOR="1", OMP_NUM_THREADS="1")
    os.environ["DAE_ACCEPT_UNVERIFIED"] = "1"  # the data of most tests are made up
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
    # A shell starts its background jobs deaf to Ctrl-C, and they would hand that on.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    os.fsync = without_disk  # type: ignore[assignment]
    if getattr(config.option, "dist", "no") != "no":
        os.environ[ZYGOTE] = zygote()  # one for all processes of pytest
    elif ZYGOTE in os.environ:
        zygote()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take longest, so that no process is left alone with one at the end.

    They are those with the most tests that run commands. A process takes whole files, in the
    order given.
    """
    if "PYTEST_XDIST_WORKER" not in os.environ:
        return
    commands_of = Counter(i.path for i in items if {"dae", "child"} & set(i.fixturenames))  # type: ignore[attr-defined]
    items.sort(key=lambda item: (-commands_of[item.path], item.path))


@pytest.fixture(scope="session")
def session_cache(tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config) -> Path:
    """The cache folder that commands use unless a test brings its own.

    Kernels are those of earlier sessions, where no source of them has changed since.
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
    """A folder of its own, and an environment in which nothing is fetched or found by accident."""
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


@pytest.fixture
def dae() -> Callable[..., Ended]:
    """Run a command in this process: `dae("train", "tiny/rect-0")`."""
    return commands.dae


@pytest.fixture
def child() -> Iterator[Callable[..., Child]]:
    """Start a command in a process of its own: `child("replicate", "tiny").wait()`."""
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
    """A folder with the made-up rect.npz of the tiny study."""
    return write_rect(tmp_path_factory.mktemp("data")).parent


@pytest.fixture
def tiny(tmp_path: Path, tiny_data: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The tiny study in the test's folder, with its data; the path of its results to come."""
    write_study(tmp_path)
    monkeypatch.setenv("DAE_DATA_DIR", str(tiny_data))
    return tmp_path / "results" / "tiny"


@pytest.fixture(scope="session")
def finished(
    tmp_path_factory: pytest.TempPathFactory, tiny_data: Path, session_cache: Path
) -> tuple[Path, Ended]:
    """The results of `dae replicate tiny`, not to be changed, and how the command ended."""
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
    """The tiny study in the test's folder, and a copy of its finished results; their path."""
    shutil.copytree(finished[0], tiny)
    return tiny


@pytest.fixture(scope="module")  # idle, it takes a tenth of a processor
def shared_cluster(
    tmp_path_factory: pytest.TempPathFactory, tiny_data: Path, session_cache: Path
) -> Iterator[DaskCluster]:
    """A Dask scheduler and two workers on this machine, started once for a file."""
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
    """The shared cluster with both workers up, whatever the test before did."""
    wait_until(lambda: len(shared_cluster.worker_pids()) == 2)
    return shared_cluster
