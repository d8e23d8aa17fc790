"""The page is one file, escapes what it is given, and reaches for nothing."""

from __future__ import annotations

import re
from collections.abc import Callable
from html.parser import HTMLParser

import pytest

from dae_cli.pages.content import Page
from dae_cli.pages.render import SYMBOLS, render
from tests.pages.conftest import EVIL

MakePage = Callable[..., Page]
VOID = {"meta", "img", "input", "br", "path", "circle"}


class Elements(HTMLParser):
    """Every element with its attributes, the texts, and what was never closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str]]] = []
        self.texts: list[str] = []
        self.open: list[str] = []
        self.wrong: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID and (not self.open or self.open.pop() != tag):
            self.wrong.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, {name: value or "" for name, value in attrs}))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def of(self, tag: str) -> list[dict[str, str]]:
        """The attributes of all elements of a kind."""
        return [attributes for name, attributes in self.found if name == tag]


def test_the_same_page_gives_the_same_text(make_page: MakePage) -> None:
    assert render(make_page()) == render(make_page())


@pytest.mark.parametrize("text", ["", EVIL, "]]>--><!--", "</style></script></title>"])
def test_elements_are_closed_whatever_the_texts_hold(make_page: MakePage, text: str) -> None:
    plain, found = Elements(render(make_page())), Elements(render(make_page(text)))
    assert found.wrong == []
    assert found.open == []
    # No text became an element.
    assert [tag for tag, _ in found.found] == [tag for tag, _ in plain.found]


def test_texts_are_shown_as_they_are(make_page: MakePage) -> None:
    page = Elements(render(make_page(EVIL)))
    texts = " ".join(page.texts)
    for shown in ("A study", "Nobody, Table 0", "Denoising helps on convex.", "diverged", "dae 0"):
        assert shown + EVIL in texts
    assert f"run-0{EVIL}" in [image.get("data-run") for image in page.of("img")]


def test_nothing_is_taken_from_the_network(make_page: MakePage) -> None:
    text = render(make_page())
    page = Elements(text)
    assert "://" not in text
    for _, attributes in page.found:
        assert attributes.get("src", "data:").startswith("data:image/png;base64,") or (
            "src" not in attributes
        )
        assert attributes.get("href", "#").startswith("#")
    assert page.of("link") == []
    assert "url(" not in text
    assert "@import" not in text
    (policy,) = [m["content"] for m in page.of("meta") if "http-equiv" in m]
    assert policy.startswith("default-src 'none';")


def test_ids_are_unique_and_whatever_refers_to_one_finds_it(make_page: MakePage) -> None:
    page = Elements(render(make_page()))
    ids = [attributes["id"] for _, attributes in page.found if "id" in attributes]
    assert len(ids) == len(set(ids))
    for _, attributes in page.found:
        wanted = attributes.get("aria-labelledby", "").split()
        wanted += [attributes[name] for name in ("popovertarget", "for") if name in attributes]
        wanted += [attributes["href"].removeprefix("#")] if "href" in attributes else []
        assert set(wanted) <= set(ids)


def test_pictures_and_charts_have_words(make_page: MakePage) -> None:
    page = Elements(render(make_page()))
    assert all(image["alt"] and image["width"] for image in page.of("img"))
    for svg in page.of("svg"):
        named = "aria-labelledby" in svg or "aria-label" in svg
        assert (svg.get("role") == "img" and named) or svg.get("aria-hidden") == "true"


def test_a_verdict_is_told_by_word_and_sign_not_by_colour_alone(make_page: MakePage) -> None:
    text = render(make_page())
    assert len(set(SYMBOLS.values())) == len(SYMBOLS)
    for word in ("better", "matches", "failed", "no reference", "worse"):
        pattern = rf'aria-hidden="true">{re.escape(SYMBOLS[word])}</span> {word}</span>'
        assert re.search(pattern, text)


def test_sections_appear_when_there_is_something_in_them(make_page: MakePage) -> None:
    full = render(make_page())
    for heading in (
        "The table as the paper prints it",
        "Which of the paper’s claims hold here",
        "Learning curves",
    ):
        assert f">{heading}</h2>" in full
        assert f">{heading}</h2>" not in render(make_page(claims=(), grid=None, datasets=()))


def test_the_first_filters_show_without_javascript(make_page: MakePage) -> None:
    page = Elements(render(make_page()))
    shown = [i for i in page.of("img") if "on" in i.get("class", "").split()]
    assert [image["data-run"] for image in shown] == ["run-0", "run-0"]
    sliders = [i for i in page.of("input") if i.get("type") == "range"]
    assert [slider["max"] for slider in sliders] == ["2", "2"]
