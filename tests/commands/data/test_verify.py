"""`dae data verify`: damage is found, and regenerated rows stand beside genuine ones."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.commands.conftest import Ended

    Dae = Callable[..., Ended]


def test_sound_copies_are_exit_0(dae: Dae) -> None:
    dae("data", "fetch", "rect")
    ended = dae("data", "verify", "rect", "--format", "json")
    assert ended.code == 0, ended.err
    assert [copy["sound"] for copy in json.loads(ended.out)] == [True, True]


def test_a_damaged_copy_in_the_cache_is_exit_1_and_named(dae: Dae) -> None:
    (fetched,) = json.loads(dae("data", "fetch", "rect", "--format", "json").out)
    path = Path(fetched["path"])
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))
    ended = dae("data", "verify", "rect")
    assert ended.code == 1
    assert str(path) in ended.out
    assert "damaged" in ended.out


def test_a_bad_file_of_the_users_is_exit_2(dae: Dae, tmp_path: Path) -> None:
    (tmp_path / "rect.npz").write_bytes(b"not an archive")
    ended = dae("data", "verify", "rect", "--data-dir", tmp_path)
    assert ended.code == 2
    assert "damaged or truncated .npz" in ended.out


def test_where_nothing_is_here_it_says_how_to_get_it(dae: Dae, tmp_path: Path) -> None:
    ended = dae("data", "verify", "rect-img", "--data-dir", tmp_path)
    assert ended.code == 0
    assert "dae data fetch gets them" in ended.err


def test_figures_that_are_off_are_exit_1_and_written_all_the_same(
    dae: Dae, sample: Path, tmp_path: Path
) -> None:
    out = tmp_path / "proof"
    ended = dae("data", "verify", "rect", "--against", sample, "--out", out)
    assert ended.code == 1
    assert "OFF" in ended.out  # eight rectangles of one size are not the law of the set
    with (out / "statistics.csv").open(newline="") as stream:
        rows = {row["measure"]: row for row in csv.DictReader(stream)}
    assert rows["images that are one outline"]["holds"] == "True"
    assert float(rows["height, mean"]["genuine"]) == 9
    assert rows["height, mean"]["holds"] == "False"
    with Image.open(out / "rect.png") as sheet:
        assert "SHA256" in sheet.text  # type: ignore[attr-defined]


def test_to_compare_nothing_is_no_success(dae: Dae, sample: Path) -> None:
    ended = dae("data", "verify", "convex", "--against", sample)
    assert ended.code == 2
    assert "no genuine rows of convex; nothing was compared" in ended.err


def test_svm_and_out_go_with_against(dae: Dae) -> None:
    ended = dae("data", "verify", "rect", "--svm")
    assert ended.code == 2
    assert "goes with --against" in ended.err


def test_json_is_json_whatever_is_written(dae: Dae, sample: Path, tmp_path: Path) -> None:
    words = ("data", "verify", "rect", "--against", sample, "--out", tmp_path / "proof")
    ended = dae(*words, "--format", "json")
    figures = json.loads(ended.out)
    assert {figure["dataset"] for figure in figures} == {"rect"}
    assert (tmp_path / "proof" / "statistics.csv").is_file()


def test_a_set_that_cannot_be_compared_does_not_hide_the_others(dae: Dae, sample: Path) -> None:
    (sample / "basic.npz").write_bytes((sample / "rect.npz").read_bytes())
    ended = dae("data", "verify", "basic", "rect", "--against", sample)
    assert ended.code == 2
    assert "is this the original basic set?" in ended.err
    assert "images that are one outline" in ended.out


def test_a_folder_that_cannot_be_made_is_told_before_anything_is_measured(
    dae: Dae, sample: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    ended = dae("data", "verify", "rect", "--against", sample, "--out", tmp_path / "file" / "x")
    assert ended.code == 1
    assert "cannot be made (Not a directory); choose another folder with --out" in ended.err
    assert ended.out == ""
