"""What holds for every format a user may have: archive, text files, arrays."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from dae_cli.data.content import Content, content_digest
from dae_cli.data.readers.amat import read_amat
from dae_cli.data.readers.archive import read_archive
from dae_cli.data.readers.arrays import read_arrays
from dae_cli.errors import DataError

few = settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    max_examples=10,
)
"""For tests that write files, all of them whole, into the folder of the test."""


def _all_formats(some: Any, folder: Path) -> list[Content]:
    train, test = some.write_amat(folder)
    return [
        read_archive(some.write_zip(folder), some.spec),
        read_amat(train, test, some.spec),
        read_arrays(some.write_npz(folder), some.spec),
    ]


@pytest.mark.parametrize("levels", [1, 255, 256, None])
def test_archive_text_and_arrays_give_the_same_digest(
    tiny: Any, levels: int | None, tmp_path: Path
) -> None:
    some = tiny.with_spec(levels=levels)
    contents = _all_formats(some, tmp_path)
    assert {content_digest(some.spec, content) for content in contents} == {some.sha256}


@few
@given(
    top=arrays(np.uint8, (13, 40)),
    labels=arrays(np.uint8, 13, elements=st.integers(0, 2)),
    levels=st.sampled_from([255, 256]),
)
def test_any_content_comes_back_from_every_format(
    tiny: Any, tmp_path: Path, top: np.ndarray, labels: np.ndarray, levels: int
) -> None:
    pixels = np.zeros((13, 784), dtype=np.uint8)
    pixels[:, :40] = top
    content = Content(pixels[:8], labels[:8], pixels[8:], labels[8:])
    some = type(tiny)(tiny.with_spec(levels=levels).spec, content)
    digests = {content_digest(some.spec, read) for read in _all_formats(some, tmp_path)}
    assert digests == {some.sha256}


def _written(tiny: Any, kind: str, folder: Path) -> tuple[Path, Callable[[Path, Any], Content]]:
    if kind == "zip":
        return tiny.write_zip(folder), read_archive
    if kind == "npz":
        return tiny.write_npz(folder), read_arrays
    path = folder / "tiny.npz"
    np.savez_compressed(path, **tiny.arrays())
    return path, read_arrays


@pytest.mark.parametrize("kind", ["zip", "npz", "compressed npz"])
@settings(few, max_examples=60)
@given(data=st.data())
def test_a_changed_byte_of_a_zip_is_refused_or_changes_nothing(
    tiny: Any, kind: str, tmp_path: Path, data: Any
) -> None:
    path, read = _written(tiny, kind, tmp_path)
    bad = bytearray(path.read_bytes())
    near_an_end = st.one_of(st.integers(0, 200), st.integers(len(bad) - 500, len(bad) - 1))
    place = data.draw(st.one_of(near_an_end, st.integers(0, len(bad) - 1)))
    bad[place] ^= data.draw(st.integers(1, 255))
    path.write_bytes(bad)
    with contextlib.suppress(DataError):
        assert content_digest(tiny.spec, read(path, tiny.spec)) == tiny.sha256


@pytest.mark.parametrize("kind", ["zip", "npz", "compressed npz"])
@few
@given(part=st.floats(0, 1, exclude_max=True))
def test_a_zip_cut_anywhere_is_refused(tiny: Any, kind: str, tmp_path: Path, part: float) -> None:
    path, read = _written(tiny, kind, tmp_path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(part * len(whole))])
    with pytest.raises(DataError, match=path.name):
        read(path, tiny.spec)


@pytest.mark.parametrize("read", [read_archive, read_arrays])
@pytest.mark.parametrize("data", [b"", b"not a zip", b"PK\x05\x06" + bytes(18), b"\0" * 3000])
def test_a_file_that_is_no_zip_is_refused(
    tiny: Any, read: Callable[[Path, Any], Content], data: bytes, tmp_path: Path
) -> None:
    (path := tmp_path / "file").write_bytes(data)
    with pytest.raises(DataError, match=r"file: (damaged or truncated|has no)"):
        read(path, tiny.spec)


@pytest.mark.parametrize("what", ["folder", "nothing"])
def test_what_is_no_file_is_refused(tiny: Any, what: str, tmp_path: Path) -> None:
    path = tmp_path if what == "folder" else tmp_path / "nothing"
    reads: list[Callable[[], Content]] = [
        lambda: read_archive(path, tiny.spec),
        lambda: read_arrays(path, tiny.spec),
        lambda: read_amat(path, path, tiny.spec),
    ]
    for read in reads:
        with pytest.raises(DataError, match=r"cannot be read \((Is a directory|No such file)"):
            read()
