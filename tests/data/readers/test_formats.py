"""The three formats a user may have: archive, unpacked text files, arrays."""

from __future__ import annotations

import io
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dae_cli.data.content import content_digest
from dae_cli.data.readers.amat import read_amat
from dae_cli.data.readers.archive import read_archive
from dae_cli.data.readers.arrays import read_arrays
from dae_cli.data.registry import REGISTRY
from dae_cli.errors import DataError


@pytest.mark.parametrize("levels", [1, 255, 256, None])
def test_archive_text_and_arrays_give_the_same_digest(
    tiny: Any, levels: int | None, tmp_path: Path
) -> None:
    some = tiny.with_spec(levels=levels)
    train, test = some.write_amat(tmp_path)
    contents = [
        read_archive(some.write_zip(tmp_path), some.spec),
        read_amat(train, test, some.spec),
        read_arrays(some.write_npz(tmp_path), some.spec),
    ]
    assert {content_digest(some.spec, content) for content in contents} == {some.sha256}


def test_only_the_named_members_are_read_and_nothing_is_unpacked(tiny: Any, tmp_path: Path) -> None:
    path = tiny.write_zip(tmp_path)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("../outside.amat", "anything")
        archive.writestr("README", "anything")
    read_archive(path, tiny.spec)
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["tiny.zip"]
    assert not (tmp_path.parent / "outside.amat").exists()


def test_of_two_test_members_the_named_one_is_read(tiny: Any, tmp_path: Path) -> None:
    path = tiny.write_zip(tmp_path)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("tiny_test.amat", tiny.text("train"))
    content = read_archive(path, tiny.spec)
    np.testing.assert_array_equal(content.test_pixels, tiny.content.test_pixels)


def test_an_archive_of_another_set_is_refused_with_what_it_holds(tiny: Any, tmp_path: Path) -> None:
    path = tiny.write_zip(tmp_path)
    with pytest.raises(DataError, match=r"has no member convex_train.amat; found tiny_train.amat"):
        read_archive(path, REGISTRY["convex"])


def test_a_defect_names_archive_member_and_row(tiny: Any, tmp_path: Path) -> None:
    path = tiny.write_zip(tmp_path)
    with pytest.raises(DataError, match=r"tiny.zip, member 50k/tiny_test.amat: ends after 5 rows"):
        read_archive(path, replace(tiny.spec, n_test=6))


def test_a_truncated_archive_is_refused(tiny: Any, tmp_path: Path) -> None:
    path = tiny.write_zip(tmp_path)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(DataError, match="damaged or truncated zip archive"):
        read_archive(path, tiny.spec)


def test_an_archive_with_altered_bytes_is_refused(tiny: Any, tmp_path: Path) -> None:
    path = tiny.write_zip(tmp_path)
    data = bytearray(path.read_bytes())
    data[400] ^= 0xFF
    path.write_bytes(data)
    with pytest.raises(DataError, match=r"tiny.zip"):
        read_archive(path, tiny.spec)


def test_a_missing_text_file_is_a_plain_error(tiny: Any, tmp_path: Path) -> None:
    train, test = tiny.write_amat(tmp_path)
    test.unlink()
    with pytest.raises(DataError, match=r"tiny_test.amat: cannot be read"):
        read_amat(train, test, tiny.spec)


def test_arrays_of_other_shape_are_refused(tiny: Any, tmp_path: Path) -> None:
    arrays = tiny.arrays()
    path = tiny.write_npz(tmp_path, Xtest=arrays["Xtest"][:4])
    with pytest.raises(DataError, match=r"Xtest has shape \(4, 784\).*expected \(5, 784\)"):
        read_arrays(path, tiny.spec)


def test_arrays_from_0_to_255_are_refused(tiny: Any, tmp_path: Path) -> None:
    path = tiny.write_npz(tmp_path, X=tiny.content.pixels)
    with pytest.raises(DataError, match=r"tiny.npz, X, row 1, pixel .*divide it by 255"):
        read_arrays(path, tiny.spec)


def test_not_a_number_in_an_array_is_refused(tiny: Any, tmp_path: Path) -> None:
    test = tiny.arrays()["Xtest"].copy()
    test[3, 10] = np.nan
    path = tiny.write_npz(tmp_path, Xtest=test)
    with pytest.raises(DataError, match=r"tiny.npz, Xtest, row 4, pixel 11: nan found"):
        read_arrays(path, tiny.spec)


def test_arrays_of_words_or_objects_are_refused(tiny: Any, tmp_path: Path) -> None:
    path = tiny.write_npz(tmp_path, Y=np.array(["a"] * 8))
    with pytest.raises(DataError, match="Y has type <U1, expected numbers"):
        read_arrays(path, tiny.spec)
    path = tiny.write_npz(tmp_path, Y=np.array([{}] * 8, dtype=object))
    with pytest.raises(DataError, match=r"not an .npz of numbers"):
        read_arrays(path, tiny.spec)


def test_missing_arrays_are_named(tiny: Any, tmp_path: Path) -> None:
    path = tmp_path / "tiny.npz"
    np.savez(path, X=tiny.arrays()["X"], y=tiny.content.labels)
    with pytest.raises(DataError, match="has no Y, Xtest, Ytest; expected X, Y, Xtest, Ytest"):
        read_arrays(path, tiny.spec)


@pytest.mark.parametrize("data", [b"", b"not a zip", b"\x93NUMPY\x01\x00"])
def test_a_file_that_is_no_npz_is_refused(tiny: Any, data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "tiny.npz"
    path.write_bytes(data)
    with pytest.raises(DataError, match=r"tiny.npz"):
        read_arrays(path, tiny.spec)


def test_a_single_array_is_refused(tiny: Any, tmp_path: Path) -> None:
    stream = io.BytesIO()
    np.save(stream, np.zeros(3))
    path = tmp_path / "tiny.npz"
    path.write_bytes(stream.getvalue())
    with pytest.raises(DataError, match="is a single array"):
        read_arrays(path, tiny.spec)
