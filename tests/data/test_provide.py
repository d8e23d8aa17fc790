"""The order of sources, and that no origin is ever silent."""

from __future__ import annotations

import hashlib
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dae_cli.data import registry
from dae_cli.data.cache import read_entry
from dae_cli.data.content import Content
from dae_cli.data.generators import recipes
from dae_cli.data.provide import load, prepare
from dae_cli.data.readers import arrays as arrays_reader
from dae_cli.errors import DataError

pytestmark = pytest.mark.usefixtures("tiny_registered")


def test_the_users_file_comes_first_and_is_named(tiny: Any, tmp_path: Path) -> None:
    prepare("tiny")
    path = tiny.write_npz(tmp_path)
    prepared = prepare("tiny", data_dir=tmp_path)
    assert prepared.origin == "original"
    assert prepared.sha256 == tiny.sha256
    assert prepared.source == f"the user's {path} (taken as original)"
    dataset = load(prepared)
    np.testing.assert_array_equal(dataset.test.pixels, tiny.content.test_pixels)
    assert (dataset.origin, dataset.sha256) == ("original", tiny.sha256)


def test_the_environment_names_the_users_folder(
    tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny.write_zip(tmp_path)
    monkeypatch.setenv("DAE_DATA_DIR", str(tmp_path))
    assert prepare("tiny").sha256 == tiny.sha256


def test_an_unreachable_host_costs_seconds_and_the_set_is_regenerated(
    tiny_registered: list[str],
) -> None:
    started = time.monotonic()
    prepared = prepare("tiny")
    assert time.monotonic() - started < 5
    assert tiny_registered == ["tiny"]
    assert prepared.origin == "regenerated"
    assert prepared.source == (
        "regenerated from the published recipe (the original archive was not reachable)"
    )
    assert load(prepared).origin == "regenerated"


def test_after_one_failed_download_the_regenerated_entry_is_used(
    tiny_registered: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = prepare("tiny")

    def never(*_: Any) -> None:
        raise AssertionError("tried to download again")

    monkeypatch.setattr("dae_cli.data.provide.downloaded_archive", never)
    assert prepare("tiny") == first
    assert tiny_registered == ["tiny"]


def test_a_users_file_is_parsed_once(
    tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tiny.write_npz(tmp_path)
    notes: list[str] = []
    first = prepare("tiny", data_dir=tmp_path, note=notes.append)
    assert prepare("tiny", data_dir=tmp_path, note=notes.append) == first
    assert notes == [f"reading {path}"]


def test_a_users_file_that_changed_is_read_again(tiny: Any, tmp_path: Path) -> None:
    tiny.write_npz(tmp_path)
    first = prepare("tiny", data_dir=tmp_path)
    tiny.write_npz(tmp_path, Y=(tiny.content.labels + 1) % 3)
    assert prepare("tiny", data_dir=tmp_path).sha256 != first.sha256


def test_a_users_unproven_file_counts_only_while_it_is_given(tiny: Any, tmp_path: Path) -> None:
    tiny.write_npz(tmp_path)
    prepare("tiny", data_dir=tmp_path)
    assert prepare("tiny").origin == "regenerated"


def test_a_proven_original_is_used_from_the_cache(
    tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = replace(tiny.spec, content_sha256=tiny.sha256)
    monkeypatch.setitem(registry.REGISTRY, "tiny", known)
    path = tiny.write_npz(tmp_path)
    first = prepare("tiny", data_dir=tmp_path)
    assert first.source == f"the user's {path} (checked: the published content)"
    assert prepare("tiny") == first


def test_content_that_differs_from_the_known_original_is_refused(
    tiny: Any, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = replace(tiny.spec, content_sha256="f" * 64)
    monkeypatch.setitem(registry.REGISTRY, "tiny", known)
    tiny.write_npz(tmp_path)
    with pytest.raises(DataError, match=r"is not the original tiny.*expected ffffffffffff"):
        prepare("tiny", data_dir=tmp_path)
    assert not cache.exists()


def test_regenerated_content_never_passes_as_the_users_original(
    tiny: Any, regenerated: Content, tmp_path: Path
) -> None:
    type(tiny)(tiny.spec, regenerated).write_npz(tmp_path)
    with pytest.raises(DataError, match="is the set that dae regenerates, not the original"):
        prepare("tiny", data_dir=tmp_path)


def test_a_cache_entry_never_passes_as_the_users_original(tmp_path: Path) -> None:
    entry = prepare("tiny").path
    (tmp_path / "tiny.npz").write_bytes(entry.read_bytes())
    with pytest.raises(DataError, match="is an entry of the cache of dae"):
        prepare("tiny", data_dir=tmp_path)


def test_a_users_bad_file_is_refused_and_the_cache_stays_as_it_was(
    tiny: Any, tmp_path: Path, cache: Path
) -> None:
    prepare("tiny")
    before = {path.name: path.read_bytes() for path in cache.iterdir()}
    path = tiny.write_zip(tmp_path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(DataError, match="truncated"):
        prepare("tiny", data_dir=tmp_path)
    assert {path.name: path.read_bytes() for path in cache.iterdir()} == before


def test_an_archive_is_proven_by_its_sha1_and_one_with_another_sha1_is_told(
    tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tiny.write_zip(tmp_path / "a")
    prepared = prepare("tiny", data_dir=tmp_path / "a")
    assert "though it has not the SHA-1 of the published archive" in prepared.source
    sha1 = hashlib.sha1(path.read_bytes()).hexdigest()
    monkeypatch.setitem(registry.REGISTRY, "tiny", replace(tiny.spec, archive_sha1=sha1))
    path.rename(tmp_path / "tiny.zip")
    prepared = prepare("tiny", data_dir=tmp_path)
    assert prepared.source.endswith("(checked: the published content)")


def test_a_folder_without_the_set_falls_through_with_a_note(tmp_path: Path) -> None:
    notes: list[str] = []
    (tmp_path / "empty").mkdir()
    prepared = prepare("tiny", data_dir=tmp_path / "empty", note=notes.append)
    assert prepared.origin == "regenerated"
    assert notes[0].endswith("empty has no files of tiny")


def test_a_set_without_a_recipe_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(recipes.RECIPES, "tiny")
    with pytest.raises(DataError, match=r"no recipe yet.*supply tiny.zip with --data-dir"):
        prepare("tiny")


def test_an_unknown_name_lists_the_sets() -> None:
    with pytest.raises(DataError, match="unknown data set 'convx'; expected one of basic, rot,"):
        prepare("convx")


@pytest.mark.parametrize("damage", ["cut", "altered", "empty"])
def test_a_damaged_cache_entry_is_dropped_and_built_again(
    damage: str, tiny_registered: list[str]
) -> None:
    first = prepare("tiny")
    data = bytearray(first.path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    first.path.write_bytes(bytes({"cut": data[:-300], "altered": data, "empty": b""}[damage]))
    with pytest.raises(DataError, match="damaged cache entry"):
        load(first)
    assert prepare("tiny") == first
    assert tiny_registered == ["tiny", "tiny"]
    assert load(first).sha256 == first.sha256


def test_an_entry_replaced_by_other_content_is_not_loaded(
    tiny: Any, tmp_path: Path, cache: Path
) -> None:
    tiny.write_npz(tmp_path)
    original, made = prepare("tiny", data_dir=tmp_path), prepare("tiny")
    made.path.write_bytes(original.path.read_bytes())
    with pytest.raises(DataError, match="holds other content than was prepared"):
        load(made)
    assert prepare("tiny") == made


def test_a_generator_with_other_bytes_than_its_recipe_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    recipe = recipes.RECIPES["tiny"]
    monkeypatch.setitem(recipes.RECIPES, "tiny", replace(recipe, sha256="0" * 64))
    with pytest.raises(DataError, match="regenerates other bytes"):
        prepare("tiny")


def test_the_real_convex_is_proven_by_its_content(test_data: Path) -> None:
    prepared = prepare("convex", data_dir=test_data)
    assert prepared.origin == "original"
    assert prepared.sha256 == registry.REGISTRY["convex"].content_sha256
    dataset = load(prepared)
    assert [len(s) for s in (dataset.train, dataset.valid, dataset.test)] == [6000, 2000, 50_000]
    assert dataset.test.pixels.dtype == np.uint8
    with np.load(test_data / "genuine_rows" / "convex.npz") as rows:
        for name in ("train", "valid", "test"):
            split = getattr(dataset, name)
            for end, some in (("first", slice(10)), ("last", slice(-10, None))):
                chosen = (rows["split"] == name) & (rows["end"] == end)
                np.testing.assert_array_equal(split.pixels[some], rows["X"][chosen])
                np.testing.assert_array_equal(split.labels[some], rows["y"][chosen])


def test_convex_in_another_order_is_refused(
    test_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with np.load(test_data / "convex" / "convex.npz") as genuine:
        files = {key: genuine[key] for key in arrays_reader.KEYS}
    files["X"], files["Y"] = files["X"][::-1], files["Y"][::-1]
    np.savez(tmp_path / "convex.npz", **files)
    with pytest.raises(DataError, match="is not the original convex"):
        prepare("convex", data_dir=tmp_path)


def test_the_entry_remembers_where_it_is_from(tiny: Any) -> None:
    prepared = prepare("tiny")
    _, provenance = read_entry(prepared.path, tiny.spec)
    assert provenance.origin == "regenerated"
    assert provenance.trust == "made here"
    assert provenance.source == prepared.source
