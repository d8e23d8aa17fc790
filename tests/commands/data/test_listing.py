"""`dae data list`: every set with its copies, digests and sources."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from dae_cli.commands.data.listing import _columns_that_fit
from dae_cli.data.registry import REGISTRY

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.commands.conftest import Ended

    Dae = Callable[..., Ended]


def test_all_eight_sets_and_mnist_are_listed(dae: Dae) -> None:
    ended = dae("data", "list")
    assert ended.code == 0, ended.err
    assert [line.split()[0] for line in ended.lines] == ["set", *REGISTRY, "mnist"]
    assert "\x1b" not in ended.out


def test_the_users_file_is_named_with_its_size(dae: Dae, rect_file: Path) -> None:
    (rect,) = json.loads(dae("data", "list", "rect", "--format", "json").out)
    (copy,) = rect["copies"]
    assert copy["paths"] == [str(rect_file)]
    assert copy["bytes"] == rect_file.stat().st_size
    assert (copy["place"], copy["origin"], rect["comes_from"]) == (
        "yours",
        "original",
        "your files",
    )
    assert rect["rows"] == {"train": 1000, "valid": 200, "test": 50_000}


def test_a_cached_copy_shows_its_digest(dae: Dae, cache: Path) -> None:
    dae("data", "fetch", "rect")
    (rect,) = json.loads(dae("data", "list", "rect", "--format", "json").out)
    cached = rect["copies"][1]
    assert cached["place"] == "cache"
    assert Path(cached["paths"][0]).parent == cache
    assert len(cached["sha256"]) == 64
    assert cached["sha256"][:12] in dae("data", "list", "rect").out


def test_half_a_pair_of_files_does_not_hide_the_other_sets(dae: Dae, tmp_path: Path) -> None:
    (tmp_path / "rectangles_train.amat").write_bytes(b"")
    ended = dae("data", "list", "--data-dir", tmp_path)
    assert ended.code == 2
    assert "rect: " in ended.err and "rectangles_test.amat is missing" in ended.err
    assert "convex" in ended.out


def test_the_addresses_and_the_known_digests_are_told(
    dae: Dae, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAE_MIRROR", "https://mirror.example/data")
    convex, rect = json.loads(dae("data", "list", "convex", "rect", "--format", "json").out)
    assert convex["addresses"][0] == "https://mirror.example/data/convex.zip"
    assert convex["known_sha256"] == [REGISTRY["convex"].content_sha256]
    assert rect["known_sha256"] == []


def test_a_misspelled_set_is_a_usage_error_with_a_hint(dae: Dae) -> None:
    ended = dae("data", "list", "convx")
    assert ended.code == 2
    assert "there is no data set 'convx'; did you mean convex?" in ended.err


def test_a_listing_makes_and_fetches_nothing(dae: Dae, cache: Path) -> None:
    dae("data", "list")
    assert not cache.exists()


def test_help_of_the_group_names_its_commands(dae: Dae) -> None:
    out = dae("data", "--help").out
    for name in ("list", "fetch", "make", "verify", "show"):
        assert f"  {name} " in out


@pytest.mark.parametrize("name", ["list", "fetch", "make", "verify", "show"])
def test_every_command_has_an_example(dae: Dae, name: str) -> None:
    assert f"Example: dae data {name}" in dae("data", name, "--help").out


def test_a_narrow_terminal_spares_columns_and_cuts_no_word() -> None:
    rows: list[tuple[str, ...]] = [("set", "rows", "here", "size", "SHA-256", "would come from")]
    rows += [("rot", "10000 + 2000 + 50000", "-", "-", "-", "the download, else regenerated")]
    assert _columns_that_fit(rows, 120) == [0, 1, 2, 3, 4, 5]
    assert _columns_that_fit(rows, 60) == [0, 2, 3, 4, 5]
    assert _columns_that_fit(rows, 40) == [0, 2, 5]
