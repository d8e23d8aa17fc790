"""Reader of the original text files: one example a line, 784 pixels and the label last.

The originals print every number as ``   0.0000000e+00``, 16 characters, so a line has a fixed
width; such lines are decoded by arithmetic on their bytes. Any other layout is read as well,
more slowly: numbers of any form and width, between blanks, tabs or commas.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO

import numpy as np
from numpy.typing import NDArray

from dae_cli.data.content import canonical_labels, canonical_pixels
from dae_cli.data.dataset import Pixels
from dae_cli.data.datasets import DatasetSpec
from dae_cli.data.readers.fixed_width import FIELD_WIDTH, decode_fixed_width
from dae_cli.data.readers.shapes import N_PIXELS
from dae_cli.errors import DataError

N_FIELDS = N_PIXELS + 1
ROW_WIDTH = N_FIELDS * FIELD_WIDTH
LONGEST_ROW = N_FIELDS * 64
"""No number needs as many characters; a longer line is no row."""
ROWS_AT_ONCE = 160
BLOCK = ROWS_AT_ONCE * (ROW_WIDTH + 1)
"""Bytes read at a time."""

Lines = NDArray[np.uint8] | list[bytes]
"""Lines of the original width, (n, 785 * 16) bytes, or of any width."""


def read_rows(
    stream: IO[bytes], spec: DatasetSpec, n_rows: int, where: str
) -> tuple[Pixels, NDArray[np.uint8]]:
    """Read exactly ``n_rows`` rows of ``spec`` from a text stream; ``where`` names it in errors.

    Returns pixels (n_rows, 784), uint8 or float32, and labels (n_rows,). Empty lines are skipped.
    Raises DataError with the row for any defect; what is read and held until then is bounded,
    whatever the stream holds.
    """
    pixels = np.empty((n_rows, N_PIXELS), dtype=np.float32 if spec.levels is None else np.uint8)
    labels = np.empty(n_rows, dtype=np.uint8)
    done = 0
    blocks = _blocks(stream, most_bytes(spec), where)
    for lines in blocks:
        values = _decode(lines, where, done)
        end = done + len(lines)
        if end > n_rows:
            raise DataError(_wrong_count(_count(end, blocks, spec), spec, n_rows, where))
        pixels[done:end] = canonical_pixels(values[:, :N_PIXELS], spec, where, done)
        labels[done:end] = canonical_labels(values[:, N_PIXELS], spec, where, done)
        done = end
    if done != n_rows:
        raise DataError(_wrong_count(done, spec, n_rows, where))
    return pixels, labels


def most_bytes(spec: DatasetSpec) -> int:
    """More bytes than either text file of the set can have, in any layout."""
    return _most_rows(spec) * LONGEST_ROW


def _most_rows(spec: DatasetSpec) -> int:
    return max(spec.n_train_file, spec.n_test)


def _blocks(stream: IO[bytes], most: int, where: str) -> Iterator[Lines]:
    """Blocks of whole lines that are not empty."""
    rest = b""
    received = 0
    while block := stream.read(BLOCK):
        if received == 0:
            block = _without_mark(block, where)
        received += len(block)
        if received > most:
            raise DataError(
                f"{where}: more than {most} bytes, far more than the {N_FIELDS} fields of each row "
                "need; not one of the original text files"
            )
        if end := block.rfind(b"\n") + 1:
            yield from _lines(rest + block[:end])  # no copy where rows fill the block
            rest = block[end:]
        else:
            rest += block
        if len(rest) > LONGEST_ROW:
            raise DataError(
                f"{where}: a line of more than {LONGEST_ROW} bytes, expected {N_FIELDS} fields a "
                "line; not one of the original text files"
            )
    yield from _lines(rest + b"\n")


def _without_mark(block: bytes, where: str) -> bytes:
    """The first block without the mark that some editors put before UTF-8."""
    if block.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise DataError(f"{where}: is UTF-16 text; save it as plain text (ASCII or UTF-8)")
    return block.removeprefix(b"\xef\xbb\xbf")


def _lines(text: bytes) -> Iterator[Lines]:
    """The lines of a text that ends with a newline, except the empty ones."""
    width = text.index(b"\n") + 1
    if width - ROW_WIDTH in (1, 2) and len(text) % width == 0:
        lines = np.frombuffer(text, dtype=np.uint8).reshape(-1, width)
        end = np.frombuffer(b"\n" if width - ROW_WIDTH == 1 else b"\r\n", dtype=np.uint8)
        if (lines[:, ROW_WIDTH:] == end).all():
            yield lines[:, :ROW_WIDTH]
            return
    any_width = [line for line in text.split(b"\n") if line.strip()]
    for start in range(0, len(any_width), ROWS_AT_ONCE):  # short lines may be very many
        yield any_width[start : start + ROWS_AT_ONCE]


def _count(rows: int, blocks: Iterator[Lines], spec: DatasetSpec) -> int:
    """Number of rows, of which ``rows`` are seen; the counting ends where it is too many anyway."""
    for lines in blocks:
        if rows > _most_rows(spec):
            break
        rows += len(lines)
    return rows


def _wrong_count(rows: int, spec: DatasetSpec, n_rows: int, where: str) -> str:
    part, other, n_other = ("training", "test", spec.n_test)
    if n_rows == spec.n_test:
        part, other, n_other = ("test", "training", spec.n_train_file)
    if rows == 0:
        found, advice = "holds no rows", "supply the whole file"
    elif rows == n_other:
        found = f"holds {rows} rows, as many as the {other} file"
        advice = "are the training file and the test file swapped?"
    elif rows < n_rows:
        found = f"ends after {rows} rows"
        advice = "it is truncated or belongs to another set or split; supply the whole file"
    else:
        most = _most_rows(spec)
        found = f"holds {rows} rows" if rows <= most else f"holds more than {most} rows"
        advice = "is it the file of another set or split?"
    return f"{where}: {found}, expected {n_rows} in the {part} file of {spec.name}; {advice}"


def _decode(lines: Lines, where: str, first_row: int) -> NDArray[np.float64]:
    """Decode lines to an array (len(lines), 785)."""
    if isinstance(lines, np.ndarray):
        values = decode_fixed_width(np.ascontiguousarray(lines).reshape(-1, FIELD_WIDTH))
        if values is not None:
            return values.reshape(-1, N_FIELDS)
        lines = [line.tobytes() for line in lines]
    return _decode_any_layout(lines, where, first_row)


def _decode_any_layout(lines: list[bytes], where: str, first_row: int) -> NDArray[np.float64]:
    values = np.empty((len(lines), N_FIELDS))
    for i, line in enumerate(lines):
        text = line.decode("ascii", "replace")
        fields = text.split(",") if "," in text else text.split()
        row = f"{where}, row {first_row + i + 1}"
        if len(fields) != N_FIELDS:
            raise DataError(
                f"{row}: {len(fields)} fields, expected {N_FIELDS} ({N_PIXELS} pixels and the "
                "label); the file is truncated or is not one of the original text files"
            )
        try:
            values[i] = [float(field) for field in fields]
            if "_" in text:  # Python reads 1_0 as 10
                raise ValueError
        except ValueError:
            bad = next(n for n, field in enumerate(fields) if not _is_number(field))
            raise DataError(
                f"{row}, field {bad + 1}: {fields[bad].strip()[:20]!r} found, expected a number; "
                "the file is damaged or is not one of the original text files"
            ) from None
    return values


def _is_number(field: str) -> bool:
    try:
        float(field)
    except ValueError:
        return False
    return "_" not in field
