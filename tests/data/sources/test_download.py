"""The addresses of a file, in turn, against a server on the loopback interface."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

from dae_cli.data import registry
from dae_cli.data.sources.download import (
    RemoteFile,
    WrongFileError,
    addresses_of,
    archive_of,
    fetched,
)
from dae_cli.errors import DataError, DownloadError

GOOD = b"the file as it was published " * 5000


def _file(*addresses: str, known_hash: str | None = None) -> RemoteFile:
    return RemoteFile("tiny.zip", addresses, known_hash or f"sha1:{hashlib.sha1(GOOD).hexdigest()}")


def _fetch(file: RemoteFile, cache: Path) -> tuple[bytes, list[str]]:
    """The bytes fetched and the notes; nothing may be left in the cache."""
    notes: list[str] = []
    with fetched(file, cache, notes.append) as path:
        assert path.name == file.name
        assert cache in path.parents
        data = path.read_bytes()
    assert list(cache.iterdir()) == []
    return data, notes


def _failure(file: RemoteFile, cache: Path) -> tuple[DownloadError, list[str]]:
    """The error of a fetch that fails, and the notes; nothing may be left in the cache."""
    notes: list[str] = []
    with pytest.raises(DownloadError) as caught, fetched(file, cache, notes.append):
        pass
    assert list(cache.iterdir()) == []
    return caught.value, notes


@pytest.mark.parametrize("algorithm", ["sha1", "md5", "sha256"])
def test_a_good_file_is_there_until_the_end_of_the_block(
    algorithm: str, server: Any, cache: Path
) -> None:
    known = f"{algorithm}:{hashlib.new(algorithm, GOOD).hexdigest()}"
    assert _fetch(_file(server.serve(GOOD), known_hash=known), cache) == (GOOD, [])
    assert server.asked == ["/tiny.zip"]


def test_the_first_good_address_is_the_last_one_asked(server: Any, cache: Path) -> None:
    broken = server.serve(b"busy", "/broken", status=500)
    good = server.serve(GOOD, "/good")
    data, notes = _fetch(_file(broken, good, server.serve(GOOD, "/other")), cache)
    assert data == GOOD
    assert notes == [f"{broken}: the host answered 500 Internal Server Error"]
    assert server.asked == ["/broken", "/good"]


def test_a_file_that_is_not_there_is_told_with_the_answer(server: Any, cache: Path) -> None:
    address = server.address + "nothing"
    error, notes = _failure(_file(address), cache)
    assert type(error) is DownloadError
    assert str(error) == f"tiny.zip cannot be fetched: {address}: the host answered 404 Not Found"
    assert notes == [f"{address}: the host answered 404 Not Found"]


def test_when_all_fail_each_address_is_named_with_its_reason(
    server: Any, closed: str, cache: Path
) -> None:
    gone = server.address + "gone"
    broken = server.serve(b"", "/broken", status=503)
    error, notes = _failure(_file(closed, gone, broken), cache)
    assert str(error) == (
        f"tiny.zip cannot be fetched: {closed}: 127.0.0.1 is not reachable (Connection refused); "
        f"{gone}: the host answered 404 Not Found; {broken}: the host answered 503 Service "
        "Unavailable"
    )
    assert len(notes) == 3
    assert error.exit_code == 1


def test_other_bytes_are_told_apart_from_no_answer(server: Any, closed: str, cache: Path) -> None:
    page = server.serve(b"<html>moved</html>", "/page")
    error, _ = _failure(_file(page, closed), cache)
    assert isinstance(error, WrongFileError)
    assert f"{page}: the 18 bytes received are not tiny.zip (their SHA-1 differs)" in str(error)


def test_other_bytes_from_one_address_do_not_hide_that_another_was_cut(
    server: Any, cache: Path
) -> None:
    page = server.serve(b"<html>moved</html>", "/page")
    cut = server.serve(GOOD[:-500], "/cut", length=len(GOOD))
    error, _ = _failure(_file(page, cut), cache)
    assert type(error) is DownloadError


def test_after_other_bytes_the_next_address_is_tried(server: Any, cache: Path) -> None:
    page = server.serve(b"<html>moved</html>", "/page")
    data, notes = _fetch(_file(page, server.serve(GOOD)), cache)
    assert data == GOOD
    assert len(notes) == 1


def test_a_truncated_file_is_asked_for_once_more_then_elsewhere(server: Any, cache: Path) -> None:
    cut = server.serve(GOOD[:-500], "/cut", length=len(GOOD))
    data, notes = _fetch(_file(cut, server.serve(GOOD)), cache)
    assert data == GOOD
    assert server.asked == ["/cut", "/cut", "/tiny.zip"]
    assert notes == [
        f"{cut}: the connection was cut in the middle; once more from the start",
        f"{cut}: the connection was cut in the middle",
    ]


def test_a_connection_cut_once_is_restarted_from_the_first_byte(server: Any, cache: Path) -> None:
    def cut_once(handler: Any) -> None:
        server.serve(GOOD)
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(GOOD)))
        handler.end_headers()
        handler.wfile.write(b"x" * 70_000)

    data, notes = _fetch(_file(server.do(cut_once, "/tiny.zip")), cache)
    assert data == GOOD
    assert len(notes) == 1


def test_a_host_whose_name_is_unknown_is_asked_for_once(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_PROXY", "example.invalid")
    monkeypatch.setenv("no_proxy", "example.invalid")
    monkeypatch.setattr("socket.create_connection", _unknown_name)
    error, notes = _failure(_file("http://example.invalid/a", "https://example.invalid/a"), cache)
    assert notes == ["http://example.invalid/a: example.invalid is not known (no such name)"]
    assert str(error).endswith(notes[0])


def _unknown_name(*_: Any, **__: Any) -> None:
    import socket

    raise socket.gaierror(-2, "no such name")


def test_without_any_address_the_error_says_so(cache: Path) -> None:
    error, _ = _failure(_file(), cache)
    assert str(error) == "tiny.zip cannot be fetched: no address is known"


def test_a_cache_that_cannot_be_made_is_the_users_error(server: Any, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    folder = tmp_path / "file" / "cache"
    with (
        pytest.raises(DataError, match=r"cache: cannot be written \(.*\); set DAE_CACHE_DIR"),
        fetched(_file(server.serve(GOOD)), folder, lambda _: None),
    ):
        pass
    assert server.asked == []


def test_an_error_of_the_caller_passes_and_leaves_nothing(server: Any, cache: Path) -> None:
    with pytest.raises(DataError, match="mine"), fetched(_file(server.serve(GOOD)), cache, print):
        raise DataError("mine")
    assert list(cache.iterdir()) == []


def test_archives_are_sought_at_their_old_home_then_in_the_internet_archive(
    monkeypatch: pytest.MonkeyPatch, published: tuple[str, ...]
) -> None:
    monkeypatch.setattr(registry, "ADDRESSES", published)
    archive = archive_of(registry.REGISTRY["convex"])
    assert archive.name == "convex.zip"
    assert archive.known_hash == "sha1:61eab3c60e0e1caeaa0b82abf827f1809cfd2ef9"
    home = "www.iro.umontreal.ca/~lisa/icml2007data/convex.zip"
    assert archive.addresses == (
        f"http://{home}",
        f"https://{home}",
        f"https://web.archive.org/web/2016id_/http://{home}",
    )


@pytest.mark.parametrize("mirror", ["http://mirror.example/data", "http://mirror.example/data/"])
def test_the_mirror_of_the_environment_comes_first(
    mirror: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAE_MIRROR", mirror)
    assert addresses_of("a.zip", ("http://other/",)) == (
        "http://mirror.example/data/a.zip",
        "http://other/a.zip",
    )


@pytest.mark.parametrize(
    "mirror", ["/data", "ftp://host/", "http://", "http://[", "http://a:99999"]
)
def test_a_mirror_that_is_no_address_is_the_users_error(
    mirror: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAE_MIRROR", mirror)
    with pytest.raises(DataError, match=r"DAE_MIRROR .*: expected the address of the folder"):
        addresses_of("a.zip", ())
