from __future__ import annotations

import io
import json
import multiprocessing
import os
import pickle
import stat
import tracemalloc
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dae_cli.data.cache import (
    Pointer,
    Provenance,
    read_entry,
    read_pointer,
    recorded,
    save_entry,
    save_pointer,
    sound_entry,
)
from dae_cli.data.content import Content
from dae_cli.errors import DataError


def _provenance(tiny: Any) -> Provenance:
    return Provenance("tiny", "original", tiny.sha256, "a test", "as given")


def _save_often(path: Path, content: Content, provenance: Provenance) -> None:
    for _ in range(20):
        save_entry(path, content, provenance)


def test_an_entry_comes_back_as_it_was_saved(tiny: Any, cache: Path) -> None:
    path = cache / "tiny.npz"
    save_entry(path, tiny.content, _provenance(tiny))
    content, provenance = read_entry(path, tiny.spec)
    assert provenance == _provenance(tiny)
    np.testing.assert_array_equal(content.pixels, tiny.content.pixels)
    np.testing.assert_array_equal(content.test_labels, tiny.content.test_labels)
    assert [p.name for p in cache.iterdir()] == ["tiny.npz"]


def test_two_processes_that_write_at_once_leave_one_sound_entry(tiny: Any, cache: Path) -> None:
    path = cache / "tiny.npz"
    start = multiprocessing.get_context("spawn")
    content, about = tiny.content, _provenance(tiny)
    writers = [start.Process(target=_save_often, args=(path, content, about)) for _ in range(2)]
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        assert not path.exists() or sound_entry(path, tiny.spec) is not None
    for writer in writers:
        writer.join()
        assert writer.exitcode == 0
    assert sound_entry(path, tiny.spec) == _provenance(tiny)
    assert [p.name for p in cache.iterdir()] == ["tiny.npz"]


def test_a_full_disk_leaves_the_old_entry_and_no_part(
    tiny: Any, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = cache / "tiny.npz"
    save_entry(path, tiny.content, _provenance(tiny))

    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(DataError, match=r"No space left on device.*set DAE_CACHE_DIR"):
        save_entry(path, tiny.content, _provenance(tiny))
    assert sound_entry(path, tiny.spec) is not None
    assert [p.name for p in cache.iterdir()] == ["tiny.npz"]


def test_a_cache_that_cannot_be_a_folder_is_a_plain_error(tiny: Any, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="cannot be written"):
        save_entry(tmp_path / "file" / "tiny.npz", tiny.content, _provenance(tiny))


def test_an_entry_whose_content_is_not_what_its_digest_says_is_dropped(
    tiny: Any, cache: Path
) -> None:
    path = cache / "tiny.npz"
    wrong = Provenance("tiny", "original", "0" * 64, "a test", "checked")
    save_entry(path, tiny.content, wrong)
    assert sound_entry(path, tiny.spec) is None
    assert not path.exists()


def test_entries_may_be_read_by_others_as_the_umask_says(tiny: Any, cache: Path) -> None:
    path = cache / "tiny.npz"
    before = os.umask(0o022)
    try:
        save_entry(path, tiny.content, _provenance(tiny))
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) & 0o444 == 0o444


def test_a_pointer_comes_back_and_a_bad_one_is_ignored(cache: Path) -> None:
    path = cache / "tiny-files.json"
    assert read_pointer(path) is None
    save_pointer(path, Pointer("tiny.npz", "a test"))
    assert read_pointer(path) == Pointer("tiny.npz", "a test")
    for bad in ("", "{", "[]", "{}", "\0", "[" * 100_000, '{"entry": "x.npz", "source": [3]}'):
        path.write_text(bad, encoding="utf-8")
        assert read_pointer(path) is None


@pytest.mark.parametrize(
    "entry", ["../x.npz", "/etc/x.npz", "a/x.npz", "./x.npz", "..", ".", "", "x.json", 3, ["x.npz"]]
)
def test_an_altered_pointer_does_not_lead_out_of_the_cache(cache: Path, entry: Any) -> None:
    cache.mkdir()
    (path := cache / "tiny-files.json").write_text(json.dumps({"entry": entry, "source": "s"}))
    assert read_pointer(path) is None


class _Planted:
    """What makes a file when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[object, ...]:
        return (Path.touch, (self.marker,))


def _rewritten(path: Path, **members: bytes) -> None:
    """Write an entry again with other bytes for some of its arrays, its checksums being right."""
    with zipfile.ZipFile(path) as archive:
        held = {name: archive.read(name) for name in archive.namelist()}
    held |= {f"{name}.npy": data for name, data in members.items()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in held.items():
            archive.writestr(name, data)


def _npy(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


@pytest.mark.parametrize("key", ["dae", "X", "Y", "Xtest", "Ytest"])
def test_a_pickle_in_an_entry_is_not_executed(tiny: Any, cache: Path, key: str) -> None:
    path, marker = cache / "tiny.npz", cache / "executed"
    save_entry(path, tiny.content, _provenance(tiny))
    _rewritten(path, **{key: _npy(np.full(1, _Planted(marker), dtype=object))})
    recorded(path)
    with pytest.raises(DataError, match=r"tiny.npz: damaged cache entry \(not arrays of numbers"):
        read_entry(path, tiny.spec)
    assert sound_entry(path, tiny.spec) is None
    assert [found.name for found in cache.iterdir()] == []


def test_a_pickle_in_the_place_of_an_entry_is_not_executed(tiny: Any, cache: Path) -> None:
    cache.mkdir()
    path, marker = cache / "tiny.npz", cache / "executed"
    path.write_bytes(pickle.dumps(_Planted(marker)))
    assert recorded(path) is None
    with pytest.raises(DataError, match="damaged cache entry"):
        read_entry(path, tiny.spec)
    assert not marker.exists()


@pytest.mark.parametrize(
    "text",
    [
        b"[" * 90_000,
        b"[]",
        b"{}",
        b"\xff",
        b'{"name": "tiny", "origin": "original", "sha256": 3, "source": "s", "trust": "checked"}',
        b'{"name": "tiny", "origin": "stolen", "sha256": "", "source": "s", "trust": "checked"}',
        b'{"name": "tiny", "origin": "original", "sha256": "", "source": "s", "trust": "mine"}',
    ],
)
def test_a_provenance_that_is_none_is_damage(tiny: Any, cache: Path, text: bytes) -> None:
    path = cache / "tiny.npz"
    save_entry(path, tiny.content, _provenance(tiny))
    _rewritten(path, dae=_npy(np.frombuffer(text, dtype=np.uint8)))
    assert recorded(path) is None
    with pytest.raises(DataError, match="damaged cache entry"):
        read_entry(path, tiny.spec)


@pytest.mark.parametrize("key", ["dae", "X"])
def test_a_member_that_is_no_array_is_damage(tiny: Any, cache: Path, key: str) -> None:
    path = cache / "tiny.npz"
    save_entry(path, tiny.content, _provenance(tiny))
    _rewritten(path, **{key: b"no array"})
    assert (recorded(path) is None) == (key == "dae")
    with pytest.raises(DataError, match="damaged cache entry"):
        read_entry(path, tiny.spec)


@pytest.mark.parametrize("key", ["dae", "X", "Ytest"])
def test_an_array_that_unpacks_to_far_more_than_the_set_is_not_held(
    tiny: Any, cache: Path, key: str
) -> None:
    path = cache / "tiny.npz"
    save_entry(path, tiny.content, _provenance(tiny))
    _rewritten(path, **{key: _npy(np.zeros(30_000_000, np.uint8))})
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match="damaged cache entry"):
            read_entry(path, tiny.spec)
        assert tracemalloc.get_traced_memory()[1] < 5e6
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("key", ["dae", "X", "Ytest"])
@pytest.mark.parametrize("claim", [b"10000000000000", b"90000000000000000", b"-1"])
def test_a_shape_that_no_memory_holds_is_damage(
    tiny: Any, cache: Path, key: str, claim: bytes
) -> None:
    path = cache / "tiny.npz"
    save_entry(path, tiny.content, _provenance(tiny))
    header = _npy(np.zeros(1, np.uint8)).replace(b"(1,), }" + b" " * 20, b"(%20s ,), }" % claim)
    assert claim in header
    _rewritten(path, **{key: header})
    with pytest.raises(DataError, match="damaged cache entry"):
        read_entry(path, tiny.spec)
