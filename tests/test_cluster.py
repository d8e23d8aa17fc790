"""Runs on the workers of a local Dask cluster: the same bits, nothing lost, clear messages."""

from __future__ import annotations

import os
import signal
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.support.children import Child, wait_until
from tests.support.commands import Ended
from tests.support.compare import assert_same_results, temporary_files
from tests.support.dask import DaskCluster
from tests.support.tiny import N_TEST_ROWS, read_csv, snapshot

pytestmark = [
    pytest.mark.usefixtures("tiny"),
    pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="needs /proc"),
    pytest.mark.timeout(240),
]
ENDLESS = ("--set", "finetune.max_epochs=100000", "--set", "finetune.patience=100000")
LONG = ("--set", "finetune.max_epochs=300", "--set", "finetune.patience=300")

Dae = Callable[..., Ended]
Start = Callable[..., Child]


def checkpoints(out: Path) -> int:
    return len(list(out.glob("runs/*.partial/checkpoint.safetensors")))


def epochs(out: Path) -> list[int]:
    return [len(path.read_text().splitlines()) for path in sorted(out.glob("runs/*/metrics.csv"))]


def test_a_cluster_and_a_killed_worker_change_no_bit_of_the_results(
    dae: Dae, child: Start, tmp_path: Path, dask_cluster: DaskCluster
) -> None:
    there, here = tmp_path / "there", tmp_path / "here"
    words = ("replicate", "tiny", *LONG)
    worker = dask_cluster.worker_pids()[0]
    command = child(*words, "--out", str(there), "--scheduler", dask_cluster.address)
    wait_until(lambda: checkpoints(there) >= 1, command)
    os.kill(worker, signal.SIGKILL)
    ended = command.wait().succeeded()
    assert "2 at a time" in ended.message and "rect-25" in ended.message
    assert "distributed" not in ended.err
    dae(*words, "--out", str(here)).succeeded()
    assert_same_results(there, here)
    assert {row["n_test"] for row in read_csv(there / "runs.csv")} == {str(N_TEST_ROWS)}


def test_a_killed_or_interrupted_command_leaves_checkpoints_and_free_workers(
    child: Start, tmp_path: Path, dask_cluster: DaskCluster
) -> None:
    out = tmp_path / "out"
    words = ("replicate", "tiny", *ENDLESS, "--out", str(out), "--scheduler", dask_cluster.address)
    killed = child(*words)
    wait_until(lambda: checkpoints(out) == 2, killed)
    assert len(list(out.glob("runs/.rect*.lock"))) == 2
    killed.kill()
    wait_until(lambda: list(out.glob("runs/.rect*.lock")) == [])  # the scheduler notices by itself
    assert checkpoints(out) == 2

    interrupted = child(*words)
    before = epochs(out)
    wait_until(lambda: all(now > then for now, then in zip(epochs(out), before, strict=True)))
    os.kill(dask_cluster.run_pids()[0], signal.SIGKILL)  # like the kernel when memory runs out
    wait_until(lambda: "was killed" in interrupted.err, interrupted)
    ended = interrupted.end(signal.SIGINT).failed(130, "the same command")
    assert "rect-25" in ended.err and "distributed" not in ended.err
    assert checkpoints(out) == 2
    assert [name for name in temporary_files(out) if ".partial" not in name] == []


@pytest.fixture
def other_cluster(tmp_path: Path) -> Iterator[DaskCluster]:
    """A scheduler without workers, for one test."""
    folder = tmp_path / "dask"
    folder.mkdir()
    cluster = DaskCluster(folder, {"DAE_CHECKPOINT_SECONDS": "0.05"})
    try:
        yield cluster
    finally:
        cluster.end()


@pytest.mark.slow
def test_a_lost_cluster_is_reported_and_the_runs_keep_checkpoints(
    child: Start, tmp_path: Path, other_cluster: DaskCluster
) -> None:
    out, address = tmp_path / "out", other_cluster.address
    words = ("replicate", "tiny", *ENDLESS, "--out", str(out), "--scheduler", address)
    child(*words).wait().failed(1, f"--scheduler {address}", "dask worker")
    assert not out.exists()

    other_cluster.add_workers()
    command = child(*words)
    wait_until(lambda: checkpoints(out) == 2, command)
    other_cluster.scheduler.kill()
    command.wait().failed(1, address, "lost", "checkpoint")
    assert checkpoints(out) == 2
    assert list(out.glob("runs/.*")) == []


def test_a_search_on_a_cluster_counts_no_test_row_and_fills_its_table(
    dae: Dae, child: Start, tmp_path: Path, dask_cluster: DaskCluster
) -> None:
    study = tmp_path / "experiments" / "tiny" / "study.yaml"
    space = "{finetune.learning_rate: {low: 0.1, high: 2.0, log: true}}"
    study.write_text(study.read_text() + f"search: [{{cells: rect-25, space: {space}}}]\n")
    words = ("search", "tiny", "--trials", "3")
    where = {"there": ("--scheduler", dask_cluster.address), "here": ()}
    tables = {}
    for name, more in where.items():
        cells = snapshot(study.parent)
        child(*words, "--out", str(tmp_path / name), *more).wait().succeeded()
        for path, content in cells.items():
            (study.parent / path).write_bytes(content)
        rows = read_csv(tmp_path / name / "search.csv")
        assert [row["trial"] for row in rows] == ["1", "2", "3"]
        tables[name] = [{k: v for k, v in row.items() if k != "minutes"} for row in rows]
    assert tables["there"] == tables["here"]
    assert not list(tmp_path.rglob("wrong_rows.*"))


def test_a_closed_port_is_reported_at_once_and_leaves_nothing(dae: Dae) -> None:
    with Path("experiments/tiny/study.yaml").open("a") as file:
        file.write("search: [{cells: rect-25, space: {layers: {choices: [1, 2]}}}]\n")
    with socket.socket() as deaf:  # bound to the port, but not listening
        deaf.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{deaf.getsockname()[1]}"
        for command in ("replicate", "search"):
            ended = dae(command, "tiny", "--scheduler", address)
            ended.failed(1, f"--scheduler {address}", "refused")
    assert not list(Path("results").rglob("runs.csv"))


def test_a_malformed_address_is_refused(dae: Dae) -> None:
    for address in ("nowhere", "host:8786", "tcp://host", "tcp://:8786", "8786", ""):
        ended = dae("replicate", "tiny", "--scheduler", address)
        ended.failed(2, f"--scheduler {address}", "tcp://HOST:8786")


def test_without_dask_the_message_says_how_to_install_it(child: Start, tmp_path: Path) -> None:
    (tmp_path / "distributed.py").write_text("raise ImportError('not here')\n")
    root = str(Path(__file__).resolve().parents[1])
    environment = {"PYTHONPATH": f"{tmp_path}:{root}"}
    words = ("replicate", "tiny", "--scheduler", "tcp://127.0.0.1:8786")
    ended = child(*words, environment=environment, executed=True).wait()
    ended.failed(2, "pip install", "[cluster]")


@contextmanager
def listening(answer: Callable[[socket.socket], None]) -> Iterator[str]:
    """Run a server that treats every connection the same; yield its address."""
    with socket.create_server(("127.0.0.1", 0)) as server, ExitStack() as came:

        def serve() -> None:
            with suppress(OSError):  # the server is closed
                while True:
                    answer(came.enter_context(server.accept()[0]))

        threading.Thread(target=serve, daemon=True).start()
        yield f"tcp://127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize("command", ["replicate", "search"])
@pytest.mark.parametrize(
    ("greeting", "part"),
    [
        (b"SSH-2.0-OpenSSH_9.2p1\r\n", "SSH-2.0-OpenSSH"),
        (b"220 mail.example ESMTP\r\n", "220 mail.example"),
        (b"\x4a\x00\x00\x00\x0a8.0.36\x00", "8.0.36"),  # MySQL
        (b"-DENIED Redis is running in protected mode\r\n", "-DENIED Redis"),
        (b"hi", "'hi'"),
        (bytes(64), "begins with"),
        (struct.pack("<QQ", 8, 0), "begins with"),
        (struct.pack("<QQ", 1 << 40, 1), "begins with"),
        (struct.pack("<QQQ", 24, 1, 8) + b"\x80" * 8, "no Dask scheduler"),
        (b"", "closed"),
    ],
    ids=["ssh", "smtp", "mysql", "redis", "short", "zeros", "empty", "long", "garbage", "closed"],
)
def test_another_service_at_the_address_is_reported_with_its_greeting(
    dae: Dae, command: str, greeting: bytes, part: str
) -> None:
    with Path("experiments/tiny/study.yaml").open("a") as file:
        file.write("search: [{cells: rect-25, space: {layers: {choices: [1, 2]}}}]\n")

    def greet(there: socket.socket) -> None:
        there.sendall(greeting)
        there.shutdown(socket.SHUT_WR)

    with listening(greet) as address:
        ended = dae(command, "tiny", "--scheduler", address)
    ended.failed(2 if greeting else 1, f"--scheduler {address}", part, "`dask scheduler`")
    assert len(ended.err.splitlines()) == 1
    assert not list(Path("results").rglob("runs.csv"))


@pytest.mark.slow
@pytest.mark.parametrize("who", ["silent", "web server"])
def test_a_server_that_does_not_greet_is_no_scheduler(dae: Dae, who: str) -> None:
    if who == "silent":
        with listening(lambda there: None) as address:
            dae("replicate", "tiny", "--scheduler", address).failed(1, address, "6 seconds")
        return
    with ThreadingHTTPServer(("127.0.0.1", 0), SimpleHTTPRequestHandler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"tcp://127.0.0.1:{server.server_port}"
        dae("replicate", "tiny", "--scheduler", address).failed(1, address, "6 seconds")
        server.shutdown()


@pytest.mark.parametrize("who", ["Worker", "Nanny"])
def test_a_worker_at_the_address_is_reported_as_one(
    child: Start, dask_cluster: DaskCluster, who: str
) -> None:
    address = dask_cluster.address_of_a(who)
    ended = child("replicate", "tiny", "--scheduler", address).wait()
    ended.failed(2, f"--scheduler {address}", f"Dask {who}", "`dask scheduler`")
    assert len(ended.err.splitlines()) == 1


def test_encryption_without_a_configuration_is_reported(child: Start) -> None:
    with listening(lambda there: None) as address:
        address = address.replace("tcp", "tls")
        ended = child("replicate", "tiny", "--scheduler", address).wait()
    ended.failed(2, f"--scheduler {address}", "TLS")
    assert len(ended.err.splitlines()) == 1
