"""SVG and PDF: every weight as in the PNG, text as text, the settings inside, the same bytes."""

from __future__ import annotations

import base64
import os
import re
import subprocess
import sys
import zlib
from io import BytesIO
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import PIL.Image
import pytest
from numpy.typing import NDArray

from dae_cli.errors import ConfigError
from dae_cli.pictures.filters import Panel, lay_out_sheet
from dae_cli.pictures.saving import save_sheet
from dae_cli.pictures.tiles import Drawing, paint
from dae_cli.pictures.vector import pdf_bytes, svg_bytes

SVG = "{http://www.w3.org/2000/svg}"
XLINK = "{http://www.w3.org/1999/xlink}href"
METADATA = {"Title": "filters of layer 1", "Runs": "a-25, b-50", "Scale": "shared <0.84 & ν>"}


def sheet(ordered: bool = True) -> Drawing:
    random = np.random.default_rng(0)
    panels = [
        Panel(random.normal(0, 0.5, (5, 144)).astype(np.float32), f"{level} % destroyed")
        for level in (0, 25)
    ]
    if ordered:
        panels = [Panel(p.weights, p.title, order=[4, 2, 0, 1, 3]) for p in panels]
    return lay_out_sheet(panels, limit=1.0, tiles=(2, 3), title="Cost $5 (a)", caption="caption")


def images_in(svg: bytes) -> list[NDArray[np.uint8]]:
    """The greys of the images that an SVG holds, in order."""
    found = []
    for image in ElementTree.fromstring(svg).iter(f"{SVG}image"):
        content = base64.b64decode(image.attrib[XLINK].partition(",")[2])
        with PIL.Image.open(BytesIO(content)) as read:
            found.append(np.asarray(read.convert("L")))
    return found


def test_an_svg_holds_each_panel_as_the_png_shows_it_at_8_pixels_a_weight_or_more() -> None:
    drawing = sheet()
    painted = np.asarray(paint(drawing))
    first, second, _ = images_in(svg_bytes(drawing, {}))
    for image, grid in zip((first, second), drawing.layout.grids, strict=True):
        left, top, right, bottom = grid.whole
        times = image.shape[0] // (bottom - top)
        assert times * grid.tile // 12 >= 8
        small = painted[top:bottom, left:right].copy()
        for index in range(6):  # the names under the tiles are text and not in the image
            x, _, _, under = grid.box(index)
            small[under - top : under - top + grid.under, x - left : x - left + grid.tile] = 255
        assert (image == np.kron(small, np.ones((times, times), np.uint8))).all()


def test_nothing_smooths_the_tiles() -> None:
    images = list(ElementTree.fromstring(svg_bytes(sheet(), {})).iter(f"{SVG}image"))
    assert len(images) == 3  # two panels and the grey scale
    for image in images[:2]:
        assert "image-rendering:pixelated" in image.attrib["style"]
    assert b"/Interpolate" not in pdf_bytes(sheet(), {})


def test_an_svg_is_as_large_as_the_png_and_opens_nothing_from_elsewhere() -> None:
    drawing = sheet()
    root = ElementTree.fromstring(svg_bytes(drawing, {}))
    width, height = drawing.layout.size
    assert [float(n) for n in root.attrib["viewBox"].split()[2:]] == [width * 0.75, height * 0.75]
    links = [e.attrib[XLINK] for e in root.iter() if XLINK in e.attrib]
    assert all(link.startswith(("data:image/png", "#")) for link in links)
    assert not list(root.iter(f"{SVG}text")), "letters are outlines, whatever fonts are there"


def test_letters_stand_where_the_png_has_them() -> None:
    drawing = sheet(ordered=False)
    runs = {run.text: run for run in drawing.layout.runs}
    svg = svg_bytes(drawing, {}).decode()
    for text in ("25 % destroyed", "Cost $5 (a)", "3", "caption"):
        (moved,) = re.findall(
            rf"<!-- {re.escape(text)} -->\s*<g [^>]*transform=\"translate\(([\d.]+) ([\d.]+)\)",
            svg,
        )
        x, y = runs[text].baseline()
        assert [float(n) for n in moved] == pytest.approx([0.75 * x, 0.75 * y], abs=0.6)


def test_the_words_of_a_pdf_are_text_in_an_embedded_font() -> None:
    pdf = pdf_bytes(sheet(), {})
    assert b"/FontFile2" in pdf and b"Aileron" in pdf
    streams = re.findall(rb"stream\r?\n(.*?)\r?\nendstream", pdf, re.DOTALL)
    contents = b"".join(_inflated(stream) for stream in streams)
    assert b" Tf" in contents and re.search(rb"T[jJ]\b", contents)
    assert b"/ToUnicode" in pdf, "what is copied are the letters that are shown"


def _inflated(stream: bytes) -> bytes:
    try:
        return zlib.decompress(stream)
    except zlib.error:
        return stream


def test_settings_are_kept_inside() -> None:
    root = ElementTree.fromstring(svg_bytes(sheet(), METADATA))
    dc = "{http://purl.org/dc/elements/1.1/}"
    assert [e.text for e in root.iter(f"{dc}title")] == ["filters of layer 1"]
    (description,) = (e.text for e in root.iter(f"{dc}description"))
    assert description == "Runs: a-25, b-50\nScale: shared <0.84 & ν>"
    pdf = pdf_bytes(sheet(), METADATA)
    assert b"/Title (filters of layer 1)" in pdf and b"/Subject" in pdf


def test_an_odd_name_of_a_run_still_gives_a_readable_svg() -> None:
    svg = svg_bytes(sheet(), {"Runs": "a\x1b[31m\udcff", "Title": "--><x>"})
    (description,) = (
        e.text for e in ElementTree.fromstring(svg).iter() if e.tag.endswith("description")
    )
    assert description == "Runs: a?[31m?"
    pdf_bytes(sheet(), {"Runs": "a\x1b[31m\udcff"})


@pytest.mark.parametrize("ending", ["png", "svg", "pdf"])
def test_the_same_sheet_gives_the_same_bytes_in_another_process(
    ending: str, tmp_path: Path
) -> None:
    path = tmp_path / f"sheet.{ending}"
    save_sheet(sheet(), path, METADATA)
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); from pathlib import Path\n"
        "import test_vector as t; t.save_sheet(t.sheet(), Path(sys.argv[2]), t.METADATA)"
    )
    other = tmp_path / f"other.{ending}"
    environment = {**os.environ, "PYTHONHASHSEED": "1", "SOURCE_DATE_EPOCH": "1000000000"}
    subprocess.run(
        [sys.executable, "-c", code, str(Path(__file__).parent), str(other)],
        env=environment,
        check=True,
    )
    assert path.read_bytes() == other.read_bytes()


def test_the_users_matplotlibrc_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    import matplotlib as mpl

    before = svg_bytes(sheet(), {})
    monkeypatch.setitem(mpl.rcParams, "svg.image_inline", False)
    monkeypatch.setitem(mpl.rcParams, "savefig.bbox", "tight")
    monkeypatch.setitem(mpl.rcParams, "image.interpolation", "bicubic")
    assert svg_bytes(sheet(), {}) == before


def test_the_ending_chooses_the_format_and_no_other_is_taken(tmp_path: Path) -> None:
    for ending, magic in ((".PNG", b"\x89PNG"), (".svg", b"<?xml"), (".pdf", b"%PDF")):
        path = tmp_path / "new" / f"sheet{ending}"
        save_sheet(sheet(), path, METADATA)
        assert path.read_bytes().startswith(magic)
    with pytest.raises(ConfigError, match=r"sheet.eps: a picture is written as .png or .svg or"):
        save_sheet(sheet(), tmp_path / "sheet.eps", {})
    with pytest.raises(ValueError, match="metadata key ''"):
        save_sheet(sheet(), tmp_path / "sheet.svg", {"": "x"})
    assert len(list(tmp_path.rglob("*.*"))) == 3
