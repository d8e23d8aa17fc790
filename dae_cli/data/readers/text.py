"""Reader of the original text files: one example a line, 784 pixels and the label last.

The originals print every number as ``   0.0000000e+00``, 16 characters, so a line has a fixed
width; such lines are decoded by arithmetic on their bytes. Any other layout of
whitespace-separated numbers is read as well, more slowly.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO

import numpy as np
from numpy.typing import NDArray

from dae_cli.data.content import canonical_labels, canonical_pixels
from dae_cli.data.dataset import Pixels
from dae_cli.data.registry import N_PIXELS, DatasetSpec
from dae_cli.errors import DataError

N_FIELDS = N_PIXELS + 1
FIELD_WIDTH = 16
ROW_WIDTH = N_FIELDS * FIELD_WIDTH
BLOCK = 4 << 20
"""Bytes read at a time: some 330 rows of an original file."""


def read_rows(
    stream: IO[bytes], spec: DatasetSpec, n_rows: int, where: str
) -> tuple[Pixels, NDArray[np.uint8]]:
    """Read exactly ``n_rows`` rows of ``spec`` from a text stream; ``where`` names it in errors.

    Returns pixels (n_rows, 784), uint8 or float32, and labels (n_rows,).
    Raises DataError with the row for any defect.
    """
    pixels = np.empty((n_rows, N_PIXELS), dtype=np.float32 if spec.levels is None else np.uint8)
    labels = np.empty(n_rows, dtype=np.uint8)
    done = 0
    for lines in _line_blocks(stream, where):
        if done + len(lines) > n_rows:
            raise DataError(
                f"{where}: more than {n_rows} rows, expected exactly that; "
                "is it the file of another set or split?"
            )
        values = _decode(lines, where, done)
        end = done + len(lines)
        pixels[done:end] = canonical_pixels(values[:, :N_PIXELS], spec, where, done)
        labels[done:end] = canonical_labels(values[:, N_PIXELS], spec, where, done)
        done = end
    if done != n_rows:
        raise DataError(
            f"{where}: ends after {done} rows, expected {n_rows}; "
            "the file is truncated or belongs to another set or split"
        )
    return pixels, labels


def _line_blocks(stream: IO[bytes], where: str) -> Iterator[list[bytes]]:
    """Blocks of whole lines; trailing empty lines are left out."""
    rest = b""
    while block := stream.read(BLOCK):
        whole, newline, tail = block.rpartition(b"\n")
        if not newline:
            raise DataError(f"{where}: a line of more than {BLOCK} bytes; not a text file of rows")
        yield from _as_lines(rest + whole)
        rest = tail
    yield from _as_lines(rest)


def _as_lines(text: bytes) -> Iterator[list[bytes]]:
    lines = text.rstrip().split(b"\n") if text.strip() else []
    if lines:
        yield lines


def _decode(lines: list[bytes], where: str, first_row: int) -> NDArray[np.float64]:
    """Decode lines to an array (len(lines), 785)."""
    lines = [line.rstrip(b"\r") for line in lines]
    if all(len(line) == ROW_WIDTH for line in lines):
        text = np.frombuffer(b"".join(lines), dtype=np.uint8)
        values = _decode_fixed_width(text.reshape(-1, FIELD_WIDTH))
        if values is not None:
            return values.reshape(len(lines), N_FIELDS)
    return _decode_any_layout(lines, where, first_row)


def _decode_fixed_width(fields: NDArray[np.uint8]) -> NDArray[np.float64] | None:
    """Decode fields (n, 16) of the form ``   d.ddddddde-dd``; None if any has another form.

    The eight digits are a whole number below 2^53 and the power of ten is at most 10^22, both
    exact in float64, so the one division rounds as a correct parser does.
    """
    digits = fields[:, [3, 5, 6, 7, 8, 9, 10, 11, 14, 15]] - np.uint8(ord("0"))  # wraps below "0"
    sign = fields[:, 13]
    regular = (
        (fields[:, :3] == ord(" ")).all()
        and (fields[:, 4] == ord(".")).all()
        and (fields[:, 12] == ord("e")).all()
        and ((sign == ord("+")) | (sign == ord("-"))).all()
        and (digits <= 9).all()
    )
    if not regular:
        return None
    exponent = digits[:, 8].astype(np.int64) * 10 + digits[:, 9]
    power = 7 - np.where(sign == ord("-"), -exponent, exponent)
    mantissa = np.zeros(len(fields), dtype=np.int64)
    for column in range(8):
        mantissa = mantissa * 10 + digits[:, column]
    power[mantissa == 0] = 0
    if power.min() < 0 or power.max() > 22:
        return None
    return np.asarray(mantissa / (10.0 ** np.arange(23))[power], dtype=np.float64)


def _decode_any_layout(lines: list[bytes], where: str, first_row: int) -> NDArray[np.float64]:
    values = np.empty((len(lines), N_FIELDS))
    for i, line in enumerate(lines):
        fields = line.split()
        row = f"{where}, row {first_row + i + 1}"
        if len(fields) != N_FIELDS:
            raise DataError(
                f"{row}: {len(fields)} fields, expected {N_FIELDS} (784 pixels and the label); "
                "the file is truncated or is not one of the original text files"
            )
        try:
            values[i] = [float(field) for field in fields]
        except ValueError:
            bad = next(n for n, field in enumerate(fields) if not _is_number(field))
            shown = fields[bad][:20].decode("ascii", "replace")
            raise DataError(f"{row}, field {bad + 1}: {shown!r} is not a number") from None
    return values


def _is_number(field: bytes) -> bool:
    try:
        float(field)
    except ValueError:
        return False
    return True
