"""The inputs of one target: counted, and each that fails in a new way kept with its traceback."""

from __future__ import annotations

import mmap
import struct
import traceback
from dataclasses import dataclass
from pathlib import Path

from tests.fuzz.targets import Target

COUNTS = "counts"
_FORM = struct.Struct("<4Q")


@dataclass
class Counts:
    """How many inputs were accepted, refused, or neither, and in how many ways some failed."""

    accepted: int = 0
    refused: int = 0
    failed: int = 0
    ways: int = 0

    @property
    def inputs(self) -> int:
        """All that were tried."""
        return self.accepted + self.refused + self.failed


class Attempts:
    """Tries inputs; what is counted stands in a file that survives however the process ends."""

    def __init__(self, target: Target, folder: Path, failures: Path) -> None:
        """Begin at zero; inputs are written to `folder`, those that fail to `failures`."""
        self._target = target
        self._folder = folder
        self._failures = failures
        self._counts = Counts()
        self._seen: set[tuple[str, ...]] = set()
        (folder / COUNTS).write_bytes(bytes(_FORM.size))
        with (folder / COUNTS).open("r+b") as file:
            self._file = mmap.mmap(file.fileno(), 0)

    def attempt(self, data: bytes) -> None:
        """Try one input."""
        counts = self._counts
        try:
            if self._target.accepts(data, self._folder):
                counts.accepted += 1
            else:
                counts.refused += 1
        except Exception as error:
            counts.failed += 1
            self._keep(data, error)
        _FORM.pack_into(
            self._file, 0, counts.accepted, counts.refused, counts.failed, len(self._seen)
        )

    def _keep(self, data: bytes, error: Exception) -> None:
        frames = traceback.extract_tb(error.__traceback__)
        way = (type(error).__name__, *(f"{f.filename}:{f.lineno}" for f in frames[-3:]))
        if way in self._seen:
            return
        self._seen.add(way)
        path = self._failures / f"{self._target.file_name}-{len(self._seen)}"
        path.with_suffix(".input").write_bytes(data)
        text = "".join(traceback.format_exception(error))
        path.with_suffix(".txt").write_text(text, encoding="utf-8", errors="backslashreplace")


def counted(folder: Path) -> Counts:
    """Return what stood in the file of counts last; zero where there is none."""
    path = folder / COUNTS
    return Counts(*_FORM.unpack(path.read_bytes())) if path.exists() else Counts()
