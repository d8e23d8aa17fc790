"""`dae data fetch` and `make`: what is made ready, and how a failure is told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from dae_cli.data.generators.recipes import RECIPES

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.commands.conftest import Ended

    Dae = Callable[..., Ended]


def test_fetch_takes_the_users_file_first(dae: Dae, rect_file: Path, cache: Path) -> None:
    ended = dae("data", "fetch", "rect", "--format", "json")
    assert ended.code == 0, ended.err
    (rect,) = json.loads(ended.out)
    assert rect["origin"] == "original"
    assert rect["source"] == f"the user's {rect_file} (taken as original)"
    assert Path(rect["path"]).parent == cache


def test_make_regenerates_whatever_originals_there_are(dae: Dae) -> None:
    ended = dae("data", "make", "rect")
    assert ended.code == 0, ended.err
    header, line = ended.lines
    assert header.split() == ["set", "origin", "SHA-256", "source"]
    assert line.split()[:3] == ["rect", "regenerated", RECIPES["rect"].sha256[:12]]
    assert "regenerating rect from the published recipe" in ended.err


def test_an_original_that_cannot_be_fetched_is_exit_1_and_hides_no_other_set(
    dae: Dae, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = dae("data", "fetch", "convex", "rect", "--origin", "original")
    assert ended.code == 1
    assert "convex.zip cannot be fetched" in ended.err
    assert "supply convex.zip with --data-dir" in ended.err
    assert [line.split()[0] for line in ended.lines] == ["set", "rect"]
    assert "Traceback" not in ended.err


def test_a_bad_file_of_the_users_is_exit_2(dae: Dae, tmp_path: Path) -> None:
    (tmp_path / "rectangles.zip").write_bytes(b"PK\x03\x04 cut short")
    ended = dae("data", "fetch", "rect", "--data-dir", tmp_path)
    assert ended.code == 2
    assert "rectangles.zip" in ended.err
    assert ended.out == ""


def test_without_mnist_a_set_of_digits_says_what_to_do(dae: Dae) -> None:
    ended = dae("data", "make", "basic")
    assert ended.code == 1  # a download failed
    assert "MNIST cannot be had" in ended.err
    assert "train-images-idx3-ubyte.gz" in ended.err
    assert "--data-dir or DAE_DATA_DIR" in ended.err


def test_fetch_mnist_reads_and_proves_the_users_files(dae: Dae, test_data: Path) -> None:
    ended = dae("data", "fetch", "mnist", "--data-dir", test_data, "--format", "json")
    assert ended.code == 0, ended.err
    (mnist,) = json.loads(ended.out)
    assert mnist["source"].startswith("the user's files in ")


@pytest.mark.parametrize("words", [("fetch",), ("make",)])
def test_a_name_is_needed(dae: Dae, words: tuple[str, ...]) -> None:
    assert dae("data", *words).code == 2
