"""Reader of the original text files (``.amat``), unpacked or in their zip archive.

A line is an example: its grey values, row by row of the image, and its label last. The originals
print every number as ``   0.0000000e+00``; numbers of any form and width are read, between
blanks, tabs or commas. Files and members are streamed, and little is held at a time.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from dae_cli.data.content import Content, canonical_labels, canonical_pixels
from dae_cli.data.dataset import Pixels
from dae_cli.data.datasets import DatasetSpec
from dae_cli.data.readers.zipped import BUFFER, listed, open_member, opened_zip
from dae_cli.errors import DataError, shown

LONGEST_NUMBER = 64
"""No number needs as many characters, so a line of longer ones is no row."""
NUMBERS_AT_ONCE = 1 << 15


def read_text(train: Path, test: Path, spec: DatasetSpec) -> Content:
    """Read the training and the test file of a set; DataError names file, row and defect."""
    arrays: list[Any] = []
    for path, n_rows in ((train, spec.n_train_file), (test, spec.n_test)):
        try:
            with path.open("rb", BUFFER) as stream:
                arrays += _read_rows(stream, spec, n_rows, str(path))
        except OSError as error:
            raise DataError(f"{path}: cannot be read ({error.strerror or error})") from error
    return Content(*arrays)


def read_archive(path: Path, spec: DatasetSpec) -> Content:
    """Read the training and test members of a zip; DataError names archive, member and row."""
    assert spec.archive is not None, f"{spec.name} has no archive"
    arrays: list[Any] = []
    with opened_zip(path, "zip archive") as archive:
        train, test = (_member(archive, name, path) for name in spec.archive.members)
        for member, n_rows in ((train, spec.n_train_file), (test, spec.n_test)):
            with open_member(archive, member, _most_bytes(spec), path) as stream:
                where = f"{path}, member {shown(member.filename)}"
                arrays += _read_rows(stream, spec, n_rows, where)
    return Content(*arrays)


def _member(archive: zipfile.ZipFile, wanted: str, path: Path) -> zipfile.ZipInfo:
    """The member of that name, or the only one with that name in another folder."""
    files = [member for member in archive.infolist() if not member.filename.endswith("/")]
    name = PurePosixPath(wanted).name
    alike = [member for member in files if member.filename == wanted] or [
        member for member in files if PurePosixPath(member.filename).name == name
    ]
    if len({member.filename for member in alike}) == 1:
        return alike[0]
    found = listed([member.filename for member in alike or files])
    if alike:
        raise DataError(f"{path}: has {found}; expected one member {wanted}")
    raise DataError(
        f"{path}: has no member {wanted}; found {found or 'no members'}; "
        "is it the archive of another set?"
    )


def _read_rows(
    stream: IO[bytes], spec: DatasetSpec, n_rows: int, where: str
) -> tuple[Pixels, NDArray[np.uint8]]:
    """Read exactly ``n_rows`` rows of ``spec`` from a text stream; ``where`` names it in errors.

    Returns pixels (n_rows, n_pixels), uint8 or float32, and labels (n_rows,).
    Raises DataError with the row for any defect; what is read and held until then is bounded,
    whatever the stream holds.
    """
    pixels = np.empty((n_rows, spec.n_pixels), np.float32 if spec.levels is None else np.uint8)
    labels = np.empty(n_rows, np.uint8)
    end = 0
    for lines in _blocks(stream, spec, where):
        start, end = end, end + len(lines)
        if start <= n_rows:  # what is no row at all is said before that there are too many
            values = _numbers(lines, spec, where, start)
        if end <= n_rows:
            pixels[start:end] = canonical_pixels(values[:, :-1], spec, where, start)
            labels[start:end] = canonical_labels(values[:, -1], spec, where, start)
        elif end > _most_rows(spec):
            break
    if end != n_rows:
        raise DataError(_wrong_count(end, spec, n_rows, where))
    return pixels, labels


def _most_rows(spec: DatasetSpec) -> int:
    return max(spec.n_train_file, spec.n_test)


def _longest_row(spec: DatasetSpec) -> int:
    return (spec.n_pixels + 1) * LONGEST_NUMBER


def _most_bytes(spec: DatasetSpec) -> int:
    """More bytes than either text file of the set can have, in any layout."""
    return _most_rows(spec) * _longest_row(spec)


def _blocks(stream: IO[bytes], spec: DatasetSpec, where: str) -> Iterator[list[bytes]]:
    """Lines that are not empty, some at a time."""
    n_fields, longest, most = spec.n_pixels + 1, _longest_row(spec), _most_bytes(spec)
    lines: list[bytes] = []
    received = 0
    while line := stream.readline(longest + 1):
        if received == 0:
            line = _without_mark(line, where)
        received += len(line)
        if received > most:
            raise DataError(
                f"{where}: more than {most} bytes, far more than the {n_fields} fields of each row "
                "need; not one of the original text files"
            )
        if len(line) > longest:
            raise DataError(
                f"{where}: a line of more than {longest} bytes, expected {n_fields} fields a "
                "line; not one of the original text files"
            )
        if line and not line.isspace():
            lines.append(line)
        if len(lines) * n_fields >= NUMBERS_AT_ONCE:
            yield lines
            lines = []
    if lines:
        yield lines


def _without_mark(line: bytes, where: str) -> bytes:
    """The first line without the mark that some editors put before UTF-8."""
    if line.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise DataError(f"{where}: is UTF-16 text; save it as plain text (ASCII or UTF-8)")
    return line.removeprefix(b"\xef\xbb\xbf")


def _numbers(
    lines: list[bytes], spec: DatasetSpec, where: str, first_row: int
) -> NDArray[np.float64]:
    """The numbers of lines, (len(lines), n_pixels + 1); DataError names the first bad field."""
    shape = (len(lines), spec.n_pixels + 1)
    comma = "," if any(b"," in line for line in lines) else None
    try:
        values = np.loadtxt(lines, delimiter=comma, comments=None, ndmin=2)
        if values.shape == shape:
            return values
    except ValueError:
        pass  # its message counts from the start of the block, and names not every defect
    for i, line in enumerate(lines):
        row = f"{where}, row {first_row + i + 1}"
        fields = line.decode("ascii", "replace").split(comma)
        if len(fields) != shape[1]:
            raise DataError(
                f"{row}: {len(fields)} fields, expected {shape[1]} ({spec.n_pixels} pixels and the "
                "label); the file is truncated or is not one of the original text files"
            )
        for k, field in enumerate(fields):
            if not _is_number(field):
                raise DataError(
                    f"{row}, field {k + 1}: {field.strip()[:20]!r} found, expected a number; "
                    "the file is damaged or is not one of the original text files"
                )
    raise DataError(f"{where}, rows from {first_row + 1} on: not all fields are numbers")


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


def _is_number(field: str) -> bool:
    """Whether Python reads the text as a number, and without the 1_0 that only Python knows."""
    try:
        float(field)
    except ValueError:
        return False
    return "_" not in field
