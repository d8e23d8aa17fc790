"""Learning over time: sheets of the same units, one after the other, as a GIF."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from dae_cli.figures.style import check_suffix
from dae_cli.files import write_whole

if TYPE_CHECKING:
    from PIL.Image import Image

SUFFIXES = (".gif",)
SECONDS, LAST_SECONDS = 0.5, 3.0
"""How long each frame is shown, and the last one, which is to be looked at."""


def write_animation(frames: Sequence[Image], path: Path, metadata: Mapping[str, str]) -> None:
    """Write frames as an animated GIF that is played for ever, with all of the 256 greys.

    The same frames and metadata give the same bytes, whole or not at all.

    Args:
        frames: grey images (mode ``L``) of one size, the earliest first.
        metadata: kept as lines ``key: value`` in its comment.

    Raises:
        ConfigError: the name does not end in ``.gif``.
        OutputError: it cannot be written.
    """
    check_suffix(path, SUFFIXES)
    first, *others = frames
    durations = [SECONDS] * len(others) + [LAST_SECONDS]
    buffer = BytesIO()
    first.save(
        buffer,
        format="GIF",
        save_all=True,
        append_images=others,
        duration=[round(1000 * seconds) for seconds in durations],
        loop=0,
        comment="\n".join(f"{key}: {text}" for key, text in metadata.items()).encode(
            errors="replace"
        ),
    )
    write_whole(path, buffer.getvalue())
