"""The transfer from one address: hosts that are slow, silent, endless, elsewhere or proxied."""

from __future__ import annotations

import hashlib
import socket
import struct
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from dae_cli.data.sources import transfer as module
from dae_cli.data.sources.transfer import CutError, UnknownHostError, WrongFileError, transfer
from dae_cli.errors import DataError, DownloadError

GOOD = b"the file as it was published " * 5000
HASH = f"sha1:{hashlib.sha1(GOOD).hexdigest()}"


def _transfer(url: str, place: Path) -> bytes:
    return transfer(url, HASH, place, "file").read_bytes()


def _begin(handler: Any, length: int | None = len(GOOD)) -> None:
    handler.send_response(200)
    if length is not None:
        handler.send_header("Content-Length", str(length))
    handler.end_headers()
    handler.wfile.flush()


def test_a_host_that_never_answers_is_given_up(
    server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "READ_SECONDS", 0.2)
    url = server.do(lambda _: server.closing.wait(10), "/silent")
    with pytest.raises(DownloadError, match=r"/silent: the host fell silent for 0\.2 s"):
        _transfer(url, tmp_path)


def test_a_host_that_falls_silent_in_the_middle_is_given_up(
    server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "READ_SECONDS", 0.2)

    def stop(handler: Any) -> None:
        _begin(handler)
        handler.wfile.write(GOOD[:100_000])
        server.closing.wait(10)

    with pytest.raises(DownloadError, match=r"the host fell silent for 0\.2 s"):
        _transfer(server.do(stop, "/stops"), tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("where", ["headers", "body"])
def test_a_host_that_sends_a_byte_now_and_then_is_given_up(
    where: str, server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SLOW_SECONDS", 0.4)

    def trickle(handler: Any) -> None:
        if where == "body":
            _begin(handler)
        else:
            handler.wfile.write(b"HTTP/1.0 200 OK\r\nX: ")
        while not server.closing.wait(0.05):
            handler.wfile.write(b"x")

    with pytest.raises(DownloadError, match=r"too slow, fewer than 512 KiB in 0\.4 s"):
        _transfer(server.do(trickle, "/trickles"), tmp_path)


def test_a_transfer_has_an_end_even_where_it_is_never_slow(
    server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "TOTAL_SECONDS", 0.36)
    url = server.do(lambda _: server.closing.wait(10), "/silent")
    with pytest.raises(DownloadError, match=r"/silent: too slow, not whole after 0\.0001 hours"):
        _transfer(url, tmp_path)


def test_a_steady_host_may_take_longer_than_the_patience_for_a_slow_one(
    server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SLOW_SECONDS", 0.8)
    monkeypatch.setattr(module, "SLOW_BYTES", 1000)
    monkeypatch.setattr(module, "CHUNK", 1000)

    def steady(handler: Any) -> None:
        _begin(handler)
        for part in _parts(GOOD, 15_000):
            time.sleep(0.1)
            handler.wfile.write(part)

    assert _transfer(server.do(steady, "/steady"), tmp_path) == GOOD


def _parts(data: bytes, size: int) -> list[bytes]:
    return [data[i : i + size] for i in range(0, len(data), size)]


@pytest.mark.parametrize("promised", [None, 10**12])
def test_a_body_without_end_is_cut_off(
    promised: int | None, server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LARGEST_BYTES", 1 << 20)

    def endless(handler: Any) -> None:
        _begin(handler, promised)
        while not server.closing.is_set():
            handler.wfile.write(GOOD)

    with pytest.raises(WrongFileError, match="sends more than 1 MiB, which no archive has"):
        _transfer(server.do(endless, "/endless"), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_reset_connection_is_a_cut_one(server: Any, tmp_path: Path) -> None:
    def reset(handler: Any) -> None:
        _begin(handler)
        handler.wfile.write(GOOD[:70_000])
        linger = struct.pack("ii", 1, 0)
        handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        handler.connection.close()

    with pytest.raises(CutError, match="the connection was cut in the middle"):
        _transfer(server.do(reset, "/reset"), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_redirects_are_followed(server: Any, tmp_path: Path) -> None:
    there = server.serve(GOOD, "/there")
    here = server.serve(b"", "/here", status=302, Location=there)
    assert _transfer(server.serve(b"", "/old", status=301, Location=here), tmp_path) == GOOD
    assert server.asked == ["/old", "/here", "/there"]


def test_redirects_without_end_are_given_up(server: Any, tmp_path: Path) -> None:
    loop = server.address + "loop"
    server.serve(b"", "/loop", status=302, Location=loop)
    with pytest.raises(DownloadError, match="/loop: the host redirects without end"):
        _transfer(loop, tmp_path)


def test_a_closed_port_is_told_at_once(closed: str, tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match=r"127.0.0.1 is not reachable \(Connection refused\)"):
        _transfer(closed, tmp_path)


def test_a_look_up_without_end_costs_seconds(
    closed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    released = threading.Event()

    def hang(*_: Any, **__: Any) -> None:
        released.wait(20)
        raise OSError

    monkeypatch.setattr(module, "CONNECT_SECONDS", -0.9)  # the thread is left a second more
    monkeypatch.setattr("socket.create_connection", hang)
    with pytest.raises(DownloadError, match=r"no answer from 127.0.0.1 within"):
        _transfer(closed, tmp_path)
    released.set()


def test_the_proxy_of_the_environment_is_asked(
    server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = "http://archives.invalid/file"
    server.serve(GOOD, url)  # a proxy is asked for the whole address
    monkeypatch.setenv("http_proxy", server.address)
    assert _transfer(url, tmp_path) == GOOD
    assert server.asked == [url]


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_that_does_not_answer_is_the_reason_in_few_words(
    scheme: str, tmp_path: Path
) -> None:
    expected = r"archives.invalid/file: the proxy does not answer \(.*Connection refused\)$"
    with pytest.raises(DownloadError, match=expected) as caught:
        _transfer(f"{scheme}://archives.invalid/file", tmp_path)
    assert "port=" not in str(caught.value)


def test_a_list_of_exceptions_from_the_proxy_is_no_proxy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name)
        monkeypatch.delenv(name.upper())
    monkeypatch.setattr(socket, "create_connection", _unknown_name)
    with pytest.raises(UnknownHostError, match=r"archives.invalid is not known \(no such name\)"):
        _transfer("http://archives.invalid/file", tmp_path)


def _unknown_name(*_: Any, **__: Any) -> None:
    raise socket.gaierror(-2, "no such name")


def test_a_full_disk_is_the_users_error(
    server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = server.serve(GOOD)
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("no /dev/full here")
    opened = Path.open
    monkeypatch.setattr(
        Path, "open", lambda path, *mode: opened(full if mode == ("wb",) else path, *mode)
    )
    with pytest.raises(DataError, match=r"cannot be written \(No space left on device\); free"):
        _transfer(url, tmp_path)


def test_a_place_that_is_gone_is_the_users_error(server: Any, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="cannot be written"):
        _transfer(server.serve(GOOD), tmp_path / "file")
