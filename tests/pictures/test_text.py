"""Lettering: nothing is drawn as an empty box, lines keep to their width."""

from __future__ import annotations

import pytest

from dae_cli.pictures.text import drawable, font, text_width, wrap


@pytest.mark.parametrize(
    ("text", "drawn"),
    [
        ("28 × 28", "28 x 28"),
        ("ν = 25 %", "nu = 25 %"),
        ("−0.5 ± 0.1 · σ", "-0.5 ± 0.1 · sigma"),
        ("Fig. 5–7", "Fig. 5-7"),
        ("Müller, Bézier", "Muller, Bezier"),
        ("漢", "?"),
    ],
)
def test_letters_the_font_lacks_are_spelled_out(text: str, drawn: str) -> None:
    assert drawable(text) == drawn


def test_the_font_has_every_letter_that_is_left_as_it_is() -> None:
    missing = bytes(font(20).getmask("\uffff"))
    for letter in map(chr, [*range(33, 127), *map(ord, "·±…“”’°")]):
        assert bytes(font(20).getmask(drawable(letter))) != missing, letter


def test_lines_keep_to_the_width_and_lose_no_word() -> None:
    text = "rows of W as tiles, one grey scale for all levels of destruction"
    lines = wrap(text, 15, 150)
    assert len(lines) > 2
    assert " ".join(lines) == text
    assert all(text_width(line, 15) <= 150 for line in lines)


def test_a_word_wider_than_the_line_is_broken_not_cut() -> None:
    lines = wrap("rect-img-sda-25-s0-0123456789abcdef" * 3, 15, 120)
    assert "".join(lines) == "rect-img-sda-25-s0-0123456789abcdef" * 3
    assert all(text_width(line, 15) <= 120 for line in lines)


def test_line_breaks_are_kept_and_empty_text_has_no_line() -> None:
    assert wrap("one\ntwo", 15, 500) == ["one", "two"]
    assert wrap("  ", 15, 500) == []
