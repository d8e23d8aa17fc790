"""Downloads: from hosts that work, fail, are slow or silent, redirect, or are behind a proxy."""

from __future__ import annotations

import gzip
import hashlib
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.entry_points.data import SmallSet, forget_small, register_small
from tests.support.children import Child, wait_until
from tests.support.commands import Ended

Dae = Callable[..., Ended]
Behaviour = Callable[[BaseHTTPRequestHandler], None]

HOME = "www.iro.umontreal.ca/~lisa/icml2007data/"
ADDRESSES = (
    f"http://{HOME}",
    f"https://{HOME}",
    f"https://web.archive.org/web/2016id_/http://{HOME}",
)
MNIST = tuple(
    f"{part}-{what}-ubyte.gz"
    for part in ("train", "t10k")
    for what in ("images-idx3", "labels-idx1")
)


class Host:
    """A server on the loopback interface, with a behaviour for each path and a list of requests."""

    def __init__(self) -> None:
        self.at: dict[str, Behaviour] = {}
        self.asked: list[str] = []
        self.closing = threading.Event()
        self.address = ""

    def serve(
        self, body: bytes, path: str = "/small.zip", status: int = 200, **headers: str
    ) -> None:
        """Serve `body` at a path."""

        def behave(handler: BaseHTTPRequestHandler) -> None:
            begin(handler, len(body), status, **headers)
            handler.wfile.write(body)

        self.at[path] = behave


def begin(handler: BaseHTTPRequestHandler, length: int, status: int = 200, **headers: str) -> None:
    """Send the head of a response with this Content-Length."""
    handler.send_response(status)
    for name, value in ({"Content-Length": str(length)} | headers).items():
        handler.send_header(name, value)
    handler.end_headers()


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    """A host, set as DAE_MIRROR, that answers 404 at first; the cache is empty."""
    state = Host()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            state.asked.append(self.path)
            with suppress(OSError):  # the client may hang up at any time
                if behave := state.at.get(self.path):
                    behave(self)
                else:
                    self.send_error(404)

        def do_CONNECT(self) -> None:
            state.asked.append(f"CONNECT {self.path}")
            self.send_error(403)

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        state.address = f"http://127.0.0.1:{http.server_port}/"
        monkeypatch.setenv("DAE_MIRROR", state.address)
        monkeypatch.setenv("DAE_CACHE_DIR", str(tmp_path / "cache"))
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield state
        state.closing.set()
        http.shutdown()
        thread.join()


@pytest.fixture
def small() -> Iterator[SmallSet]:
    """The small set; the SHA-1 of SmallSet.archive is the published one."""
    original, _ = register_small(archive_sha1=sha1(register_small()[0].archive()))
    yield original
    forget_small()


def sha1(data: bytes) -> str:
    """SHA-1 in hexadecimal."""
    return hashlib.sha1(data).hexdigest()


@contextmanager
def hurried(on_clock: float, on_connections: float = 1) -> Iterator[None]:
    """Speed up time by these factors, for the clock and for socket timeouts."""
    clock, set_timeout = time.monotonic, socket.socket.settimeout
    start = clock()

    def hurry(one: socket.socket, value: float | None) -> None:
        set_timeout(one, value and value / on_connections)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(time, "monotonic", lambda: start + on_clock * (clock() - start))
        patch.setattr(socket.socket, "settimeout", hurry)
        yield


@pytest.fixture
def refused(dae: Dae, host: Host, tmp_path: Path) -> Callable[..., str]:
    """Assert that fetching the original fails with parts of a message and leaves no files."""

    def refused(*parts: str, code: int = 1) -> str:
        ended = dae("data", "fetch", "small", "--origin", "original")
        ended.failed(code, *parts)
        assert ended.out == ""
        assert not list((tmp_path / "cache").iterdir())
        return ended.message

    return refused


def test_a_download_is_the_original_and_comes_before_the_recipe_and_after_the_cache(
    dae: Dae, host: Host, small: SmallSet, tmp_path: Path
) -> None:
    host.serve(small.archive())
    ended = dae("data", "fetch", "small", "--format", "json").succeeded()
    (fetched,) = ended.json
    assert (fetched["origin"], fetched["sha256"]) == ("original", small.sha256)
    assert fetched["path"] == str(tmp_path / "cache" / f"small-original-{small.sha256[:12]}.npz")
    assert "SHA-1" in fetched["source"]
    assert len(ended.err.splitlines()) == 1
    assert dae("data", "fetch", "small", "--format", "json").json == [fetched]
    assert host.asked == ["/small.zip"]
    names = {path.name for path in (tmp_path / "cache").iterdir()}
    assert names == {Path(fetched["path"]).name}


def test_the_genuine_archive_of_rect_is_downloaded_and_read(
    dae: Dae, host: Host, test_data: Path
) -> None:
    host.serve((test_data / "rect" / "rectangles.zip").read_bytes(), "/rectangles.zip")
    (fetched,) = dae("data", "fetch", "rect", "--format", "json").succeeded().json
    assert fetched["origin"] == "original"
    assert fetched["sha256"] == "e78debd8f697c01f00e519f24a1eb7f41a5f6dd01fb32add7abe39c1d3d38628"


def test_a_mirror_may_end_without_a_slash_and_must_be_an_address(
    dae: Dae, host: Host, small: SmallSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    for mirror in ("/data", "ftp://host/", "http://", "http://[", "http://a:99999", "http://a:0"):
        monkeypatch.setenv("DAE_MIRROR", mirror)
        dae("data", "fetch", "small").failed(2, "DAE_MIRROR", mirror, "--data-dir")
    dae("data", "list", "small").failed(2, "DAE_MIRROR", mirror)
    host.serve(small.archive(), "/data/small.zip")
    monkeypatch.setenv("DAE_MIRROR", f"{host.address}data")
    (listed,) = dae("data", "list", "small", "--format", "json").succeeded().json
    published = [f"{address}small.zip" for address in ADDRESSES]
    assert listed["addresses"] == [f"{host.address}data/small.zip", *published]
    dae("data", "fetch", "small").succeeded()


def test_when_all_addresses_fail_each_is_named_with_its_reason(
    host: Host, small: SmallSet, refused: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    message = refused(f"{host.address}small.zip", "404 Not Found", "small.zip", "--data-dir")
    for address in ADDRESSES:
        assert message.count(f" {address}small.zip") == 1
    assert "port=" not in message
    host.serve(b"busy", status=503)
    refused(f"{host.address}small.zip", "503 Service Unavailable")
    host.serve(b"<html>moved</html>")
    refused(f"{host.address}small.zip", "18 bytes", "SHA-1")
    monkeypatch.setenv("DAE_MIRROR", "http://127.0.0.1:9/")
    refused("http://127.0.0.1:9/small.zip", "Connection refused")


def test_an_archive_of_the_right_sha_1_that_cannot_be_read_is_no_original(
    dae: Dae, host: Host, small: SmallSet, refused: Any
) -> None:
    other = small.archive().replace(b"small_train", b"other_train")
    for data, part in ((b"no zip", "small.zip"), (other, "small_train.amat")):
        register_small(archive_sha1=sha1(data))
        host.serve(data)
        refused("small.zip", part, "SHA-1")
        (fetched,) = dae("data", "fetch", "small", "--format", "json").succeeded().json
        assert fetched["origin"] == "regenerated"
        Path(fetched["path"]).unlink()
    # A readable archive is accepted; if its content is not the known one, a note says so.
    data = small.archive()
    register_small(archive_sha1=sha1(data), known_sha256="f" * 64)
    host.serve(data)
    ended = dae("data", "fetch", "small", "--format", "json").succeeded()
    assert (ended.json[0]["origin"], ended.json[0]["sha256"]) == ("original", small.sha256)
    assert small.sha256[:12] in ended.err


def test_a_connection_that_is_cut_leaves_nothing_and_the_next_address_is_tried(
    host: Host, small: SmallSet, refused: Any
) -> None:
    good = small.archive()

    def cut(handler: BaseHTTPRequestHandler) -> None:
        begin(handler, len(good))
        handler.wfile.write(b"x" * 5000)

    def reset(handler: BaseHTTPRequestHandler) -> None:
        cut(handler)
        linger = struct.pack("ii", 1, 0)
        handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        handler.connection.close()

    host.at["/small.zip"] = cut
    refused(f"{host.address}small.zip: ", *ADDRESSES)
    host.at["/small.zip"] = reset
    refused(f"{host.address}small.zip: ", *ADDRESSES)
    assert host.asked == ["/small.zip"] * 2


def test_redirects_are_followed_but_not_without_end(
    dae: Dae, host: Host, small: SmallSet, refused: Any
) -> None:
    host.serve(b"", status=302, Location=f"{host.address}small.zip")
    refused(f"{host.address}small.zip", "30 redirects")
    host.asked.clear()
    host.serve(b"", status=301, Location=f"{host.address}here")
    host.serve(b"", "/here", status=302, Location="/there")
    host.serve(small.archive(), "/there")
    assert "original" in dae("data", "fetch", "small").succeeded().out
    assert host.asked == ["/small.zip", "/here", "/there"]


def test_a_host_that_is_silent_for_20_seconds_or_sends_for_2_hours_is_given_up(
    host: Host, small: SmallSet, refused: Any
) -> None:
    def silent(handler: BaseHTTPRequestHandler) -> None:
        host.closing.wait(30)

    def stops(handler: BaseHTTPRequestHandler) -> None:
        begin(handler, 200_000)
        handler.wfile.write(b"x" * 100_000)
        host.closing.wait(30)

    def send(handler: BaseHTTPRequestHandler, amount: int) -> None:
        begin(handler, 500_000_000)
        while not host.closing.wait(0.02):
            handler.wfile.write(bytes(amount))

    for behave, clock, connections, parts in (
        (silent, 1, 100, ["20 s"]),
        (stops, 1, 100, ["20 s"]),
        (partial(send, amount=1_000_000), 20_000, 1, ["2 hours"]),
    ):
        host.at["/small.zip"] = behave
        with hurried(clock, connections):
            refused(f"{host.address}small.zip", *parts)


@pytest.mark.slow
def test_a_body_of_more_than_512_mib_is_cut_off(host: Host, small: SmallSet, refused: Any) -> None:
    def endless(handler: BaseHTTPRequestHandler) -> None:
        begin(handler, 10**12)
        while not host.closing.is_set():
            handler.wfile.write(bytes(1 << 20))

    host.at["/small.zip"] = endless
    refused(f"{host.address}small.zip", "512 MiB")


def test_an_unknown_host_name_is_reported(
    refused: Any, small: SmallSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name)
        monkeypatch.delenv(name.upper())
    monkeypatch.setenv("DAE_MIRROR", "http://mirror.invalid/")

    def unknown(name: str, *_: Any, **__: Any) -> None:
        raise socket.gaierror(-2, "no such name")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    refused("http://mirror.invalid/small.zip", "no such name", "--data-dir")


def test_the_proxy_of_the_environment_is_asked_for_the_published_addresses(
    dae: Dae, host: Host, small: SmallSet, refused: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DAE_MIRROR")
    for name in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(name, host.address)
    refused(f"http://{HOME}small.zip", "404 Not Found")
    assert host.asked[0] == f"http://{HOME}small.zip"
    hosts = ("www.iro.umontreal.ca", "web.archive.org")
    assert list(dict.fromkeys(host.asked[1:])) == [f"CONNECT {name}:443" for name in hosts]
    host.serve(small.archive(), f"http://{HOME}small.zip")
    assert "original" in dae("data", "fetch", "small").succeeded().out


def register_the_small_set() -> None:
    """Register the small set with its published archive, in a child process."""
    register_small(archive_sha1=sha1(register_small()[0].archive()))


def test_two_commands_at_once_fetch_an_archive_once_and_one_killed_leaves_nothing(
    child: Callable[..., Child], host: Host, small: SmallSet, tmp_path: Path
) -> None:
    good, go = small.archive(), threading.Event()

    def stops(handler: BaseHTTPRequestHandler) -> None:
        begin(handler, len(good))
        handler.wfile.write(good[:-1])
        go.wait(60)
        handler.wfile.write(good[-1:])

    def start() -> Child:
        return child("data", "fetch", "small", prepare=(register_the_small_set,))

    host.at["/small.zip"] = stops
    cache = tmp_path / "cache"
    killed = start()
    wait_until(lambda: host.asked, killed)
    killed.kill()
    assert list(cache.glob(".download-*/*"))
    first = start()
    wait_until(lambda: len(host.asked) == 2, first)
    second = start()
    wait_until(lambda: "small" in second.err, second)
    assert second.poll(0.1) is None
    go.set()
    for one in (first, second):
        assert "original" in one.wait().succeeded().out
    assert host.asked == ["/small.zip"] * 2
    names = sorted(path.name for path in cache.iterdir() if path.is_file() or path.name[0] == ".")
    assert names == [f"small-original-{small.sha256[:12]}.npz"]


def test_without_a_network_what_needs_mnist_says_what_to_put_where(
    dae: Dae, host: Host, tmp_path: Path
) -> None:
    (tmp_path / "mine").mkdir()
    needed = (*MNIST, "404 Not Found", str(tmp_path / "cache" / "mnist"))
    for words in (("fetch", "mnist"), ("make", "rot"), ("fetch", "basic")):
        dae("data", *words).failed(1, *needed, "--data-dir", "DAE_DATA_DIR")
        ended = dae("data", *words, "--data-dir", "mine").failed(1, *needed, "mine")
        assert ended.message.count("mine") > 1


def test_mnist_is_fetched_once_and_a_damaged_file_of_it_alone_again(
    dae: Dae, host: Host, test_data: Path, tmp_path: Path
) -> None:
    for name in MNIST:
        host.serve((test_data / "mnist" / name).read_bytes(), f"/{name}")
    (fetched,) = dae("data", "fetch", "mnist", "--format", "json").succeeded().json
    assert fetched["sha256"] == "c2069063c1105f2bf96266aef1ff68c6e13bdda7a54e37bf19c16f1db24efc83"
    assert host.asked == [f"/{name}" for name in MNIST]
    cached = tmp_path / "cache" / "mnist"
    assert sorted(path.name for path in cached.iterdir()) == sorted(MNIST)
    damaged = cached / MNIST[3]
    good = damaged.read_bytes()
    damaged.write_bytes(good[:-20])
    Path(fetched["path"]).unlink()
    dae("data", "fetch", "mnist").succeeded()
    assert host.asked == [f"/{name}" for name in (*MNIST, MNIST[3])]
    assert damaged.read_bytes() == good


def test_mnist_is_found_in_every_spelling_and_packing_and_place(dae: Dae) -> None:
    plain = [name.removesuffix(".gz") for name in MNIST]
    dotted = [name.replace("-idx", ".idx") for name in plain]
    for folder in ("MNIST/raw/", "mnist/", ""):
        Path("mine", folder).mkdir(parents=True, exist_ok=True)
        for names in (dotted, [f"{name}.gz" for name in dotted], plain, MNIST):
            paths = [f"mine/{folder}{name}" for name in names]
            for path in paths:
                Path(path).write_bytes(b"x")
            words = ("data", "list", "mnist", "--format", "json", "--data-dir", "mine")
            ((copy, *_),) = [listed["copies"] for listed in dae(*words).succeeded().json]
            assert (copy["paths"], copy["place"], copy["bytes"]) == (paths, "yours", 4)


def test_files_that_are_not_mnists_are_refused(dae: Dae, test_data: Path) -> None:
    mine = Path("mine")
    mine.mkdir()
    for name in MNIST:
        (mine / name).symlink_to(test_data / "mnist" / name)
    words = ("data", "fetch", "mnist", "--data-dir", mine)
    (mine / MNIST[1]).unlink()
    (mine / MNIST[3]).unlink()
    missing = [name.removesuffix(".gz") for name in (MNIST[1], MNIST[3])]
    for command in ("fetch", "list", "verify"):
        dae("data", command, "mnist", "--data-dir", mine).failed(2, "mine", *missing)
    labels = gzip.decompress((test_data / "mnist" / MNIST[3]).read_bytes())
    (mine / "train-labels.idx1-ubyte").write_bytes(labels)
    (mine / MNIST[3]).symlink_to(test_data / "mnist" / MNIST[3])
    dae(*words).failed(2, "mine/train-labels.idx1-ubyte", "10000", "60000")
    other = labels[:4] + (60_000).to_bytes(4, "big") + bytes(60_000)
    (mine / "train-labels.idx1-ubyte").write_bytes(other)
    dae(*words).failed(2, "mine", "SHA-256", "c2069063c110")
    assert dae("data", "verify", "mnist", "--data-dir", mine).code == 2
