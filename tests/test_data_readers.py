"""Readers of data sets: text, archives, arrays and MNIST's files, valid or damaged."""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import struct
import tracemalloc
import warnings
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.entry_points.readers import (
    SETS,
    Arrays,
    DaeError,
    Rows,
    gather_greys,
    read_cache_entry,
    read_idx,
    read_labels,
    read_npz,
    read_text_files,
    read_zip,
    splits_of,
)
from tests.support.data_files import idx, npy, npz, random_arrays, refused, text, zipped

LEVELS = {"basic": 256, "rect": 1, "rect-img": 255, "convex": 1}
"""Grey values are k divided by this, in the data sets with a single scale."""
OF = Rows("rect-img", 6, 2, 5)
CONTENT = random_arrays(OF, seed=1)
TRAIN, TEST = SETS["rect-img"].train_member, SETS["rect-img"].test_member
KEYS = ("X", "Y", "Xtest", "Ytest")


def greys_of(content: Arrays, of: Rows = OF) -> Arrays:
    """Return the content as it is in files: grey values from 0 to 1."""
    levels = LEVELS.get(of.dataset, 1)
    return content._replace(
        pixels=content.pixels / levels, test_pixels=content.test_pixels / levels
    )


def texts_of(content: Arrays = CONTENT, of: Rows = OF, *how: str) -> tuple[bytes, bytes]:
    """Return the training file and the test file as text."""
    pixels, labels, test_pixels, test_labels = greys_of(content, of)
    return text(pixels, labels, *how), text(test_pixels, test_labels, *how)


def arrays_of(content: Arrays = CONTENT, of: Rows = OF) -> dict[str, NDArray[Any]]:
    """Return the four arrays of an .npz."""
    return dict(zip(KEYS, greys_of(content, of), strict=True))


GOOD, GOOD_TEST = texts_of()
MEMBERS = ((TRAIN, GOOD), (TEST, GOOD_TEST))
WHOLE = {f"{key}.npy": npy(array) for key, array in arrays_of().items()}


def read_amat(train: bytes, test: bytes = GOOD_TEST, of: Rows = OF) -> Arrays:
    """Write two text files and read them."""
    paths = Path("train.amat"), Path("test.amat")
    for path, data in zip(paths, (train, test), strict=True):
        path.write_bytes(data)
    return read_text_files(*paths, of)


def read_archive(data: bytes, of: Rows = OF) -> Arrays:
    """Write an archive and read it."""
    Path("a.zip").write_bytes(data)
    return read_zip(Path("a.zip"), of)


def read_arrays(data: bytes | Mapping[str, NDArray[Any]], of: Rows = OF) -> Arrays:
    """Write an .npz, given as bytes or as changed arrays, and read it."""
    content = data if isinstance(data, bytes) else npz(arrays_of() | dict(data))
    Path("a.npz").write_bytes(content)
    return read_npz(Path("a.npz"), of)


def assert_same(found: Arrays, expected: Arrays = CONTENT) -> None:
    """Assert equal values, types and shapes."""
    for one, other in zip(found, expected, strict=True):
        assert (one.dtype, one.shape) == (other.dtype, other.shape)
        np.testing.assert_array_equal(one, other)


@contextlib.contextmanager
def little_memory(most: float) -> Iterator[None]:
    """Assert that a block never allocates more than `most` bytes."""
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < most
    finally:
        tracemalloc.stop()


# ---------------------------------------------------------------- facts about the data sets


def test_the_members_of_the_archives_are_the_published_ones() -> None:
    expected = {
        "basic": ("mnist_train", "mnist_test"),
        "rot": tuple(f"mnist_all_rotation_normalized_float_{s}" for s in ("train_valid", "test")),
        "bg-rand": ("mnist_background_random_train", "mnist_background_random_test"),
        "bg-img": ("mnist_background_images_train", "mnist_background_images_test"),
        "rot-bg-img": tuple(
            f"mnist_all_background_images_rotation_normalized_{s}" for s in ("train_valid", "test")
        ),
        "rect": ("rectangles_train", "rectangles_test"),
        "rect-img": ("rectangles_im_train", "rectangles_im_test"),
        "convex": ("convex_train", "50k/convex_test"),
    }
    found = {name: (facts.train_member, facts.test_member) for name, facts in SETS.items()}
    assert found == {name: (f"{a}.amat", f"{b}.amat") for name, (a, b) in expected.items()}


def test_genuine_rows_survive_the_stored_type(test_data: Path) -> None:
    for name, facts in SETS.items():
        with np.load(test_data / "genuine_rows" / f"{name}.npz") as rows:
            greys, labels = rows["X"], rows["y"]
        of = Rows(name, len(greys) - 9, 8, 1)
        four = (greys[1:], labels[1:], greys[:1], labels[:1])
        found = read_arrays(npz(dict(zip(KEYS, four, strict=True))), of)
        assert facts.levels == LEVELS.get(name)
        assert found.pixels.dtype == (np.uint8 if name in LEVELS else np.float32)
        assert np.abs(found.pixels / (facts.levels or 1) - greys[1:]).max() < 1e-7
        np.testing.assert_array_equal(found.labels, labels[1:])


# ---------------------------------------------------------------- what training sees


def test_the_last_rows_of_the_training_file_are_the_validation_set() -> None:
    train, valid, test = splits_of(CONTENT, OF)
    assert (len(train), len(valid), len(test)) == (6, 2, 5)
    for split, pixels, labels in (
        (train, CONTENT.pixels[:6], CONTENT.labels[:6]),
        (valid, CONTENT.pixels[6:], CONTENT.labels[6:]),
        (test, CONTENT.test_pixels, CONTENT.test_labels),
    ):
        np.testing.assert_array_equal(split.pixels, pixels)
        np.testing.assert_array_equal(split.labels, labels)
        assert split.scale == 1 / 255


def test_grey_values_are_pixels_over_levels_and_255_is_exactly_1() -> None:
    pixels = (np.arange(6 * 784) % 256).astype(np.uint8).reshape(6, 784)
    split, _, _ = splits_of(CONTENT._replace(pixels=pixels), OF)
    greys = split.as_float()
    assert (greys.dtype, greys.flags.c_contiguous) == (np.float32, True)
    assert (greys.min(), greys.max()) == (0, 1)
    np.testing.assert_array_equal(greys, (pixels / 255).astype(np.float32))
    np.testing.assert_array_equal(split.as_float(slice(1, 3)), greys[1:3])
    np.testing.assert_array_equal(split.as_float(np.array([4, 0])), greys[[4, 0]])
    # If pixels are stored as grey values, changing the copy does not change them.
    continuous = OF._replace(dataset="rot")
    content = random_arrays(continuous)
    before = content.pixels.copy()
    splits_of(content, continuous)[0].as_float()[:] = 9
    np.testing.assert_array_equal(content.pixels, before)


def test_a_subset_is_spread_over_the_split_and_not_its_first_rows() -> None:
    # The test file of convex is sorted by class.
    of = Rows("basic", 10, 1, 1)
    content = random_arrays(of)._replace(labels=np.arange(11, dtype=np.uint8))
    train, _, _ = splits_of(content, of)
    for n, rows in ((4, [0, 2, 5, 7]), (10, list(range(10))), (1, [0])):
        subset = train.take(n)
        assert subset.labels.tolist() == rows
        np.testing.assert_array_equal(subset.pixels, content.pixels[rows])
        assert subset.scale == 1 / 256
    for n in (0, 11):
        refused((n, 10), train.take, n)


def test_gathered_grey_values_are_those_of_the_split_bit_for_bit() -> None:
    minibatches: list[list[int]] = [[6, 0, 3, 3, 1], [2], [], [5, 4]]
    counted_up = (np.arange(8 * 784) % 256).astype(np.uint8).reshape(8, 784)
    for name in ("rect-img", "basic", "rect", "rot"):
        of = Rows(name, 7, 1, 1)
        content = random_arrays(of)
        if name in ("rect-img", "basic"):
            content = content._replace(pixels=counted_up)
        whole, _, _ = splits_of(content, of)
        # Every scale of a data set, and some others.
        for scale in (whole.scale, 1 / 2, 1 / 254, 0.0123):
            split = replace(whole, scale=scale)
            before = split.pixels.tobytes()
            # Output with a row stride of 800: 16 numbers between the rows.
            out = [np.full((len(m), 800), np.nan, np.float32)[:, :784] for m in minibatches]
            out[1] = np.ascontiguousarray(out[1])
            gather_greys(split, minibatches, out)
            for rows, found in zip(minibatches, out, strict=True):
                expected = split.as_float(np.array(rows, dtype=np.intp))
                assert found.tobytes() == expected.tobytes()
            assert split.pixels.tobytes() == before


# ---------------------------------------------------------------- every layout


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    name=st.sampled_from(sorted(SETS)),
    seed=st.integers(0, 2**32 - 1),
    form=st.sampled_from(["%16.7e", "%.17g", "%.18e", "%+.10f", "%30.9f"]),
    between=st.sampled_from([" ", "\t", ",", ", ", " \t "]),
    newline=st.sampled_from(["\n", "\r\n", " \n", "\n\n"]),
    mark=st.sampled_from([b"", b"\xef\xbb\xbf"]),
    packing=st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED]),
)
def test_any_content_comes_back_from_every_format_and_layout(
    name: str, seed: int, form: str, between: str, newline: str, mark: bytes, packing: int
) -> None:
    of = OF._replace(dataset=name)
    content = random_arrays(of, seed)
    train, test = (mark + part for part in texts_of(content, of, form, between, newline))
    assert_same(read_amat(train, test, of), content)
    members = {SETS[name].train_member: train, SETS[name].test_member: test}
    assert_same(read_archive(zipped(members, packing), of), content)
    assert_same(read_arrays(npz(arrays_of(content, of)), of), content)


def test_other_layouts_of_the_same_numbers_give_the_same_rows() -> None:
    layouts: dict[str, Callable[[bytes], bytes]] = {
        "single blanks": lambda data: data.replace(b"   ", b" "),
        "tabs": lambda data: data.replace(b"   ", b"\t"),
        "commas": lambda d: d.replace(b"   ", b", ").replace(b"\n, ", b"\n").removeprefix(b", "),
        "CRLF": lambda data: data.replace(b"\n", b"\r\n"),
        "CR before one end": lambda data: data.replace(b"\n", b"\r\n", 1),
        "no last newline": lambda data: data.rstrip(b"\n"),
        "no last CRLF": lambda data: data.replace(b"\n", b"\r\n").rstrip(b"\r\n"),
        "empty lines": lambda data: b"\n" + data.replace(b"\n", b"\n\n \t\n") + b"\n\n",
        "byte order mark": lambda data: b"\xef\xbb\xbf" + data,
        "short zeros": lambda data: data.replace(b"0.0000000e+00", b"0"),
        "long exponents": lambda data: data.replace(b"e-0", b"e-00").replace(b"e+", b"e+0"),
        "E": lambda data: data.replace(b"e", b"E"),
        "signs": lambda data: data.replace(b"   ", b"  +"),
    }
    for name, change in layouts.items():
        changed = change(GOOD)
        assert changed != GOOD, name
        assert_same(read_amat(changed, change(GOOD_TEST)))
    for how in (("%.17g", " \t "), ("%.18e", "  ", " \n"), ("%30.9f", ""), ("+%010.7f", "\t")):
        assert_same(read_amat(*texts_of(CONTENT, OF, *how)))


def test_rows_that_span_two_blocks_are_read_whole() -> None:
    of = Rows("rect-img", 300, 45, 330)
    content = random_arrays(of)
    for how in (("%16.7e", "", "\r\n"), ("%.6f", " ")):
        assert_same(read_amat(*texts_of(content, of, *how), of), content)
    bad = GOOD.splitlines(keepends=True)[0] * 250 + b"x" + GOOD
    refused(("train.amat", "row 251", "785"), read_amat, bad, GOOD_TEST, of)


def _rows_of_fields(fields: list[str], n_rows: int) -> bytes:
    """Rows of continuous pixels; the first pixels are `fields`, texts of 16 characters."""
    filled = [*fields, *["   0.0000000e+00"] * (n_rows * 784 - len(fields))]
    rows = ("".join(filled[i * 784 : (i + 1) * 784]) + "   1.0000000e+00" for i in range(n_rows))
    return "\n".join(rows).encode() + b"\n"


def test_every_number_in_the_form_of_the_originals_is_what_python_reads() -> None:
    rng = np.random.default_rng(0)
    parts = zip(rng.integers(0, 10**8, 5000), rng.integers(-22, -1, 5000), strict=True)
    fields = [f"   {m // 10**7}.{m % 10**7:07}e{e:+03}" for m, e in parts]
    fields += [f"   {k / n:.7e}" for n in (255, 256) for k in range(n + 1)]
    fields += ["   0.0000000e-99", "   1.0000000e-00", "   9.9999999e-01", "   0.0000001e+07"]
    expected = np.array([float(field) for field in fields], dtype=np.float32)
    of = OF._replace(dataset="rot")
    found = read_amat(_rows_of_fields(fields, 8), texts_of(random_arrays(of), of)[1], of)
    np.testing.assert_array_equal(found.pixels.reshape(-1)[: len(fields)], expected)


def test_a_field_with_any_byte_of_another_form_is_refused_or_what_python_reads() -> None:
    of = Rows("rot", 1, 1, 1)
    good, test = b"   1.2345678e-05", texts_of(random_arrays(of), of)[1]
    rest = _rows_of_fields([], 2)[16:]
    sound = 0
    for place in range(16):
        for byte in sorted({0, 9, 10, 255, *b" +-.,/:;059Ee_dx\r"}):
            field = bytearray(good)
            field[place] = byte
            try:
                expected = float(bytes(field))
            except ValueError:
                expected = -1.0
            fits = byte != 10 and b"_" not in field and 0 <= expected <= 1
            try:
                found = read_amat(bytes(field) + rest, test, of)
            except DaeError:
                assert not fits or byte in b"\r ,\x00", (place, byte)
                continue
            sound += 1
            assert found.pixels[0, 0] == np.float32(expected), (place, byte)
            assert not found.pixels.reshape(-1)[1:].any()  # the other fields are unchanged
    assert sound > 30


# ---------------------------------------------------------------- invalid text


def test_text_of_another_number_of_rows_is_refused_with_both_numbers() -> None:
    lines = GOOD.splitlines(keepends=True)
    first = lines[0]
    for train, test, parts in (
        (b"".join(lines[:6]), GOOD_TEST, ("train.amat", "6 rows", "8", "training", "rect-img")),
        (first * 9, GOOD_TEST, ("train.amat", "8 rows", "training", "rect-img")),
        (GOOD_TEST, GOOD_TEST, ("train.amat", "5 rows", "8", "training", "test", "swapped")),
        (GOOD, GOOD, ("test.amat", "8 rows", "5", "training", "test", "swapped")),
        (GOOD, first * 7, ("test.amat", "7 rows", "5", "test")),
        (GOOD, first * 20, ("test.amat", "8 rows", "5", "test")),
        (b"\xef\xbb\xbf\n", GOOD_TEST, ("train.amat", "no rows", "8")),
        (GOOD, b"", ("test.amat", "no rows", "5")),
    ):
        message = refused(parts, read_amat, train, test)
        assert ("swapped" in message) == ("swapped" in parts), message


def _file_with(row: int, place: int, field: bytes) -> bytes:
    """The training file with one field replaced; row and place are counted from 1."""
    lines = GOOD.splitlines()
    start = 16 * (place - 1)
    lines[row - 1] = lines[row - 1][:start] + field.rjust(16) + lines[row - 1][start + 16 :]
    return b"\n".join(lines)


def test_what_a_row_cannot_hold_is_refused_with_its_place() -> None:
    lines = GOOD.splitlines()
    long_, short = lines[2] + b"   0.0000000e+00", lines[3][16:]
    head = ",".join([*(f"pixel{i}" for i in range(784)), "label"]).encode()
    for data, parts in (
        (GOOD[:-17], ("row 8", "784", "785")),
        (GOOD[:-4], ("row 8", "field 785")),
        (b"\n".join([*lines[:2], long_, short, *lines[4:]]), ("row 3", "786", "785")),
        (head + b"\n" + GOOD, ("row 1", "field 1", "pixel0")),
        (b"," * 784 + b"\n", ("row 1", "field 1", "''")),
        (b"\x1b[31m" + b" 0" * 784 + b"\n", ("row 1", "field 1")),
        (_file_with(5, 3, b"1_0"), ("row 5", "field 3", "1_0")),
        (_file_with(5, 3, b"0x1"), ("row 5", "field 3", "0x1")),
        (_file_with(5, 3, b"\xff"), ("row 5", "field 3", "\N{REPLACEMENT CHARACTER}")),
        (_file_with(8, 785, b"hello"), ("row 8", "field 785", "hello")),
        (_file_with(5, 1, b"-nan"), ("row 5", "pixel 1", "nan", "0 to 1")),
        (_file_with(5, 2, b"1e999"), ("row 5", "pixel 2", "inf")),
        (_file_with(1, 7, b"-0.1"), ("row 1", "pixel 7", "-0.1", "0 to 1")),
        (_file_with(8, 784, b"1.001"), ("row 8", "pixel 784", "1.001", "0 to 1")),
        (_file_with(2, 9, b"0.5"), ("row 2", "pixel 9", "0.5", "1/255", "rect-img")),
        (_file_with(2, 785, b"2.0"), ("row 2", "label 2", "0 to 1")),
        (_file_with(2, 785, b"0.5"), ("row 2", "label 0.5", "0 to 1")),
        (_file_with(8, 785, b"-1"), ("row 8", "label -1", "0 to 1")),
        (_file_with(8, 785, b"nan"), ("row 8", "label nan", "0 to 1")),
        (GOOD.decode().encode("utf-16"), ("UTF-16",)),
    ):
        refused(("train.amat", *parts), read_amat, data)
    refused("test.amat, row 1, field 1", read_amat, GOOD, GOOD_TEST.replace(b"e", b"f", 1))


def test_values_from_0_to_255_are_refused_with_what_to_divide_them_by() -> None:
    raw = text(CONTENT.pixels, CONTENT.labels)
    refused(("train.amat", "row 1", "pixel", "255"), read_amat, raw)
    for name, divisor in (("basic", 256), ("rect-img", 255), ("rect", 255)):
        of = Rows(name, 1, 1, 1)
        pixels = np.zeros((2, 784), dtype=np.uint8)
        pixels[1, :3] = (0, 255, 255) if name == "rect" else (1, 255, 128)
        rest = arrays_of(random_arrays(of), of)
        refused(f"by {divisor}", read_arrays, npz(rest | {"X": pixels}), of)
        read_arrays(npz(rest | {"X": pixels / divisor}), of)
    message = refused("0 to 255", read_arrays, npz(rest | {"X": pixels}), Rows("rot", 1, 1, 1))
    assert "divide" not in message  # it has no single scale


def test_levels_are_reported_from_those_of_another_scale() -> None:
    for name, value, expected in (
        ("basic", 1 / 255, "1/256"),
        ("basic", 1, "1/256"),  # 256/256 does not fit into a byte
        ("rect-img", 1 / 256, "1/255"),
        ("rect", 1 / 255, "0 or 1"),
        ("convex", 1 / 2, "0 or 1"),
    ):
        of = Rows(name, 1, 1, 1)
        pixels = np.zeros((2, 784))
        pixels[1, 6] = value
        data = npz(dict(zip(KEYS, random_arrays(of)._replace(pixels=pixels), strict=True)))
        place = f"a.npz, X, row 2, pixel 7: {value:.7g}"
        refused((place, expected, name), read_arrays, data, of)


def test_text_without_end_is_given_up_with_little_memory() -> None:
    endless, good = Path("endless.amat"), Path("train.amat")
    with endless.open("wb") as file:
        file.truncate(1 << 33)  # NULs; the sparse file uses no disk space
    good.write_bytes(GOOD)
    most, longest = 8 * 785 * 64, 785 * 64  # limits of a file and of a line in bytes
    with little_memory(3e6):
        refused((endless, longest, 785), read_text_files, endless, good, OF)
        refused((endless, longest, 785), read_text_files, good, endless, OF)
    endless.write_bytes(b"\n" * (most + 1))
    with little_memory(3e6):
        refused((endless, most), read_text_files, endless, good, OF)


# ---------------------------------------------------------------- archives


def test_only_the_two_members_are_read_wherever_they_lie_and_nothing_is_unpacked() -> None:
    elsewhere = [(f"x/{name}", data) for name, data in MEMBERS]
    for members in (
        [*MEMBERS, ("README", b"anything"), ("", b"")],
        [("x/", b""), (f"{TRAIN}/", b""), *elsewhere],
        [*reversed(MEMBERS)],
        [elsewhere[0], MEMBERS[1]],
    ):
        assert_same(read_archive(zipped(members)))
    assert [path.name for path in Path().iterdir()] == ["a.zip"]


def test_the_member_in_the_expected_folder_is_preferred_to_others_of_its_name() -> None:
    of = OF._replace(dataset="convex")
    content = random_arrays(of)
    train, test = texts_of(content, of)
    named = [("convex_train.amat", train), ("50k/convex_test.amat", test)]
    assert_same(read_archive(zipped([*named, ("convex_test.amat", train)]), of), content)
    neither = [named[0], ("a/convex_test.amat", test), ("b/convex_test.amat", test)]
    parts = ("a.zip", "a/convex_test.amat", "b/convex_test.amat", "50k/convex_test.amat")
    refused(parts, read_archive, zipped(neither), of)


def test_a_member_that_drives_a_terminal_is_refused() -> None:
    for members in ([("\x1b[31m", b"")], [(f"\x1b/{TRAIN}", b"0"), MEMBERS[1]]):
        refused(("a.zip", "\\x1b"), read_archive, zipped(members))
    assert [path.name for path in Path().iterdir()] == ["a.zip"]


def test_members_that_are_not_those_of_the_set_are_reported() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # zipfile warns of duplicate names
        twice = zipped([*MEMBERS, MEMBERS[0]])
    another = zipped([("other_train.amat", GOOD), ("other_test.amat", GOOD_TEST)])
    swapped = zipped([(TRAIN, GOOD_TEST), (TEST, GOOD)])
    for data, parts in (
        (another, (TRAIN, "other_train.amat, other_test.amat")),
        (zipped([MEMBERS[0]]), (TEST, TRAIN)),
        (zipped([]), (TRAIN,)),
        (twice, (f"member {TRAIN}",)),
        (swapped, (f"member {TRAIN}", "5 rows", "8", "test", "swapped")),
        (zipped([MEMBERS[0], (TEST, GOOD_TEST[: 4 * 12_561])]), (f"member {TEST}", "4 rows", "5")),
        (zipped([MEMBERS[0], (TEST, b"x" + GOOD_TEST)]), (f"member {TEST}", "row 1")),
    ):
        refused(("a.zip", *parts), read_archive, data)


def _declared(data: bytes, local: int, central: int, value: bytes) -> bytes:
    """A zip with `value` written into the first local and the first central header."""
    changed = bytearray(data)
    for signature, offset in ((b"PK\x03\x04", local), (b"PK\x01\x02", central)):
        start = changed.index(signature) + offset
        changed[start : start + len(value)] = value
    return bytes(changed)


def test_an_archive_that_cannot_be_streamed_safely_is_refused() -> None:
    whole, most = zipped(MEMBERS), 8 * 785 * 64
    too_large = _declared(whole, 22, 24, struct.pack("<I", most + 1))
    for data, parts in (
        (_declared(whole, 6, 8, b"\x01"), (f"member {TRAIN}", "encrypted", "password")),
        (zipped(MEMBERS, zipfile.ZIP_BZIP2), (f"member {TRAIN}", 12, "0 or 8")),
        (too_large, (TRAIN, most + 1, most)),
    ):
        refused(("a.zip", *parts), read_archive, data)


def test_a_bomb_is_refused_with_little_memory() -> None:
    for row in (b"0", b"0\n", b"   0.0000000e+00" * 785 + b"\n"):
        bomb = row * (12_000_000 // len(row))
        data = zipped([(TRAIN, bomb), (TEST, GOOD_TEST)])
        del bomb
        for honest_or_not in (data, _declared(data, 22, 24, struct.pack("<I", 300_000))):
            with little_memory(12e6):
                refused("a.zip", read_archive, honest_or_not)


def test_what_is_no_zip_and_what_is_no_file_is_refused() -> None:
    for data in (b"not a zip", b"PK\x05\x06" + bytes(18), b"\0" * 3000):
        refused("a.zip", read_archive, data)
        refused("a.npz", read_arrays, data)
    Path("folder").mkdir()
    for path, why in ((Path("folder"), "Is a directory"), (Path("nothing"), "No such file")):
        refused((path, why), read_zip, path, OF)
        refused((path, why), read_npz, path, OF)
        refused((path, why), read_text_files, path, path, OF)
        refused((path, why), read_idx, path, (3,))


# ---------------------------------------------------------------- arrays


def test_any_type_of_number_and_any_order_give_the_same_content() -> None:
    for dtype, order in (("<f8", "F"), (">f8", "C"), ("<f4", "C"), (">f4", "F"), ("g", "C")):
        arrays = {
            key: np.asarray(array.astype(dtype), order=order)  # type: ignore[call-overload]
            for key, array in arrays_of().items()
        }
        assert_same(read_arrays(arrays))
    of = OF._replace(dataset="rect")
    binary = random_arrays(of)
    for dtype in ("bool", "u1", ">i4", "f2", "i8"):
        cast = {key: array.astype(dtype) for key, array in arrays_of(binary, of).items()}
        assert_same(read_arrays(npz(cast), of), binary)
    # Half precision is accepted if it is exact; it is too coarse for k/255.
    halves = {key: array.astype("f2") for key, array in arrays_of().items()}
    assert_same(read_arrays({"Y": halves["Y"]}))
    refused(("a.npz, X", "1/255", "rect-img"), read_arrays, {"X": halves["X"]})


def test_shapes_that_can_only_mean_images_or_labels_give_the_content_of_the_plain_ones() -> None:
    for dataset, n_classes in (("rect-img", 2), ("bg-rand", 10)):
        of = OF._replace(dataset=dataset)
        content = random_arrays(of)
        whole = arrays_of(content, of)
        for image in ((28, 28), (28, 28, 1), (1, 28, 28), (784, 1), (1, 784)):
            for order in (np.ascontiguousarray, np.asfortranarray):
                shaped = {key: order(whole[key].reshape(-1, *image)) for key in ("X", "Xtest")}
                assert_same(read_arrays(npz(whole | shaped), of), content)
        for labels in (
            lambda y: y[:, None],
            lambda y: y[None],
            lambda y: y[:, None, None].astype("f4"),
            lambda y: np.eye(n_classes)[y],  # noqa: B023
            lambda y: np.eye(n_classes, dtype=bool)[y],  # noqa: B023
            lambda y: np.asfortranarray(np.eye(n_classes, dtype=">i4")[y]),  # noqa: B023
        ):
            shaped = {key: labels(whole[key].astype(int)) for key in ("Y", "Ytest")}
            assert_same(read_arrays(npz(whole | shaped), of), content)


def test_images_of_another_size_and_any_number_of_classes_are_read_from_every_format() -> None:
    for dataset in ("rect-img", "rot"):
        of = Rows(dataset, 6, 2, 5, image=(12, 10), n_classes=5)
        content = random_arrays(of)
        whole = arrays_of(content, of)
        train, test = texts_of(content, of)
        members = {SETS[dataset].train_member: train, SETS[dataset].test_member: test}
        assert_same(read_amat(train, test, of), content)
        assert_same(read_archive(zipped(members), of), content)
        for image in ((120,), (12, 10), (1, 12, 10)):
            shaped = {key: whole[key].reshape(-1, *image) for key in ("X", "Xtest")}
            one_hot = {key: np.eye(5)[whole[key].astype(int)] for key in ("Y", "Ytest")}
            assert_same(read_arrays(npz(whole | shaped | one_hot), of), content)
        turned = npz(whole | {"X": whole["X"].reshape(-1, 10, 12)})
        refused(("X", "(8, 10, 12)", "(8, 120)", "(8, 12, 10)"), read_arrays, turned, of)
        refused((121 * 64, "121 fields"), read_amat, GOOD, test, of)
        beyond = npz(whole | {"Y": np.full(8, 5)})
        refused(("Y, row 1", "label 5", "0 to 4"), read_arrays, beyond, of)


def test_rounding_beyond_black_and_white_gives_the_content_of_the_plain_values() -> None:
    for dataset in ("rect", "rect-img", "bg-rand"):
        of = OF._replace(dataset=dataset)
        content = random_arrays(of)
        for ends in (content.pixels, content.test_pixels):
            ends[:, :2] = (0, SETS[dataset].levels or 1)
        whole = arrays_of(content, of)
        for low, high in ((0, 1 + 1.2e-7), (-1e-7, 1.000001), (-1e-9, 1 + 1e-9)):
            near = {key: whole[key].astype(float) for key in ("X", "Xtest")}
            for greys in near.values():
                greys[greys == 0], greys[greys == 1] = low, high
            assert_same(read_arrays(npz(whole | near), of), content)
        beyond = whole["X"].astype(float)
        beyond[3, 1] = 1.00001
        refused(("row 4, pixel 2", "1.00001"), read_arrays, npz(whole | {"X": beyond}), of)


def test_one_hot_labels_with_more_or_less_than_a_single_1_are_refused_with_their_row() -> None:
    for row in ((1, 1), (0, 0), (0.5, 0.5), (2, -1), (np.nan, 1)):
        labels = np.eye(2)[arrays_of()["Y"].astype(int)]
        labels[4] = row
        found = ", ".join(f"{value:g}" for value in row)
        refused((f"a.npz, Y, row 5: {found}", "one-hot"), read_arrays, {"Y": labels})


def test_large_arrays_are_read_whole_and_defects_in_them_placed() -> None:
    of = Rows("rect-img", 4000, 200, 3)
    content = random_arrays(of)
    for order in (np.ascontiguousarray, np.asfortranarray):
        arrays = arrays_of(content, of)
        arrays["X"] = order(arrays["X"].astype("f4"))
        np.savez("large.npz", allow_pickle=False, **arrays)  # as numpy writes it: uncompressed
        assert_same(read_npz(Path("large.npz"), of), content)
        arrays["X"][4150, 1] = 2
        np.savez("large.npz", allow_pickle=False, **arrays)
        refused("large.npz, X, row 4151, pixel 2: 2", read_npz, Path("large.npz"), of)


def test_arrays_of_another_shape_are_refused_with_both_shapes() -> None:
    whole = arrays_of()
    parts_swapped = dict(zip(("Xtest", "Ytest", "X", "Y"), whole.values(), strict=True))
    for change, parts in (
        ({"Xtest": whole["Xtest"][:4]}, ("Xtest", "(4, 784)", "(5, 784)", "rect-img")),
        ({"X": np.vstack([whole["X"]] * 2)}, ("X", "(16, 784)", "(8, 784)")),
        ({"X": np.zeros((8, 28, 27))}, ("X", "(8, 28, 27)", "(8, 784)", "(8, 28, 28)")),
        ({"X": np.zeros((8, 28, 28, 3), "u1")}, ("X", "(8, 28, 28, 3)", "(8, 784)")),
        ({"X": np.zeros((8, 785))}, ("X", "(8, 785)", "(8, 784)", "the whole data set")),
        ({"X": whole["X"].T}, ("X", "(784, 8)", "(8, 784)", "transpose")),
        ({"Y": np.zeros((8, 3))}, ("Y", "(8, 3)", "(8,)", "(8, 2)")),
        ({"Y": np.zeros((2, 8))}, ("Y", "(2, 8)", "(8,)", "(8, 2)", "transpose")),
        (parts_swapped, ("X", "(5, 784)", "(8, 784)", "Xtest", "swapped")),
        ({"X": whole["Y"], "Y": whole["X"]}, ("X", "(8,)", "(8, 784)", "Y", "swapped")),
    ):
        message = refused(("a.npz", *parts), read_arrays, change)
        assert ("swapped" in message) == ("swapped" in parts), message


def test_values_that_cannot_be_are_refused_with_array_row_and_pixel() -> None:
    for key, index, value, parts in (
        ("Xtest", (3, 10), np.nan, ("row 4, pixel 11", "nan")),
        ("Xtest", (3, 10), np.inf, ("row 4, pixel 11", "inf")),
        ("X", (0, 0), -1.0, ("row 1, pixel 1", "-1")),
        ("X", (7, 783), 255.0, ("row 8, pixel 784", "255")),
        ("Y", (2,), 2, ("row 3", "label 2", "0 to 1")),
        ("Y", (0,), -1, ("row 1", "label -1")),
        ("Ytest", (4,), 0.5, ("row 5", "label 0.5")),
        ("Ytest", (4,), np.nan, ("row 5", "label nan")),
    ):
        changed = arrays_of()[key].astype(float)
        changed[index] = value
        refused((f"a.npz, {key}, {parts[0]}", *parts[1:]), read_arrays, {key: changed})


class _Planted:
    """Creates a file when it is unpickled."""

    def __reduce__(self) -> tuple[object, ...]:
        return (Path.touch, (Path("executed"),))


def test_what_is_not_numbers_is_refused_and_never_unpickled() -> None:
    for labels, dtype in (
        (np.zeros(8, dtype=complex), "complex128"),
        (np.zeros(8, dtype=[("a", "u1"), ("b", "u1")]), "'a'"),
    ):
        refused(("a.npz: Y", dtype), read_arrays, {"Y": labels})
    for key, shape in (("X", (8, 784)), ("Ytest", (5,)), ("other", (1,))):
        planted = npy(np.full(shape, _Planted(), dtype=object), allow_pickle=True)
        data = zipped(WHOLE | {f"{key}.npy": planted})
        if key == "other":  # not needed, so not read
            assert_same(read_arrays(data))
        else:
            refused((f"a.npz: {key}", "object"), read_arrays, data)
        assert not Path("executed").exists()
    np.load("a.npz", allow_pickle=True)["other"]
    assert Path("executed").exists()  # np.load with allow_pickle runs it


def test_arrays_that_are_missing_are_reported() -> None:
    named = npz({"X": arrays_of()["X"], "y": CONTENT.labels})
    refused(("a.npz", "no Y, Xtest, Ytest", "X, y"), read_arrays, named)
    odd = zipped([(name, b"") for name in ("\x1b[31m", "a" * 200, *map(str, range(9)))])
    message = refused(("X, Y, Xtest, Ytest", "'\\x1b[31m'", "a" * 80), read_arrays, odd)
    assert ("0, 1, 2, 3" in message, "a" * 81 in message, "4, 5" in message) == (True, False, False)
    refused(("a.npz", "X, Y"), read_arrays, npy(np.zeros(3)))


def _header(shape: Any, by_columns: bool = False) -> bytes:
    stream = io.BytesIO()
    about = {"descr": "<f8", "fortran_order": by_columns, "shape": shape}
    np.lib.format.write_array_header_1_0(stream, about)
    return stream.getvalue()


def read_x(data: bytes) -> Arrays:
    """Read an .npz in which `data` replaces X."""
    return read_arrays(zipped(WHOLE | {"X.npy": data}))


def test_what_a_header_claims_is_not_allocated_and_must_be_what_follows() -> None:
    for shape in ((10**9, 784), (2**62, 784), (-8, 784), (8.0, 784), (), (True,)):
        with little_memory(5e6):
            refused(("a.npz", "X"), read_x, _header(shape) + bytes(1000))
    for by_columns in (False, True):
        start = _header((8, 784), by_columns)
        for n in (8 * 784 * 8 - 1, 8 * 784 * 8 + 1):
            refused(("a.npz: X", "(8, 784)"), read_x, start + bytes(n))
    largest = 8 * 784 * 16 + 4096
    refused(("a.npz, member X.npy", 1_000_128, largest), read_x, start + bytes(1_000_000))
    refused(("a.npz: Y", "(8,)"), read_arrays, zipped(WHOLE | {"Y.npy": WHOLE["Y.npy"] + b"\0"}))


def test_a_damaged_header_is_refused_and_no_expression_in_it_evaluated() -> None:
    sound = _header((8, 784))
    code = b"{'descr': '<f8', 'fortran_order': False, 'shape': (8, open('executed', 'w'))}"
    for start in (
        b"",
        b"\x93NUMPY\x01\x00\xff\xff{",
        b"\x93NUMPY\x02\x00\xff\xff\xff\xff{",
        b"\x93NUMPY\x09\x00\x02\x00{}",
        b"\x93NUMPY\x01\x00\x10\x00((((((((((((((((",
        b"\x93NUMPY\x01\x00\x04\x00\xff\xfe\x00\x01",
        b"\x93NUMPY\x01\x00" + struct.pack("<H", len(code)) + code,
        sound.replace(b"'<f8'", b"'<zz'"),
        sound.replace(b"False", b"'yes'"),
        sound.replace(b"(8, 784)", b"(8L,784)"),
    ):
        refused("a.npz: X", read_x, start + bytes(8 * 784 * 8 - 1))
    assert not Path("executed").exists()


def test_an_entry_of_the_cache_is_read_exactly_and_refused_when_altered() -> None:
    about = {"name": "rect-img", "origin": "original", "sha256": "d" * 64, "source": "a test"}
    about |= {"trust": "verified"}
    untrue = np.frombuffer(json.dumps(about | {"trust": "my word"}).encode(), np.uint8)
    stored = dict(zip(KEYS, CONTENT, strict=True))
    stored["dae"] = np.frombuffer(json.dumps(about).encode(), np.uint8)
    path = Path("entry.npz")
    path.write_bytes(npz(stored))
    found, provenance = read_cache_entry(path, OF)
    assert_same(found)
    assert provenance == about
    for key, array, parts in (
        ("dae", untrue, (path,)),
        ("dae", np.frombuffer(b"[]", np.uint8), (path,)),
        ("Y", CONTENT.labels[:7], ("rect-img", "training", "(7,)", "(8,)")),
        ("X", CONTENT.pixels.astype("f4"), ("rect-img", "training", "float32", "uint8")),
    ):
        path.write_bytes(npz(stored | {key: array}))
        refused(parts, read_cache_entry, path, OF)


# ---------------------------------------------------------------- MNIST's files

SHAPE = (3, 4, 5)
IMAGES = np.arange(60, dtype=np.uint8).reshape(SHAPE)
IDX = idx(IMAGES)


def read_images(data: bytes, shape: tuple[int, ...] = SHAPE) -> NDArray[np.uint8]:
    """Write an IDX file and read it."""
    Path("images").write_bytes(data)
    return read_idx(Path("images"), shape)


def test_plain_and_packed_files_of_mnist_are_distinguished_by_their_bytes() -> None:
    for shape in (SHAPE, (1,), (6, 2)):
        array = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
        for name in ("images", "images.gz", "images.idx3-ubyte"):
            for data in (idx(array), gzip.compress(idx(array))):
                Path(name).write_bytes(data)
                found = read_idx(Path(name), shape)
                assert found.dtype == np.uint8
                np.testing.assert_array_equal(found, array)


def test_a_file_of_mnist_that_was_cut_or_changed_is_refused_with_its_end() -> None:
    for length in range(len(IDX)):
        parts = ("images", f"offset {length}", "" if length < 16 else "76 bytes")
        refused(parts, read_images, IDX[:length])
    packed = gzip.compress(IDX)
    for place in range(len(packed)):
        refused("images", read_images, packed[:place])
    for place in range(10, len(packed), 3):
        changed = packed[:place] + bytes([packed[place] ^ 0x55]) + packed[place + 1 :]
        refused("images", read_images, changed)


def test_what_follows_the_last_pixel_is_refused_with_its_offset() -> None:
    for data in (IDX + b"\0", gzip.compress(IDX + b"\0")):
        refused(("images", "offset 76"), read_images, data)
    refused("images", read_images, gzip.compress(IDX) + b"more")
    bomb = gzip.compress(IDX + bytes(16 << 20), 1)
    with little_memory(4 << 20):
        refused(("images", "offset 76"), read_images, bomb)


def test_another_header_or_digit_is_refused_with_its_offset_and_both_values() -> None:
    for offset, value, parts in (
        (0, 1, ("offset 0", "01 00 08 03", "00 00 08 03")),
        (2, 13, ("offset 0", "00 00 0d 03", "00 00 08 03")),
        (3, 1, ("offset 0", "00 00 08 01", "00 00 08 03")),
        (4, 255, ("offset 4", "4278190083", "3")),
        (11, 5, ("offset 8", "5", "4")),
        (15, 9, ("offset 12", "9", "5")),
    ):
        data = bytearray(IDX)
        data[offset] = value
        refused(("images", *parts), read_images, bytes(data))
    Path("labels").write_bytes(idx(np.array([0, 9, 1], dtype=np.uint8)))
    assert read_labels(Path("labels"), 3).tolist() == [0, 9, 1]
    Path("labels").write_bytes(idx(np.array([0, 9, 10], dtype=np.uint8)))
    refused(("labels", "offset 10", "label 10", "0 to 9"), read_labels, Path("labels"), 3)
