from __future__ import annotations

import io
import pickle
import tracemalloc
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dae_cli.data.content import content_digest
from dae_cli.data.readers.arrays import read_arrays
from dae_cli.errors import DataError


def _refused(tiny: Any, path: Path, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_arrays(path, tiny.spec)


def _with_member(tiny: Any, folder: Path, key: str, data: bytes) -> Path:
    """The file of the tiny set with other bytes for one array."""
    path: Path = tiny.write_npz(folder)
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    members[f"{key}.npy"] = data
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, its in members.items():
            archive.writestr(name, its)
    return path


def _header(shape: Any, descr: Any = "<f8", by_columns: bool = False) -> bytes:
    stream = io.BytesIO()
    about = {"descr": descr, "fortran_order": by_columns, "shape": shape}
    np.lib.format.write_array_header_1_0(stream, about)
    return stream.getvalue()


@pytest.mark.parametrize("dtype", ["<f8", ">f8", "<f4", ">f4", "g"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_any_floating_type_and_order_gives_the_same_content(
    tiny: Any, dtype: str, order: Any, tmp_path: Path
) -> None:
    arrays = {key: a.astype(dtype, order=order) for key, a in tiny.arrays().items()}
    path = tiny.write_npz(tmp_path, **arrays)
    assert content_digest(tiny.spec, read_arrays(path, tiny.spec)) == tiny.sha256


@pytest.mark.parametrize("dtype", ["bool", "u1", ">i4", "f2"])
def test_a_set_of_zeros_and_ones_may_have_any_type(tiny: Any, dtype: str, tmp_path: Path) -> None:
    binary = tiny.with_spec(levels=1)
    arrays = {key: binary.arrays()[key].astype(dtype) for key in ("X", "Xtest")}
    path = binary.write_npz(tmp_path, **arrays)
    assert content_digest(binary.spec, read_arrays(path, binary.spec)) == binary.sha256


@pytest.mark.parametrize("levels", [255, None])
def test_half_precision_is_refused_where_it_is_too_coarse(
    levels: int | None, tiny: Any, tmp_path: Path
) -> None:
    some = tiny.with_spec(levels=levels)
    path = some.write_npz(tmp_path, X=some.arrays()["X"].astype(np.float16))
    _refused(some, path, "X has type float16, too coarse for the grey values of tiny; expected")


def test_half_precision_is_read_where_it_is_exact(tiny: Any, tmp_path: Path) -> None:
    some = tiny.with_spec(levels=256)
    path = some.write_npz(tmp_path, X=some.arrays()["X"].astype(np.float16))
    assert content_digest(some.spec, read_arrays(path, some.spec)) == some.sha256


def test_large_sets_are_read_in_blocks(
    tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dae_cli.data.readers.arrays.BLOCK", 3)
    assert (
        content_digest(tiny.spec, read_arrays(tiny.write_npz(tmp_path), tiny.spec)) == tiny.sha256
    )
    bad = np.asfortranarray(tiny.arrays()["X"])
    bad[7, 1] = 2
    _refused(tiny, tiny.write_npz(tmp_path, X=bad), "X, row 8, pixel 2: 2 found")


def test_arrays_of_other_shape_are_refused(tiny: Any, tmp_path: Path) -> None:
    arrays = tiny.arrays()
    _refused(
        tiny,
        tiny.write_npz(tmp_path, Xtest=arrays["Xtest"][:4]),
        r"Xtest has shape \(4, 784\), expected \(5, 784\) for tiny; supply the whole set",
    )
    square = tiny.write_npz(tmp_path, X=arrays["X"].reshape(8, 28, 28))
    _refused(tiny, square, r"X has shape \(8, 28, 28\), .* reshape it to \(8, 784\)")
    column = tiny.write_npz(tmp_path, Y=arrays["Y"].reshape(8, 1))
    _refused(tiny, column, r"Y has shape \(8, 1\), expected \(8,\)")


def test_swapped_arrays_are_told(tiny: Any, tmp_path: Path) -> None:
    a = tiny.arrays()
    path = tiny.write_npz(tmp_path, X=a["Xtest"], Xtest=a["X"], Y=a["Ytest"], Ytest=a["Y"])
    _refused(tiny, path, r"X has shape \(5, 784\), .* the shape of Xtest; are arrays swapped\?")
    path = tiny.write_npz(tmp_path, X=a["Y"], Y=a["X"])
    _refused(tiny, path, r"X has shape \(8,\), .* the shape of Y; are arrays swapped\?")


def test_arrays_from_0_to_255_are_refused(tiny: Any, tmp_path: Path) -> None:
    path = tiny.write_npz(tmp_path, X=tiny.content.pixels)
    _refused(tiny, path, r"tiny.npz, X, row 1, pixel .*divide it by 255")


@pytest.mark.parametrize("value", [np.nan, np.inf, -1.0])
def test_not_a_grey_value_in_an_array_is_refused(tiny: Any, value: float, tmp_path: Path) -> None:
    test = tiny.arrays()["Xtest"].copy()
    test[3, 10] = value
    path = tiny.write_npz(tmp_path, Xtest=test)
    _refused(tiny, path, rf"tiny.npz, Xtest, row 4, pixel 11: {value:g} found")


@pytest.mark.parametrize("label", [3, -1, 0.5, np.nan])
def test_a_label_out_of_range_is_refused(tiny: Any, label: float, tmp_path: Path) -> None:
    labels = tiny.arrays()["Y"].astype(float)
    labels[2] = label
    path = tiny.write_npz(tmp_path, Y=labels)
    _refused(tiny, path, rf"tiny.npz, Y, row 3: label {label:g} found, expected a whole number")


@pytest.mark.parametrize(
    ("labels", "dtype"),
    [
        (np.array(["a"] * 8), "<U1"),
        (np.array([{}] * 8, dtype=object), "object"),
        (np.zeros(8, dtype=complex), "complex128"),
        (np.zeros(8, dtype="M8[s]"), r"datetime64\[s\]"),
        (np.zeros(8, dtype=[("a", "u1"), ("b", "u1")]), ".*'a'.*"),
    ],
)
def test_what_is_not_numbers_is_refused_and_never_unpickled(
    tiny: Any, labels: np.ndarray, dtype: str, tmp_path: Path
) -> None:
    path = tiny.write_npz(tmp_path, Y=labels)
    _refused(tiny, path, f"Y has type {dtype}, expected numbers")


class _Planted:
    """What makes a file when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[object, ...]:
        return (Path.touch, (self.marker,))


@pytest.mark.parametrize("key", ["X", "Y", "Xtest", "Ytest", "other"])
def test_a_pickle_in_any_array_is_not_executed(tiny: Any, key: str, tmp_path: Path) -> None:
    marker = tmp_path / "executed"
    shape = tiny.arrays().get(key, np.zeros(1)).shape
    planted = np.full(shape, _Planted(marker), dtype=object)
    path = tiny.write_npz(tmp_path, **{key: planted})
    if key == "other":  # not asked for, so not read
        read_arrays(path, tiny.spec)
    else:
        _refused(tiny, path, f"{key} has type object, expected numbers")
    assert not marker.exists()
    with np.load(path, allow_pickle=True) as arrays:  # a true one: numpy would have run it
        assert arrays[key].shape == shape
    assert marker.exists()


def test_a_pickle_in_the_place_of_the_file_is_not_executed(tiny: Any, tmp_path: Path) -> None:
    path, marker = tmp_path / "tiny.npz", tmp_path / "executed"
    path.write_bytes(pickle.dumps(_Planted(marker)))
    _refused(tiny, path, "tiny.npz: damaged or truncated .npz of numbers")
    assert not marker.exists()


@pytest.mark.parametrize(
    "expression",
    [
        "__import__('pathlib').Path('executed').touch()",
        "{'descr': '<f8', 'fortran_order': False, 'shape': (8, open('executed', 'w'))}",
        "{'descr': [open('executed', 'w')], 'fortran_order': False, 'shape': (8, 784)}",
        "(lambda: open('executed', 'w'))()",
    ],
)
def test_an_expression_in_a_header_is_not_evaluated(
    tiny: Any, expression: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    text = expression.encode() + b"\n"
    start = b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text
    path = _with_member(tiny, tmp_path, "X", start + bytes(8 * 784 * 8))
    _refused(tiny, path, "X has a damaged header .*save it again")
    assert [found.name for found in tmp_path.iterdir()] == ["tiny.npz"]


def test_missing_arrays_are_named(tiny: Any, tmp_path: Path) -> None:
    path = tmp_path / "tiny.npz"
    np.savez(path, X=tiny.arrays()["X"], y=tiny.content.labels)
    _refused(tiny, path, "has no Y, Xtest, Ytest; expected X, Y, Xtest, Ytest, found X, y")


def test_many_and_odd_names_are_told_in_short_and_with_escapes(tiny: Any, tmp_path: Path) -> None:
    path = tmp_path / "tiny.npz"
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("\x1b[31m", "a" * 200, *map(str, range(9))):
            archive.writestr(name, b"")
    _refused(tiny, path, rf"found '\\x1b\[31m', {'a' * 80}, 0, 1, 2, 3 …$")


def test_an_array_that_is_there_twice_is_refused(tiny: Any, tmp_path: Path) -> None:
    path = tiny.write_npz(tmp_path)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("X", b"anything")
    _refused(tiny, path, "has X more than once")


def test_a_single_array_is_refused(tiny: Any, tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros(3))
    _refused(tiny, tmp_path / "a.npy", "is a single array, expected an .npz with X, Y")


@pytest.mark.parametrize("shape", [(10**9, 784), (2**62, 784), (-8, 784), (8.0, 784), (), (True,)])
def test_the_shape_that_a_header_claims_is_not_allocated(
    tiny: Any, shape: Any, tmp_path: Path
) -> None:
    path = _with_member(tiny, tmp_path, "X", _header(shape) + bytes(1000))
    tracemalloc.start()
    try:
        _refused(tiny, path, "X has (shape|a damaged header)")
        assert tracemalloc.get_traced_memory()[1] < 5e6
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("by_columns", [False, True])
def test_an_array_that_ends_early_or_goes_on_is_refused(
    tiny: Any, by_columns: bool, tmp_path: Path
) -> None:
    start = _header((8, 784), by_columns=by_columns)
    path = _with_member(tiny, tmp_path, "X", start + bytes(8 * 784 * 8 - 1))
    _refused(tiny, path, r"X ends before its \(8, 784\) numbers do; save it again")
    path = _with_member(tiny, tmp_path, "X", start + bytes(8 * 784 * 8 + 1))
    _refused(tiny, path, r"X has more bytes than its \(8, 784\) numbers; save it again")


@pytest.mark.parametrize(
    "start",
    [
        b"",
        b"\x93NUMPY",
        b"\x93NUMPY\x01\x00\xff\xff{",
        b"\x93NUMPY\x02\x00\xff\xff\xff\xff{",
        b"\x93NUMPY\x03\x00\x02\x00\x00\x00{}",
        b"\x93NUMPY\x09\x00\x02\x00{}",
        b"\x93NUMPY\x01\x00\x10\x00((((((((((((((((",
        b"\x93NUMPY\x01\x00\x10\x00{'descr': 0 + 1j",
        b"\x93NUMPY\x01\x00\x04\x00\xff\xfe\x00\x01",
        _header((8, 784)).replace(b"'<f8'", b"'<zz'"),
        _header((8, 784)).replace(b"False", b"'yes'"),
        _header((8, 784)).replace(b"(8, 784)", b"(8L,784)"),
    ],
)
def test_a_damaged_header_is_refused(tiny: Any, start: bytes, tmp_path: Path) -> None:
    path = _with_member(tiny, tmp_path, "X", start + bytes(8 * 784 * 8 - 1))
    _refused(tiny, path, r"tiny.npz: X (has a damaged header .*save it again|ends before)")


def test_an_array_that_unpacks_to_far_more_is_refused(tiny: Any, tmp_path: Path) -> None:
    path = _with_member(tiny, tmp_path, "X", _header((8, 784)) + bytes(10_000_000))
    _refused(tiny, path, r"member X.npy: unpacks to \d+ bytes, expected at most 104448")
