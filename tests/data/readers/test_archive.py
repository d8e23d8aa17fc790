from __future__ import annotations

import struct
import tracemalloc
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dae_cli.data.content import content_digest
from dae_cli.data.readers.archive import read_archive
from dae_cli.data.registry import REGISTRY
from dae_cli.errors import DataError

TRAIN, TEST = "tiny_train.amat", "50k/tiny_test.amat"


def _pack(path: Path, *members: tuple[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in members:
            archive.writestr(zipfile.ZipInfo(name), data, compress_type=method)
    return path


def _patch(path: Path, local: int, central: int, value: bytes) -> None:
    """Write ``value`` at an offset of the first local header and of the first central one."""
    data = bytearray(path.read_bytes())
    for signature, offset in ((b"PK\x03\x04", local), (b"PK\x01\x02", central)):
        start = data.index(signature) + offset
        data[start : start + len(value)] = value
    path.write_bytes(data)


def _declare(path: Path, size: int) -> None:
    """Have the first member claim to unpack to ``size`` bytes."""
    _patch(path, 22, 24, struct.pack("<I", size))


def _refused(tiny: Any, path: Path, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_archive(path, tiny.spec)


def test_only_the_named_members_are_read_and_nothing_is_unpacked(tiny: Any, tmp_path: Path) -> None:
    path = tiny.write_zip(tmp_path)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("README", "anything")
    assert content_digest(tiny.spec, read_archive(path, tiny.spec)) == tiny.sha256
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["tiny.zip"]


def test_an_archive_with_any_member_that_leads_out_is_refused(tiny: Any, tmp_path: Path) -> None:
    path = tiny.write_zip(tmp_path)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("../outside.amat", "anything")
    _refused(tiny, path, r"tiny.zip, member ../outside.amat: its path leads out of the folder")
    assert not (tmp_path.parent / "outside.amat").exists()


@pytest.mark.parametrize(
    "name",
    [
        "../tiny_train.amat",
        "a/../../tiny_train.amat",
        "/tmp/tiny_train.amat",
        "C:/tiny_train.amat",
        "//host/share/tiny_train.amat",
        "..\\b/tiny_train.amat",
    ],
)
def test_a_member_whose_path_leads_out_is_refused(tiny: Any, name: str, tmp_path: Path) -> None:
    path = _pack(tmp_path / "a.zip", (name, tiny.text("train")), (TEST, tiny.text("test")))
    _refused(tiny, path, r"a.zip, member .*tiny_train.amat: its path leads out of the folder")
    assert [p.name for p in tmp_path.iterdir()] == ["a.zip"]


def test_a_member_that_is_a_link_is_not_followed(tiny: Any, tmp_path: Path) -> None:
    train, _ = tiny.write_amat(tmp_path)
    link = zipfile.ZipInfo(TRAIN)
    link.create_system, link.external_attr = 3, 0o120777 << 16
    path = _pack(tmp_path / "a.zip", (TEST, tiny.text("test")))
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(link, str(train))
    _refused(tiny, path, "member tiny_train.amat, row 1: 1 fields, expected 785")


def test_names_of_members_cannot_drive_a_terminal(tiny: Any, tmp_path: Path) -> None:
    path = _pack(tmp_path / "a.zip", ("\x1b[31m", b""), ("../\x1b", b""))
    _refused(tiny, path, r"a.zip, member '../\\x1b': its path leads out of the folder")
    path = _pack(tmp_path / "b.zip", ("\x1b[31m", b""))
    _refused(tiny, path, r"b.zip: has no member tiny_train.amat; found '\\x1b\[31m'; is it")
    path = _pack(tmp_path / "c.zip", ("\x1b/tiny_train.amat", b"0"), (TEST, tiny.text("test")))
    _refused(tiny, path, r"c.zip, member '\\x1b/tiny_train.amat', row 1: 1 fields, expected 785")


def test_a_member_without_a_name_is_passed_over(tiny: Any, tmp_path: Path) -> None:
    members = ((TRAIN, tiny.text("train")), (TEST, tiny.text("test")))
    path = _pack(tmp_path / "a.zip", ("", b""), *members)
    assert content_digest(tiny.spec, read_archive(path, tiny.spec)) == tiny.sha256


def test_members_may_lie_in_another_folder(tiny: Any, tmp_path: Path) -> None:
    members = (("x/tiny_train.amat", tiny.text("train")), ("x/tiny_test.amat", tiny.text("test")))
    path = _pack(tmp_path / "a.zip", ("x/", b""), ("tiny_train.amat/", b""), *members)
    assert content_digest(tiny.spec, read_archive(path, tiny.spec)) == tiny.sha256


def test_of_two_test_members_the_named_one_is_read(tiny: Any, tmp_path: Path) -> None:
    path = tiny.write_zip(tmp_path)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("tiny_test.amat", tiny.text("train"))
    content = read_archive(path, tiny.spec)
    np.testing.assert_array_equal(content.test_pixels, tiny.content.test_pixels)


def test_two_members_of_which_neither_has_the_full_name_are_refused(
    tiny: Any, tmp_path: Path
) -> None:
    train, test = (TRAIN, tiny.text("train")), tiny.text("test")
    path = _pack(tmp_path / "a.zip", train, ("a/tiny_test.amat", test), ("b/tiny_test.amat", test))
    _refused(tiny, path, r"has a/tiny_test.amat, b/tiny_test.amat; expected one member 50k/tiny")


def test_a_member_that_is_there_twice_is_refused(tiny: Any, tmp_path: Path) -> None:
    path = tiny.write_zip(tmp_path)
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr(TRAIN, tiny.text("train"))
    _refused(tiny, path, "member tiny_train.amat: is there more than once")


def test_an_archive_of_another_set_is_refused_with_what_it_holds(tiny: Any, tmp_path: Path) -> None:
    path = tiny.write_zip(tmp_path)
    with pytest.raises(DataError, match=r"has no member convex_train.amat; found tiny_train.amat"):
        read_archive(path, REGISTRY["convex"])


def test_a_defect_names_archive_member_and_row(tiny: Any, tmp_path: Path) -> None:
    path = tiny.write_zip(tmp_path)
    with pytest.raises(DataError, match=r"tiny.zip, member 50k/tiny_test.amat: ends after 5 rows"):
        read_archive(path, replace(tiny.spec, n_test=6))


def test_members_in_each_others_place_are_told(tiny: Any, tmp_path: Path) -> None:
    path = _pack(tmp_path / "a.zip", (TRAIN, tiny.text("test")), (TEST, tiny.text("train")))
    _refused(tiny, path, r"tiny_train.amat: holds 5 rows, as many as the test file")


def test_a_truncated_archive_is_refused(tiny: Any, tmp_path: Path) -> None:
    path = tiny.write_zip(tmp_path)
    path.write_bytes(path.read_bytes()[:-200])
    _refused(tiny, path, "tiny.zip: damaged or truncated zip archive .*fetch or copy the file")


def test_an_encrypted_archive_is_refused(tiny: Any, tmp_path: Path) -> None:
    path = tiny.write_zip(tmp_path)
    _patch(path, 6, 8, b"\x01")
    _refused(tiny, path, "member tiny_train.amat: is encrypted; unpack it with its password")


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_methods_that_unpack_in_pieces_of_any_size_are_refused(
    method: int, tiny: Any, tmp_path: Path
) -> None:
    members = ((TRAIN, tiny.text("train")), (TEST, tiny.text("test")))
    path = _pack(tmp_path / "a.zip", *members, method=method)
    _refused(tiny, path, rf"is packed by method {method}, expected 0 or 8 \(deflate\); unpack it")


def test_an_archive_that_says_it_unpacks_to_far_more_is_refused(tiny: Any, tmp_path: Path) -> None:
    path = tiny.write_zip(tmp_path)
    _declare(path, 4_000_000_000)
    _refused(tiny, path, "unpacks to 4000000000 bytes, expected at most 401920; do not use")


@pytest.mark.parametrize("row", [b"0", b"\n", b"0\n", b"   0.0000000e+00" * 785 + b"\n"])
@pytest.mark.parametrize("declared", [None, 300_000])
def test_a_bomb_is_refused_with_little_memory(
    row: bytes, declared: int | None, tiny: Any, tmp_path: Path
) -> None:
    bomb = row * (20_000_000 // len(row))
    path = _pack(tmp_path / "a.zip", (TRAIN, bomb), (TEST, bomb))
    if declared:
        _declare(path, declared)
    del bomb
    tracemalloc.start()
    try:
        _refused(tiny, path, "a.zip")
        assert tracemalloc.get_traced_memory()[1] < 20e6
    finally:
        tracemalloc.stop()
