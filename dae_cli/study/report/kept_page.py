"""What an earlier report.html shows of runs, whose folders may be elsewhere by now.

Run folders are not committed, and a study may be run in parts. A run's name holds the digest of
its settings, data and numerics, so what an earlier page shows of a run of that name is still true.
"""

from __future__ import annotations

from base64 import b64decode
from binascii import Error as Base64Error
from dataclasses import dataclass, field
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path
from typing import Annotated

import numpy as np
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from dae_cli.pages.content import Curves, Sheet

PAGE = "report.html"
MAX_BYTES = 50_000_000
"""Of an earlier page that is read; those that dae writes have a few millions."""

_Point = tuple[
    Annotated[int, Field(ge=0, le=10**6)],
    Annotated[float, Field(ge=-1e9, le=1e9, allow_inf_nan=False)],
]
_Line = Annotated[tuple[_Point, ...], Field(max_length=100_000)]


class _KeptCurves(BaseModel):
    model_config = ConfigDict(extra="forbid")

    valid: _Line
    cost: Annotated[tuple[_Line, ...], Field(max_length=100)]


_KEPT = TypeAdapter(dict[str, _KeptCurves])


@dataclass
class Kept:
    """What an earlier page shows, by run; nothing where there is none that can be read."""

    command: str = ""
    curves: dict[str, Curves] = field(default_factory=dict)
    sheets: dict[str, Sheet] = field(default_factory=dict)


def read_kept(path: Path) -> Kept:
    """Read the pictures of an earlier page; whatever is damaged in it counts as not there."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError:
        return Kept()
    if len(content) > MAX_BYTES:
        return Kept()
    reader = _Reader()
    reader.feed(content.decode("utf-8", "replace"))
    reader.close()
    kept = Kept(command=reader.command, sheets=reader.sheets)
    try:
        found = _KEPT.validate_json("".join(reader.json) or "{}")
    except ValidationError:
        return kept
    kept.curves = {run: Curves(curves.valid, curves.cost) for run, curves in found.items()}
    return kept


class _Reader(HTMLParser):
    """Finds the command, the curves and the sheets of a page that `dae` wrote."""

    def __init__(self) -> None:
        super().__init__()
        self.command = ""
        self.json: list[str] = []
        self.sheets: dict[str, Sheet] = {}
        self._inside = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        if tag == "meta" and found.get("name") == "dae-command":
            self.command = found.get("content", "")
        elif tag == "img" and "data-run" in found:
            sheet = _sheet(found)
            if sheet is not None:
                self.sheets[sheet.run] = sheet
        self._inside = tag == "script" and found.get("id") == "kept-curves"

    def handle_endtag(self, tag: str) -> None:
        self._inside = False

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.json.append(data)


def _sheet(found: dict[str, str]) -> Sheet | None:
    """The sheet of an image's attributes, if it is one that dae could have written."""
    try:
        limit = float(found["data-limit"])
        png = b64decode(found["src"].removeprefix("data:image/png;base64,"), validate=True)
        with Image.open(BytesIO(png), formats=("PNG",)) as image:
            size = image.size
            if max(size) > 2800:
                return None
            image.load()
    except (KeyError, ValueError, Base64Error, OSError, SyntaxError, Image.DecompressionBombError):
        return None
    return Sheet(found["data-run"], png, size, limit) if 0 < limit < np.inf else None
