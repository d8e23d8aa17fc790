"""The ways into the cache: downloads, the user's files, recipes; what each proves."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dae_cli.data import registry
from dae_cli.data.cache import sound_entry
from dae_cli.data.content import Content
from dae_cli.data.digits import Digits, DigitSource
from dae_cli.data.generators import recipes
from dae_cli.data.generators.recipes import RECIPES
from dae_cli.data.provide import prepare
from dae_cli.errors import DataError, DownloadError

pytestmark = pytest.mark.usefixtures("tiny_registered")


def _downloads(tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the archive of the tiny set come from a download."""
    path = tiny.write_zip(tmp_path / "host")

    @contextmanager
    def fetched(*_: Any) -> Iterator[Path]:
        yield path

    monkeypatch.setattr("dae_cli.data.obtain.fetched", fetched)


def test_a_downloaded_archive_is_the_original(
    tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _downloads(tiny, tmp_path, monkeypatch)
    prepared = prepare("tiny")
    assert (prepared.origin, prepared.sha256) == ("original", tiny.sha256)
    assert prepared.source == "the original archive, downloaded (checked: the published SHA-1)"


def test_a_downloaded_archive_that_cannot_be_read_is_a_failed_download(
    tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _downloads(tiny, tmp_path, monkeypatch)
    other = replace(tiny.spec, test_member="other.amat")
    monkeypatch.setitem(registry.REGISTRY, "tiny", other)
    notes: list[str] = []
    assert prepare("tiny", note=notes.append).origin == "regenerated"
    assert any("has the published SHA-1 but cannot be read" in note for note in notes)
    with pytest.raises(DownloadError, match=r"has no member other.amat.*please report this"):
        prepare("tiny", origin="original")


def test_an_entry_that_cannot_be_read_just_now_is_not_deleted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = prepare("tiny").path

    def busy(*_: Any, **__: Any) -> None:
        raise OSError(24, "Too many open files")

    with monkeypatch.context() as patch:
        patch.setattr("dae_cli.data.cache.np.load", busy)
        assert sound_entry(path, registry.REGISTRY["tiny"]) is None
    assert path.exists()


def test_a_copy_that_differs_from_what_is_rebuilt_exactly_is_refused(
    tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    exact = replace(RECIPES["tiny"], sha256=tiny.sha256, exact=True)
    monkeypatch.setitem(recipes.RECIPES, "tiny", exact)
    tiny.write_npz(tmp_path, Y=np.zeros_like(tiny.content.labels))
    with pytest.raises(DataError, match="is not the original tiny"):
        prepare("tiny", data_dir=tmp_path)


def test_two_processes_do_not_read_the_same_files_at_once(
    tiny: Any, tmp_path: Path, cache: Path
) -> None:
    tiny.write_npz(tmp_path)
    notes: list[str] = []
    with ThreadPoolExecutor(2) as pool:
        made = list(
            pool.map(lambda _: prepare("tiny", data_dir=tmp_path, note=notes.append), range(2))
        )
    assert made[0] == made[1]
    assert sum(note.startswith("reading ") for note in notes) == 1


def test_a_rebuilt_set_proves_the_users_copy_of_it(
    tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    exact = replace(RECIPES["tiny"], sha256=tiny.sha256, exact=True)
    monkeypatch.setitem(recipes.RECIPES, "tiny", exact)
    tiny.write_npz(tmp_path)
    prepared = prepare("tiny", data_dir=tmp_path)
    assert prepared.source.endswith("(checked: the published content)")


def test_the_users_digits_are_offered_to_a_recipe_that_asks_for_them(
    tiny: Any, regenerated: Content, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Path | None] = []

    def digits(folder: Path | None, *_: Any) -> Digits:
        asked.append(folder)
        return Digits(np.zeros((1, 784), np.uint8), np.zeros(1, np.uint8))

    def generate(source: DigitSource) -> Content:
        source()
        return regenerated

    monkeypatch.setattr("dae_cli.data.provide.mnist_digits", digits)
    recipe = replace(RECIPES["tiny"], generate=generate, uses_mnist=True)
    monkeypatch.setitem(recipes.RECIPES, "tiny", recipe)
    source = prepare("tiny", data_dir=tmp_path).source
    assert asked == [tmp_path]
    assert source.startswith("regenerated from MNIST by the published recipe")
