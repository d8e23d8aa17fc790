"""A page's values to one HTML file that needs nothing else."""

from __future__ import annotations

from base64 import b64encode
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

from dae_cli.pages import charts
from dae_cli.pages.drawing import destroyed_drawing

if TYPE_CHECKING:
    from jinja2 import Environment

    from dae_cli.pages.content import Page

TEMPLATE, STYLE, SCRIPT = "report.html.j2", "report.css", "report.js"
SYMBOLS = {
    "better": "✓",
    "matches": "≈",
    "worse": "✗",
    "no reference": "·",
    "calibrated": "=",
    "failed": "!",
}
"""What stands before a verdict's word, so that colour is never needed to tell them apart."""


def render(page: Page) -> str:
    """Return the HTML. The same page gives the same text; every value in it is escaped."""
    return _environment().get_template(TEMPLATE).render(page=page)


@cache
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    made = Environment(
        loader=PackageLoader("dae_cli.pages", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    # Our own files, and the only text that is not escaped.
    made.globals.update(
        style=Markup(_own(STYLE)),
        script=Markup(_own(SCRIPT)),
        symbols=SYMBOLS,
        charts=charts,
        drawing=destroyed_drawing,
    )
    made.filters["base64"] = _base64
    return made


def _own(name: str) -> str:
    return files("dae_cli.pages").joinpath(name).read_text(encoding="utf-8")


def _base64(content: bytes) -> str:
    return b64encode(content).decode("ascii")
