"""The download, against servers on the loopback interface."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from dae_cli.data import registry
from dae_cli.data.provide import load, prepare
from dae_cli.data.sources.download import downloaded_archive
from dae_cli.errors import DownloadError


class Server:
    """Answers every request with ``body``; ``length`` is what it promises to send."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.status = 200
        self.body = b""
        self.length: int | None = None
        self.asked: list[str] = []


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            state.asked.append(self.path)
            self.send_response(state.status)
            length = len(state.body) if state.length is None else state.length
            self.send_header("Content-Length", str(length))
            self.end_headers()
            self.wfile.write(state.body)

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        state = Server(f"http://127.0.0.1:{http.server_port}/")
        monkeypatch.setattr(registry, "BASE_ADDRESS", state.address)
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield state
        http.shutdown()
        thread.join()


def _expect(tiny: Any, monkeypatch: pytest.MonkeyPatch) -> bytes:
    """Registers the SHA-1 of the tiny archive, and returns the archive."""
    data: bytes = tiny.archive_bytes()
    sha1 = hashlib.sha1(data).hexdigest()
    monkeypatch.setitem(registry.REGISTRY, "tiny", replace(tiny.spec, archive_sha1=sha1))
    return data


def _left_in(cache: Path) -> list[str]:
    return sorted(path.name for path in cache.iterdir())


@pytest.mark.usefixtures("tiny_registered")
def test_a_good_archive_becomes_the_original_content(
    tiny: Any, server: Server, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.body = _expect(tiny, monkeypatch)
    prepared = prepare("tiny")
    assert prepared.origin == "original"
    assert prepared.sha256 == tiny.sha256
    assert "downloaded" in prepared.source
    assert server.asked == ["/tiny.zip"]
    assert load(prepared).sha256 == tiny.sha256
    assert _left_in(cache) == [prepared.path.name]
    assert prepare("tiny") == prepared
    assert server.asked == ["/tiny.zip"]


@pytest.mark.parametrize("defect", ["wrong", "cut", "404"])
def test_a_bad_answer_leaves_nothing_and_the_set_is_regenerated(
    defect: str,
    tiny: Any,
    tiny_registered: list[str],
    server: Server,
    cache: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data = _expect(tiny, monkeypatch)
    server.body = {"wrong": b"<html>moved</html>", "cut": data[:-500], "404": b"no"}[defect]
    server.length = len(data) if defect == "cut" else None
    server.status = 404 if defect == "404" else 200
    notes: list[str] = []
    prepared = prepare("tiny", note=notes.append)
    assert prepared.origin == "regenerated"
    assert prepared.sha256 != tiny.sha256
    assert tiny_registered == ["tiny"]
    assert _left_in(cache) == [prepared.path.name]
    assert any(server.address in note for note in notes)
    expected = "was replaced by other bytes" if defect == "wrong" else "was not reachable"
    assert expected in prepared.source


def test_bytes_of_another_archive_are_told_apart_from_no_answer(
    tiny: Any, server: Server, tmp_path: Path
) -> None:
    server.body = b"anything"
    with (
        pytest.raises(DownloadError, match="not the published archive"),
        downloaded_archive(tiny.spec, tmp_path),
    ):
        pass


def test_a_host_that_never_answers_costs_seconds(
    tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def hang(*_: Any, **__: Any) -> None:
        time.sleep(2)
        raise OSError

    monkeypatch.setattr("dae_cli.data.sources.download.CONNECT_SECONDS", 0.1)
    monkeypatch.setattr("socket.create_connection", hang)
    started = time.monotonic()
    with (
        pytest.raises(DownloadError, match=r"no answer from 127.0.0.1 within 0.1 s"),
        downloaded_archive(tiny.spec, tmp_path),
    ):
        pass
    assert time.monotonic() - started < 4


def test_a_closed_port_is_told_at_once(tiny: Any, tmp_path: Path) -> None:
    with (
        pytest.raises(DownloadError, match=r"127.0.0.1 is not reachable \(Connection refused\)"),
        downloaded_archive(tiny.spec, tmp_path),
    ):
        pass
    assert list(tmp_path.iterdir()) == []
