"""Read results all the time and note half-written files and rows that disappear."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.support.tiny import read_csv

CHECK_SECONDS = 0.005


class Reader:
    """Read every CSV and JSON file below a folder repeatedly, in a separate thread.

    Attributes:
        reads: number of files read.
        broken: files that were not complete.
        lost: finished runs that disappeared from runs.csv.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.reads = 0
        self.broken: list[str] = []
        self.lost: list[str] = []
        self._seen: set[str] = set()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._read_on, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        self._thread.join()

    def read_all(self) -> None:
        """Read everything once."""
        for path in self._files():
            if path.suffix not in (".csv", ".json") or path.name.startswith("."):
                continue
            try:
                self._read(path)
                self.reads += 1
            except FileNotFoundError:
                continue  # its folder was just renamed
            except Exception as error:  # half a file may cause any error
                self.broken.append(f"{path.relative_to(self.folder)}: {error}")

    def _files(self) -> list[Path]:
        """Return the existing files; none if a folder is renamed meanwhile."""
        try:
            return [*self.folder.glob("*.csv"), *self.folder.glob("runs/*/*")]
        except FileNotFoundError:
            return []

    def _read(self, path: Path) -> None:
        if path.suffix == ".json":
            json.loads(path.read_text(encoding="utf-8"))
            return
        rows = read_csv(path)
        if any(None in row or None in row.values() for row in rows):
            raise ValueError("a row is longer or shorter than the header")
        if path.name == "runs.csv":
            done = {row["run"] for row in rows if not row["error"]}
            self.lost += sorted(self._seen - done)
            self._seen |= done
        elif path.name == "metrics.csv":
            for row in rows:
                int(row["epoch"]), float(row["cost"])

    def _read_on(self) -> None:
        while not self._over.wait(CHECK_SECONDS):
            self.read_all()
