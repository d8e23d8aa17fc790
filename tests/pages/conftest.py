"""A page of made-up numbers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from dae_cli.pages.content import (
    CellView,
    Curves,
    DataSetView,
    Grid,
    GridCell,
    Interval,
    Page,
    Point,
    RunCurves,
    RunView,
    Sheet,
    Stop,
)
from dae_cli.pages.drawing import sheet_png

EVIL = '<script>alert("x")</script>\'"&'


def _cell(name: str, label: str, error: float | None, paper: float | None, run: int) -> CellView:
    return CellView(
        name=name,
        label=label,
        ours=None if error is None else Interval(error, 0.34),
        sd="0.12",
        bold=True,
        paper=None if paper is None else Interval(paper, 0.35),
        paper_model="SAA-3",
        gap="-0.41",
        verdict="failed" if error is None else "matches",
        regenerated=False,
        details=(("cell", name), ("seeds", "0, 1")),
        runs=(run,),
    )


def _dataset(name: str, text: str) -> DataSetView:
    sheets = []
    for k in range(3):
        grey = np.full((20, 784), 60 * k, dtype=np.uint8)
        png, size = sheet_png(grey)
        sheets.append(Sheet(f"run-{k}{text}", png, size, 0.5))
    lines = (((1, 300.0), (2, 200.0)), ((1, 30.0), (2, 20.0)))
    curves = Curves(((1, 40.0), (2, 30.0), (3, 35.0)), lines)
    return DataSetView(
        name=name,
        origin="original",
        cells=(
            _cell(f"{name}-0{text}", "SAA-3, 0 %", 18.0, 18.41, 0),
            _cell(f"{name}-25{text}", "SdA-3, 25 %", 17.0, None, 1),
            _cell(f"{name}-50{text}", "SdA-3, 50 %", None, None, 2),
        ),
        ours=(
            Point(0.0, Interval(18.0, 0.34), "ours, 0 %"),
            Point(25.0, Interval(17.0, 0.34), f"ours, 25 %{text}"),
        ),
        paper=(Point(0.0, Interval(18.41, 0.35), "the paper's SAA-3, 0 %"),),
        curves=tuple(
            RunCurves(f"run-{k}{text}", k, f"run {k}{text}", (2, 30.0), curves) for k in range(2)
        ),
        legend=("SAA-3, 0 %", f"SdA-3, 25 %{text}", "SdA-3, 50 %"),
        stops=tuple(
            Stop(f"SdA-3, {25 * k} %{text}", f"test error {18 - k}.00", sheet)
            for k, sheet in enumerate(sheets)
        ),
        stops_by="destruction",
        same_start=True,
    )


def made_page(text: str = "", **changes: Any) -> Page:
    """A page of two data sets; `text` is in everything that comes from files."""
    run = RunView("", "18.00 ± 0.34", "9000 of 50000", "17.50", "2 of 3", "2.5", "abc" + text, "")
    failed = RunView(f"run-2{text}", "", "", "", "", "0.1", "abc", f"diverged{text}")
    values: dict[str, Any] = {
        "title": f"A study{text}",
        "paper": f"Nobody, Table 0{text}",
        "command": f"dae replicate tiny --out '{text}'",
        "made_verb": "Made by",
        "made": "at commit abc; 3 runs",
        "warning": f"commits abc, def{text}",
        "datasets": (_dataset("convex", text), _dataset("rect", text)),
        "grid": Grid(
            (f"SVM_rbf{text}", "SdA-3"),
            (
                (
                    f"convex{text}",
                    (
                        GridCell("not run", False, "19.13", True, "", False, 0, ""),
                        GridCell(
                            "17.00 ± 0.34",
                            True,
                            "19.06",
                            False,
                            "better",
                            True,
                            1,
                            f"ν = 25 %{text}",
                        ),
                    ),
                ),
            ),
            f"† read in a second-hand account{text}",
        ),
        "claims": (f"Denoising helps on convex.{text}",),
        "duels": (("models", "here"), (f"SdA-3, SAA-3{text}", "lower")),
        "levels": (0.0, 25.0, 50.0),
        "selected_heading": f"best epoch{text}",
        "runs": (*(replace(run, run=f"run-{k}{text}") for k in (0, 1)), failed),
        "data": (("convex", "original", "d" * 64 + text),),
        "provenance": (("versions", f"dae 0{text}"),),
    }
    return Page(**values | changes)


@pytest.fixture
def make_page() -> Callable[..., Page]:
    """Make a page; `text` goes into all that comes from files."""
    return made_page
