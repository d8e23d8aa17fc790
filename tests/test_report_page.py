"""The page in headless Chromium: it fits a phone, and its controls work, with and without scripts.

The page is loaded into a frame of the wanted width, because a window cannot be that narrow. A
script in the frame's parent operates it and records the results.
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

import numpy as np
import pytest

from tests.support.commands import Ended
from tests.support.synthetic_results import SETTINGS, SyntheticStudy, name_of, write_saved_runs

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")

pytestmark = pytest.mark.browser

Look = Callable[..., Any]

FRAME = """<!doctype html><body style="margin:0">
<iframe id="f" style="width:{width}px;height:2000px;border:0" srcdoc="{page}" {sandbox}></iframe>
<pre id="found"></pre>
<script>
const frame = document.getElementById("f");
frame.onload = () => {{
  const w = frame.contentWindow, d = frame.contentDocument;
  const on = (kind) => [...d.querySelectorAll(kind)].filter(
    (e) => w.getComputedStyle(e).visibility === "visible" && e.getClientRects().length);
  let found;
  try {{ found = (() => {{ {script} }})(); }} catch (error) {{ found = String(error); }}
  document.getElementById("found").textContent = "found:" + JSON.stringify(found) + ":end";
}};
</script>"""

TOO_WIDE = """const root = d.documentElement;  // its client width is without the scroll bar
    return [w.innerWidth, root.scrollWidth - root.clientWidth,
    [...d.querySelectorAll("body *")].filter((e) => !e.closest(".scroll, svg, [popover]")
      && e.getBoundingClientRect().right > root.clientWidth + 0.5).map((e) => e.outerHTML)]"""


@pytest.fixture(scope="module")
def browser() -> str:
    """Return the command of an installed browser."""
    for name in BROWSERS:
        found = shutil.which(name)
        if found:
            return found
    pytest.skip(f"no browser here: none of {', '.join(BROWSERS)}")


@pytest.fixture
def runs(dae: Callable[..., Ended], tmp_path: Path) -> list[str]:
    """Report results of two data sets, each with two networks, an SVM and a cell that failed."""
    models = ("SAA-3", "SdA-3", "SVM_rbf", "DBN-3")
    cells = {name_of(d, m): {"dataset": d, **SETTINGS[m]} for d in ("rect", "convex")
             for m in models}  # fmt: skip
    study = SyntheticStudy(tmp_path, cells, reference="model")
    for dataset in ("convex", "rect"):
        for place, model in enumerate(models):
            error = "diverged" if model == "DBN-3" else ""
            study.add(name_of(dataset, model), model, 9_000 - 500 * place, dataset=dataset,
                     error=error)  # fmt: skip
    study.write()
    names = [row["run"] for row in study.rows if row["epochs"]]
    drawn = np.random.default_rng(0)
    line = [(1, 40.0), (2, 30.0), (3, 35.0)]
    write_saved_runs(
        study.out,
        {run: (line, [[(1, 300.0), (2, 200.0)]] * 2) for run in names},
        {run: drawn.integers(0, 256, (20, 784), dtype=np.uint8) for run in names},
    )
    dae("report", "made", "--quiet").succeeded()
    return names


@pytest.fixture
def look(browser: str, runs: list[str], tmp_path: Path) -> Look:
    """Open the page, run a script on it and return what the script returns."""
    text = (tmp_path / "results" / "made" / "report.html").read_text(encoding="utf-8")

    def look(script: str, width: int = 390, without_scripts: bool = False) -> Any:
        # A page in such a frame cannot run scripts, but its parent can still inspect it.
        sandbox = 'sandbox="allow-same-origin"' if without_scripts else ""
        wrapper = tmp_path / "frame.html"
        wrapper.write_text(
            FRAME.format(width=width, page=html.escape(text), script=script, sandbox=sandbox),
            encoding="utf-8",
        )
        done = subprocess.run(
            [
                *(browser, "--headless", "--no-sandbox", "--disable-gpu"),
                *("--disable-dev-shm-usage", "--no-first-run"),
                *(f"--user-data-dir={tmp_path / 'profile'}", "--virtual-time-budget=3000"),
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


def test_on_a_telephone_only_boxes_of_their_own_scroll(look: Look) -> None:
    assert look(TOO_WIDE, 360) == [360, 0, []]


def test_the_slider_shows_the_sheet_and_the_error_of_its_network(
    look: Look, runs: list[str]
) -> None:
    seen, moved = look(
        """const slider = d.querySelector("input[type=range]"), seen = [];
        const figure = d.querySelector("[data-filters]");
        const height = d.documentElement.scrollHeight;
        for (const k of [0, 1, 0]) {
          slider.value = k;
          slider.dispatchEvent(new w.Event("input"));
          seen.push([on(".sheet").filter((e) => figure.contains(e)).map((e) => e.dataset.run),
            on(".readout").filter((e) => figure.contains(e)).map((e) => e.textContent),
            slider.getAttribute("aria-valuetext")]);
        }
        return [seen, d.documentElement.scrollHeight - height];"""
    )
    assert [sheets for sheets, _, _ in seen] == [[runs[0]], [runs[1]], [runs[0]]]
    labels = [label.replace("\N{NO-BREAK SPACE}", " ") for _, _, label in seen]
    assert labels == ["SAA-3, 0 %", "SdA-3, 25 %", "SAA-3, 0 %"]
    errors = [re.findall(r"\d+\.\d+", texts[0])[0] for _, texts, _ in seen]
    assert errors == ["18.00", "17.00", "18.00"]
    assert moved == 0  # nothing below jumps


def test_data_sets_and_models_can_be_chosen_and_details_opened(look: Look) -> None:
    found = look(
        """const panels = () => [...d.querySelectorAll(".panel")].map(
          (e) => e.getClientRects().length > 0);
        const lines = () => [...d.querySelectorAll(".panel-1 .curve")].filter(
          (e) => e.closest("g") && e.getClientRects().length).length;
        const seen = [panels()];
        d.getElementById("set-1").click();
        seen.push(panels(), lines());
        d.querySelector(".panel-1 .choose input").click();
        seen.push(lines());
        const button = d.querySelector("button.more");
        const details = d.getElementById(button.getAttribute("popovertarget"));
        seen.push(details.matches(":popover-open"));
        button.click();
        const box = details.getBoundingClientRect();
        seen.push(details.matches(":popover-open"), box.left >= 0 && box.right <= 390);
        return seen;"""
    )
    # Two networks, each with a line of validation errors and of the cost of two layers.
    assert found == [[True, False], [False, True], 6, 3, False, True, True]


def test_without_javascript_tables_curves_and_first_filters_show(
    look: Look, runs: list[str]
) -> None:
    found = look(
        """const shows = (kind) => [...d.querySelectorAll(kind)].some(
          (e) => e.getClientRects().length > 0);
        return [d.documentElement.className, shows(".cells"), shows(".panel .curve"),
          on(".sheet").map((e) => e.dataset.run), shows(".slider"), shows("#theme")];""",
        without_scripts=True,
    )
    assert found == ["", True, True, [runs[0], runs[2]], False, False]
