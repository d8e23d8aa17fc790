"""Learning over time: sheets of the same units, one after the other, as an animated picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

from PIL import Image

from dae_cli.files import write_whole
from dae_cli.pictures.filters import Panel, Scale, common_limit, side_by_side
from dae_cli.pictures.saving import check_metadata, check_suffix

SUFFIXES = (".gif", ".webp")
_SHORTEST = 0.02  # seconds; browsers slow down what is shorter
_LONGEST = 600.0  # what a GIF can hold is 655

# The least that makes a description: RDF in an XMP packet, as WebP's specification has it.
_XMP = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/">'
    '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    '<rdf:Description xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:description><rdf:Alt>'
    '<rdf:li xml:lang="x-default">{}</rdf:li>'
    "</rdf:Alt></dc:description></rdf:Description></rdf:RDF></x:xmpmeta>"
)


@dataclass(frozen=True)
class Moment:
    """The filters at one time of learning.

    Attributes:
        panels: one sheet, or several that learn side by side.
        caption: when this is, such as ``epoch 3 · 150 000 presentations``; one line, since frames
            are of one size.
    """

    panels: Sequence[Panel]
    caption: str


def learning_frames(
    moments: Sequence[Moment],
    *,
    tiles: tuple[int, int] = (10, 10),
    title: str = "",
    magnification: int | None = None,
    scale: Scale = "shared",
    limit: float | None = None,
) -> list[Image.Image]:
    """Draw a frame for each moment, for ``animate``; equal greys mean equal weights at all times.

    Args:
        limit: the weight that is drawn white; ``common_limit`` of all that is shown unless given.
        all others: as for ``filters.lay_out_sheet``.

    Raises:
        ValueError: no moment, or else as ``filters.lay_out_sheet``.
        ConfigError, DaeError: as ``filters.lay_out_sheet``.
    """
    if limit is None:
        most = tiles[0] * tiles[1]
        limit = common_limit([panel.shown(most) for moment in moments for panel in moment.panels])
    return [
        side_by_side(
            moment.panels,
            limit=limit,
            tiles=tiles,
            title=title,
            caption=moment.caption,
            magnification=magnification,
            scale=scale,
        )
        for moment in moments
    ]


def animate(
    frames: Sequence[Image.Image],
    path: Path,
    *,
    seconds: float = 0.5,
    last_seconds: float = 3.0,
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Write frames as an animated GIF or WebP, as the ending of ``path`` says, played for ever.

    Every grey is kept: a GIF has the palette of the 256 greys, a WebP is lossless. The same
    frames and metadata give the same bytes, whole or not at all.

    Args:
        frames: grey images (mode ``L``) of one size, the earliest first.
        seconds: how long each is shown.
        last_seconds: how long the last one is shown, which is to be looked at.
        metadata: kept as lines ``key: value``, in a GIF's comment or a WebP's description.

    Raises:
        ConfigError: another ending.
        OutputError: it cannot be written.
        ValueError: no frames, frames of several sizes or not grey, a time out of bounds.
    """
    check_suffix(path, SUFFIXES)
    check_metadata(metadata or {})
    _check_frames(frames)
    for name, value in (("seconds", seconds), ("last_seconds", last_seconds)):
        if not _SHORTEST <= value <= _LONGEST:
            raise ValueError(f"{name} is {value}; it must be from {_SHORTEST} to {_LONGEST:g}")
    durations = [round(1000 * seconds)] * (len(frames) - 1) + [round(1000 * last_seconds)]
    lines = "\n".join(f"{key}: {value}" for key, value in (metadata or {}).items())
    if path.suffix.lower() == ".gif":
        written = _bytes(frames, durations, format="GIF", comment=lines.encode(errors="replace"))
    else:
        xmp = _XMP.format(escape(lines)).encode(errors="replace") if lines else b""
        written = _bytes(frames, durations, format="WEBP", lossless=True, method=6, xmp=xmp)
    write_whole(path, written)


def _check_frames(frames: Sequence[Image.Image]) -> None:
    if not frames:
        raise ValueError("an animation needs at least one frame")
    for place, frame in enumerate(frames):
        if frame.mode != "L" or frame.size != frames[0].size:
            raise ValueError(
                f"frame {place} is {frame.size[0]}x{frame.size[1]}, mode {frame.mode}; all must be "
                f"{frames[0].size[0]}x{frames[0].size[1]}, mode L: give captions of as many lines"
            )


def _bytes(frames: Sequence[Image.Image], durations: Sequence[int], **settings: Any) -> bytes:
    first, *others = frames
    buffer = BytesIO()
    first.save(
        buffer, save_all=True, append_images=others, duration=list(durations), loop=0, **settings
    )
    return buffer.getvalue()
