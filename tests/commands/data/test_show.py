"""`dae data show`: one sheet of one set."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.commands.conftest import Ended

    Dae = Callable[..., Ended]


def test_the_sheet_is_written_and_its_path_printed(dae: Dae, tmp_path: Path) -> None:
    ended = dae("data", "show", "rect", "--tiles", "3x4", "--out", "sheets/rect.png")
    assert ended.code == 0, ended.err
    assert ended.lines == [str(Path("sheets/rect.png"))]
    with Image.open(tmp_path / "sheets" / "rect.png") as sheet:
        assert sheet.mode == "L"
        assert sheet.text["Title"] == "rect, train"  # type: ignore[attr-defined]


def test_the_default_name_says_the_origin(dae: Dae, tmp_path: Path) -> None:
    assert dae("data", "show", "rect", "--split", "valid").lines == ["rect-original.png"]
    assert dae("data", "show", "rect", "--origin", "regenerated").lines == ["rect-regenerated.png"]


def test_a_full_disk_is_told_with_the_file_and_what_to_do(
    dae: Dae, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dae("data", "fetch", "rect")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("dae_cli.files.os.fsync", full)
    ended = dae("data", "show", "rect", "--out", "rect.png")
    assert ended.code == 1
    expected = "rect.png: cannot be written (No space left on device); make room"
    assert expected in ended.err
    assert not list(tmp_path.glob("*rect.png*"))


def test_wrong_arguments_are_usage_errors(dae: Dae) -> None:
    for words, told in (
        (("all",), "a sheet shows one set"),
        (("convx",), "did you mean convex?"),
        (("rect", "--tiles", "0x3"), "is not ROWSxCOLUMNS"),
        (("rect", "--out", "rect.jpg"), "a picture is written as .png"),
    ):
        ended = dae("data", "show", *words)
        assert ended.code == 2
        assert told in ended.err
