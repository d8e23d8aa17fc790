from __future__ import annotations

import gzip
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from dae_cli.data.readers.idx import read_idx, read_labels
from dae_cli.errors import DataError

SHAPE = (3, 4, 5)
IMAGES = np.arange(60, dtype=np.uint8).reshape(SHAPE)


def as_idx(array: NDArray[np.uint8]) -> bytes:
    header = bytes([0, 0, 8, array.ndim])
    return header + b"".join(n.to_bytes(4, "big") for n in array.shape) + array.tobytes()


GOOD = as_idx(IMAGES)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "images"


@pytest.mark.parametrize("name", ["images", "images.gz", "images.idx3-ubyte"])
@pytest.mark.parametrize("packed", [False, True])
def test_plain_and_packed_files_are_told_apart_by_their_bytes_not_their_names(
    name: str, packed: bool, tmp_path: Path
) -> None:
    path = tmp_path / name
    path.write_bytes(gzip.compress(GOOD) if packed else GOOD)
    np.testing.assert_array_equal(read_idx(path, SHAPE), IMAGES)


@given(
    shape=st.lists(st.integers(1, 6), min_size=1, max_size=3).map(tuple),
    seed=st.integers(0, 99),
    packed=st.booleans(),
)
def test_what_was_written_is_read(
    shape: tuple[int, ...], seed: int, packed: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    array = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    path = tmp_path_factory.mktemp("idx") / "a"
    path.write_bytes(gzip.compress(as_idx(array)) if packed else as_idx(array))
    np.testing.assert_array_equal(read_idx(path, shape), array)


@given(length=st.integers(0, len(GOOD) - 1), packed=st.booleans())
def test_a_file_cut_anywhere_is_refused(
    length: int, packed: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("idx") / "a"
    whole = gzip.compress(GOOD) if packed else GOOD
    path.write_bytes(whole[: length * len(whole) // len(GOOD)])
    with pytest.raises(DataError, match=r"a: (ends at offset|damaged or truncated gzip)"):
        read_idx(path, SHAPE)


@given(place=st.integers(10, 60), change=st.integers(1, 255))
def test_a_packed_file_with_one_changed_byte_is_refused(
    place: int, change: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("idx") / "a"
    whole = bytearray(gzip.compress(GOOD))
    whole[place] ^= change
    path.write_bytes(whole)
    with pytest.raises(DataError, match=r"a[:,] "):
        read_idx(path, SHAPE)


def test_a_cut_file_is_told_where_it_ends_and_what_was_expected(path: Path) -> None:
    path.write_bytes(GOOD[:-7])
    with pytest.raises(DataError, match=r"ends at offset 69, expected 76 bytes"):
        read_idx(path, SHAPE)
    path.write_bytes(GOOD[:9])
    with pytest.raises(DataError, match="ends at offset 9, within its header"):
        read_idx(path, SHAPE)


@pytest.mark.parametrize("packed", [False, True])
def test_bytes_after_the_last_pixel_are_refused(packed: bool, path: Path) -> None:
    path.write_bytes(gzip.compress(GOOD + b"\0") if packed else GOOD + b"\0")
    with pytest.raises(DataError, match="goes on at offset 76, expected its end there"):
        read_idx(path, SHAPE)


def test_bytes_after_the_packed_data_are_refused(path: Path) -> None:
    path.write_bytes(gzip.compress(GOOD) + b"more")
    with pytest.raises(DataError, match="damaged or truncated gzip"):
        read_idx(path, SHAPE)


@pytest.mark.parametrize(
    ("offset", "value", "message"),
    [
        (0, 1, "offset 0: 01 00 08 03 found, expected 00 00 08 03"),
        (2, 13, "offset 0: 00 00 0d 03 found"),
        (3, 1, r"offset 0: 00 00 08 01 found.*with 3 dimensions"),
        (7, 4, "offset 4: dimension 1 is 4, expected 3"),
        (15, 9, "offset 12: dimension 3 is 9, expected 5"),
        (4, 255, "offset 4: dimension 1 is 4278190083, expected 3"),
    ],
)
def test_another_header_is_refused_with_its_offset(
    offset: int, value: int, message: str, path: Path
) -> None:
    data = bytearray(GOOD)
    data[offset] = value
    path.write_bytes(data)
    with pytest.raises(DataError, match=message):
        read_idx(path, SHAPE)


def test_a_small_file_that_unpacks_to_much_is_not_unpacked(path: Path) -> None:
    path.write_bytes(gzip.compress(GOOD + bytes(64 << 20)))
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match="goes on at offset 76"):
            read_idx(path, SHAPE)
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()


def test_a_label_out_of_range_is_refused_with_its_offset(path: Path) -> None:
    path.write_bytes(as_idx(np.array([0, 9, 10, 3], dtype=np.uint8)))
    with pytest.raises(DataError, match=r"offset 10: label 10 found, expected .* from 0 to 9"):
        read_labels(path, 4)


def test_good_labels_are_read(path: Path) -> None:
    path.write_bytes(as_idx(np.array([0, 9, 1], dtype=np.uint8)))
    assert read_labels(path, 3).tolist() == [0, 9, 1]


def test_a_missing_file_or_a_folder_is_refused_with_its_name(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nothing: cannot be read \(No such file"):
        read_idx(tmp_path / "nothing", SHAPE)
    with pytest.raises(DataError, match=r"cannot be read \(Is a directory"):
        read_idx(tmp_path, SHAPE)
