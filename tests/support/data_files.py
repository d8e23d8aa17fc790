"""Write data files (text, zip, .npy, .npz, IDX), and assert that reading one fails."""

from __future__ import annotations

import io
import math
import zipfile
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.entry_points.readers import SETS, Arrays, DaeError, Rows


def text(
    pixels: NDArray[Any],
    labels: NDArray[Any],
    form: str = "%16.7e",
    between: str = "",
    newline: str = "\n",
) -> bytes:
    """Return one line per row, grey values and label, in the format of the originals."""
    stream = io.StringIO()
    rows = np.column_stack([pixels, labels]).astype(float)
    np.savetxt(stream, rows, fmt=form, delimiter=between, newline=newline)
    return stream.getvalue().encode()


def zipped(
    members: Mapping[str, bytes] | Sequence[tuple[str, bytes]], method: int = zipfile.ZIP_DEFLATED
) -> bytes:
    """Return a zip of the members; its bytes do not depend on the time."""
    pairs = members.items() if isinstance(members, Mapping) else members
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, data in pairs:
            archive.writestr(zipfile.ZipInfo(name), data, compress_type=method)
    return stream.getvalue()


def npy(array: NDArray[Any], *, allow_pickle: bool = False) -> bytes:
    """Return a .npy file."""
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=allow_pickle)
    return stream.getvalue()


def npz(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """Return a compressed .npz file."""
    return zipped({f"{name}.npy": npy(array) for name, array in arrays.items()})


def idx(array: NDArray[np.uint8]) -> bytes:
    """Return an IDX file, the format of MNIST."""
    header = bytes([0, 0, 8, array.ndim]) + b"".join(n.to_bytes(4, "big") for n in array.shape)
    return header + array.tobytes()


def random_arrays(of: Rows, seed: int = 0) -> Arrays:
    """Return random content with the facts of a data set."""
    random, facts = np.random.default_rng(seed), SETS[of.dataset]
    n_pixels = math.prod(of.image)

    def pixels(n: int) -> NDArray[Any]:
        if facts.levels is None:
            return random.random((n, n_pixels), dtype=np.float32).round(4)
        return random.integers(0, min(facts.levels, 255) + 1, (n, n_pixels), dtype=np.uint8)

    def labels(n: int) -> NDArray[np.uint8]:
        return random.integers(0, of.n_classes or facts.n_classes, n, dtype=np.uint8)

    n_train = of.train + of.valid
    return Arrays(pixels(n_train), labels(n_train), pixels(of.test), labels(of.test))


def refused(parts: object, read: Callable[..., object], *given: Any) -> str:
    """Assert that reading fails with exit code 2 and a message with these parts; return it."""
    with pytest.raises(DaeError) as caught:
        read(*given)
    message = str(caught.value)
    assert caught.value.exit_code == 2
    for part in parts if isinstance(parts, tuple) else (parts,):
        assert str(part) in message, f"no {str(part)!r} in {message!r}"
    assert message.isprintable()
    return message
