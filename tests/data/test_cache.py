from __future__ import annotations

import json
import multiprocessing
import os
import stat
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dae_cli.data.cache import (
    Pointer,
    Provenance,
    cache_folder,
    read_entry,
    read_pointer,
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
    for bad in ("", "{", "[]", "{}", json.dumps({"entry": "../x.npz", "source": "s"})):
        path.write_text(bad, encoding="utf-8")
        assert read_pointer(path) is None


def test_the_environment_moves_the_cache(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert cache_folder() == cache
    monkeypatch.delenv("DAE_CACHE_DIR")
    assert cache_folder().name == "dae"
