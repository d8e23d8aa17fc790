"""Lettering: Pillow's own scalable font, measured and wrapped."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from functools import lru_cache

from PIL import ImageFont

# The font that Pillow ships has few letters beyond ASCII; what it lacks is spelled out, since it
# would be drawn as an empty box.
_DRAWN = frozenset("·±…“”’°")
_SPELLED = str.maketrans(
    {
        "−": "-",
        "–": "-",
        "—": "-",
        "×": "x",
        "²": "^2",
        "≤": "<=",
        "≥": ">=",
        "→": "->",
        "‖": "||",
        "λ": "lambda",
        "ν": "nu",
        "σ": "sigma",
        "\u00a0": " ",
    }
)


@dataclass(frozen=True)
class Run:
    """One line of text in its place.

    Attributes:
        at: the anchor's position (x, y) in pixels.
        anchor: Pillow's two letters for which point of the text lies there, e.g. ``ls``.
        grey: 0 black to 255 white.
    """

    text: str
    at: tuple[int, int]
    size: int
    anchor: str
    grey: int = 40

    def box(self) -> tuple[int, int, int, int]:
        """Left, top, right, bottom of the ink, in pixels."""
        left, top, right, bottom = font(self.size).getbbox(self.text, anchor=self.anchor)
        x, y = self.at
        return (int(x + left), int(y + top), int(x + right), int(y + bottom))

    def baseline(self) -> tuple[float, float]:
        """Where the first letter begins on the baseline (x, y), in pixels."""
        left, top, _, _ = font(self.size).getbbox(self.text, anchor=self.anchor)
        from_left, from_line, _, _ = font(self.size).getbbox(self.text, anchor="ls")
        x, y = self.at
        return x + left - from_left, y + top - from_line


@lru_cache(maxsize=64)
def font(size: int) -> ImageFont.FreeTypeFont:
    """Pillow's own font (Aileron) at ``size`` pixels."""
    found = ImageFont.load_default(size)
    if not isinstance(found, ImageFont.FreeTypeFont):  # a Pillow built without FreeType
        raise RuntimeError("this Pillow cannot draw scalable text; install its binary wheel")
    return found


def drawable(text: str) -> str:
    """``text`` in the letters the font has: ``−`` becomes ``-``, ``ν`` ``nu``, ``é`` ``e``."""
    kept = []
    for letter in text.translate(_SPELLED):
        if letter.isascii() or letter in _DRAWN:
            kept.append(letter)
        else:
            base = unicodedata.normalize("NFKD", letter).encode("ascii", "ignore").decode()
            kept.append(base or "?")
    return "".join(kept)


def text_width(text: str, size: int) -> int:
    """Width of one line in pixels, rounded up."""
    return int(-(-font(size).getlength(text) // 1))


def line_height(size: int) -> int:
    """Distance from one line to the next in pixels."""
    return round(1.35 * size)


def wrap(text: str, size: int, width: int) -> list[str]:
    """Break ``text`` into lines of at most ``width`` pixels; its own line breaks are kept.

    A word wider than the line is broken where the line ends. Empty text gives no line.
    """
    lines: list[str] = []
    for paragraph in drawable(text).strip().splitlines():
        line = ""
        for word in paragraph.split():
            longer = f"{line} {word}" if line else word
            if line and text_width(longer, size) > width:
                lines.append(line)
                longer = word
            while text_width(longer, size) > width and len(longer) > 1:
                fits = _letters_that_fit(longer, size, width)
                lines.append(longer[:fits])
                longer = longer[fits:]
            line = longer
        lines.append(line)
    return lines


def _letters_that_fit(word: str, size: int, width: int) -> int:
    count = len(word) - 1
    while count > 1 and text_width(word[:count], size) > width:
        count -= 1
    return count
