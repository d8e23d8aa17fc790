"""The page in headless Chromium: it fits a telephone, the slider moves, both colour schemes.

The page is looked at inside a frame of the width wanted, since a window cannot be that narrow; a
script of the frame's parent tries it and writes down what it finds.
"""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dae_cli.pages.content import Page
from dae_cli.pages.render import render

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
DARK, LIGHT = "0", "1"
RESULTS = Path(__file__).resolve().parents[2] / "results"

pytestmark = pytest.mark.browser

Look = Callable[..., Any]

FRAME = """<!doctype html><body style="margin:0">
<iframe id="f" style="width:{width}px;height:2000px;border:0" srcdoc="{page}" {sandbox}></iframe>
<pre id="found"></pre>
<script>
const frame = document.getElementById("f"), errors = [];
frame.onload = () => {{
  const w = frame.contentWindow, d = frame.contentDocument;
  const on = (kind) => [...d.querySelectorAll(kind)].filter(
    (e) => w.getComputedStyle(e).visibility === "visible" && e.getClientRects().length);
  let found;
  try {{ found = (() => {{ {script} }})(); }} catch (error) {{ found = String(error); }}
  document.getElementById("found").textContent = "found:" + JSON.stringify(found) + ":end";
}};
</script>"""


@pytest.fixture(scope="module")
def browser() -> str:
    """The command of a browser that is here."""
    for name in BROWSERS:
        found = shutil.which(name)
        if found:
            return found
    pytest.skip(f"no browser here: none of {', '.join(BROWSERS)}")


@pytest.fixture
def look(browser: str, tmp_path: Path, make_page: Callable[..., Page]) -> Look:
    """Open a page, run a script on it and return what the script returns."""

    def look(
        script: str,
        width: int = 390,
        scheme: str = LIGHT,
        without_scripts: bool = False,
        text: str = "",
    ) -> Any:
        # A page in such a frame runs no script of its own, and its parent still sees it.
        sandbox = 'sandbox="allow-same-origin"' if without_scripts else ""
        page = html.escape(text or render(make_page()))
        wrapper = tmp_path / "frame.html"
        wrapper.write_text(
            FRAME.format(width=width, page=page, script=script, sandbox=sandbox), encoding="utf-8"
        )
        done = subprocess.run(
            [
                *(browser, "--headless", "--no-sandbox", "--disable-gpu"),
                *("--disable-dev-shm-usage", "--no-first-run"),
                *(f"--user-data-dir={tmp_path / 'profile'}", "--virtual-time-budget=3000"),
                f"--blink-settings=preferredColorScheme={scheme}",
                *("--window-size=1200,2000", "--dump-dom", wrapper.as_uri()),
            ],
            capture_output=True,
            text=True,
            timeout=90,
        )
        found = re.search("found:(.*):end", done.stdout)
        assert found, done.stderr[-2000:]
        return json.loads(html.unescape(found[1]))

    return look


TOO_PALE = """const light = (c) => { const [r, g, b] = c.match(/[0-9.]+/g).map((v) => {
        v = Number(v) / 255;
        return v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; });
      return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
    const ground = (e) => { for (; e; e = e.parentElement) {
        const c = w.getComputedStyle(e).backgroundColor;
        if (!/, 0\\)$/.test(c)) return c; } return "rgb(255, 255, 255)"; };
    const low = [];
    for (const e of d.querySelectorAll("p, small, td, th, dt, dd, .verdict, h2, label, a")) {
      const [a, b] = [w.getComputedStyle(e).color, ground(e)].map(light);
      const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
      if (ratio < 4.5) low.push([e.className, ratio]);
    }
    return low;"""

TOO_WIDE = """const root = d.documentElement;  // its client width is without the scroll bar
    return [w.innerWidth, root.scrollWidth - root.clientWidth,
    [...d.querySelectorAll("body *")].filter((e) => !e.closest(".scroll, svg, [popover]")
      && e.getBoundingClientRect().right > root.clientWidth + 0.5).map((e) => e.outerHTML)]"""


@pytest.mark.parametrize("width", [360, 390, 1200])
def test_only_boxes_of_their_own_scroll_sideways(look: Look, width: int) -> None:
    assert look(TOO_WIDE, width) == [width, 0, []]


@pytest.mark.parametrize("study", ["icml2008", "table1"])
def test_the_committed_page_of_a_study_fits_a_telephone(look: Look, study: str) -> None:
    text = (RESULTS / study / "report.html").read_text(encoding="utf-8")
    assert look(TOO_WIDE, 360, text=text) == [360, 0, []]
    assert look(TOO_PALE, 360, DARK, text=text) == []


def test_the_slider_shows_the_sheet_and_the_error_of_its_level(look: Look) -> None:
    found = look(
        """const slider = d.querySelector("input[type=range]"), told = [];
        const figure = d.querySelector("[data-filters]");
        const height = d.documentElement.scrollHeight;
        for (const k of [0, 1, 2, 1]) {
          slider.value = k;
          slider.dispatchEvent(new w.Event("input"));
          told.push([on(".sheet").filter((e) => figure.contains(e)).map((e) => e.dataset.run),
            on(".readout").filter((e) => figure.contains(e)).map((e) => e.textContent),
            slider.getAttribute("aria-valuetext")]);
        }
        return [told, d.documentElement.scrollHeight - height];"""
    )
    told, moved = found
    assert told == [
        [[f"run-{k}"], [f"SdA-3, {25 * k} %: test error {18 - k}.00"], f"SdA-3, {25 * k} %"]
        for k in (0, 1, 2, 1)
    ]
    assert moved == 0  # nothing below jumps


def test_a_data_set_and_its_models_can_be_chosen_for_the_curves(look: Look) -> None:
    found = look(
        """const panels = () => [...d.querySelectorAll(".panel")].map(
          (e) => e.getClientRects().length > 0);
        const lines = () => [...d.querySelectorAll(".panel-1 .curve")].filter(
          (e) => e.closest("g") && e.getClientRects().length).length;
        const told = [panels()];
        d.getElementById("set-1").click();
        told.push(panels(), lines());
        d.querySelector(".panel-1 .k0").click();
        told.push(lines());
        return told;"""
    )
    # Two runs, each with a line of validation errors and of the cost of two layers.
    assert found == [[True, False], [False, True], 6, 3]


def test_details_of_a_cell_open_by_its_button(look: Look) -> None:
    found = look(
        """const button = d.querySelector("button.more");
        const details = d.getElementById(button.getAttribute("popovertarget"));
        const before = details.matches(":popover-open");
        button.click();
        const box = details.getBoundingClientRect();
        return [before, details.matches(":popover-open"), box.left >= 0 && box.right <= 390];"""
    )
    assert found == [False, True, True]


def test_light_and_dark_follow_the_system_and_the_button(look: Look) -> None:
    script = """const ground = () => w.getComputedStyle(d.body).backgroundColor;
    const told = [ground()];
    d.getElementById("theme").click();
    return [...told, ground()];"""
    white, dark = "rgb(255, 255, 255)", "rgb(21, 24, 28)"
    assert look(script, scheme=LIGHT) == [white, dark]
    assert look(script, scheme=DARK) == [dark, white]


@pytest.mark.parametrize("scheme", [LIGHT, DARK])
def test_text_stands_out_from_its_ground(look: Look, scheme: str) -> None:
    """WCAG 2, contrast (minimum): 4.5 to 1."""
    found = look(TOO_PALE, scheme=scheme)
    assert found == []


def test_without_javascript_tables_curves_and_first_filters_show(look: Look) -> None:
    found = look(
        """const shows = (kind) => [...d.querySelectorAll(kind)].some(
          (e) => e.getClientRects().length > 0);
        return [d.documentElement.className, shows(".cells"), shows(".panel .curve"),
          on(".sheet").map((e) => e.dataset.run), shows(".slider"), shows("#theme")];""",
        without_scripts=True,
    )
    assert found == ["", True, True, ["run-0", "run-0"], False, False]
