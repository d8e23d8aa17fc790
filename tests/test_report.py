"""REPORT.md and report.html: content, clones, failed cells, and rows of mixed provenance."""

from __future__ import annotations

import re
import shutil
from base64 import b64decode
from collections.abc import Callable, Sequence
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import unquote
from xml.etree import ElementTree

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from safetensors.numpy import load_file

from tests.support.children import Child, wait_until
from tests.support.commands import Ended
from tests.support.sheets import pixels, texts_of
from tests.support.synthetic_results import SETTINGS, SHA256, SyntheticStudy, write_saved_runs
from tests.support.tiny import destruction_cells, read_csv, snapshot, write_study

Dae = Callable[..., Ended]
Scale = Callable[[float], float]
EVIL = '<script>alert("x")</script>\'"&]]>--><!--</style></script></title>'
BASIC_REBUILT = "0160063fe7b9598c556ea2c9cf7d571cf9aa654670e54313ff1089a11579ed52"
"""Digest of the data set that is rebuilt from MNIST pixel for pixel."""
SDA = {"sda": SETTINGS["SdA-3"], "saa": SETTINGS["SAA-3"]}


class Page(HTMLParser):
    """All elements of a page with attributes and texts, and the tags that were never closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.source = text
        self.found: list[tuple[str, dict[str, str]]] = []
        self.texts: list[str] = []
        self.open: list[str] = []
        self.wrong: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_startendtag(tag, attrs)
        if tag not in ("meta", "img", "input", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.wrong.append(tag)

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def of(self, tag: str) -> list[dict[str, str]]:
        """The attributes of all elements of a kind."""
        return [attributes for name, attributes in self.found if name == tag]

    @property
    def sheets(self) -> dict[str, dict[str, str]]:
        """The images of filters, by run."""
        return {image["data-run"]: image for image in self.of("img") if "data-run" in image}

    def chart(self, word: str) -> ElementTree.Element:
        """Return the chart whose text begins with `word`."""
        every = re.findall("<svg.*?</svg>", self.source, re.DOTALL)
        (found,) = [svg for svg in every if f">{word}" in svg or f'aria-label="{word}' in svg]
        return ElementTree.fromstring(found)


def fitted(values: Sequence[str | None], places: Sequence[float]) -> Scale:
    """Return the scale of an axis, fitted to its ticks."""
    known = np.array([float(value or "") for value in values])
    scale = np.polynomial.Polynomial.fit(known, places, 1)
    assert np.allclose(scale(known), places, atol=0.11)
    return lambda value: float(scale(value))


def axes_of(drawing: ElementTree.Element) -> tuple[Scale, Scale]:
    """Return the horizontal and the vertical scale of a chart."""
    texts = [t for t in drawing.iter("text") if re.fullmatch(r"[\d.]+", t.text or "")]
    below, beside = ([t for t in texts if t.get("text-anchor") == a] for a in ("middle", "end"))
    lines = [p.get("d", "") for p in drawing.iter("path") if p.get("class") == "grid"]
    heights = [float(re.split("[ H]", line)[1]) for line in lines]
    x = fitted([t.text for t in below], [float(t.get("x", "")) for t in below])
    return x, fitted([t.text for t in beside], heights)


def page_of(out: Path) -> Page:
    """The page in a folder of results."""
    return Page((out / "report.html").read_text(encoding="utf-8"))


Curves = dict[str, dict[str, list[tuple[int, float]]]]


def curves_in(out: Path) -> Curves:
    """Return the points of each curve in curves.csv, by run."""
    found: Curves = {}
    for row in read_csv(out / "curves.csv"):
        points = [point.split(":") for point in row["points"].split()]
        found.setdefault(row["run"], {})[row["curve"]] = [(int(n), float(y)) for n, y in points]
    return found


def drawn_on(image: dict[str, str]) -> NDArray[np.int64]:
    """Return the greys of an image on the page."""
    content = b64decode(image["src"].removeprefix("data:image/png;base64,"))
    with Image.open(BytesIO(content)) as opened:
        return np.asarray(opened.convert("L")).astype(int)


def report_text(out: Path) -> str:
    """Return the text of REPORT.md."""
    return (out / "REPORT.md").read_text(encoding="utf-8")


def section(text: str, heading: str) -> str:
    """Return the text below a heading."""
    return text.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]


@pytest.fixture
def reported(dae: Dae, tmp_path: Path) -> Callable[..., SyntheticStudy]:
    """Report runs given by their differences from the default; `earlier` may write other files."""

    def report(
        *runs: dict[str, Any],
        earlier: Callable[[SyntheticStudy], None] | None = None,
        cells: dict[str, dict[str, Any]] = SDA,
        **study: Any,
    ) -> SyntheticStudy:
        results = SyntheticStudy(tmp_path, cells, reference="model", **study)
        for run in runs:
            usual: dict[str, Any] = {"cell": "saa", "model": "SAA-3", "wrong": 9_000}
            results.add(**usual | run)
        results.write()
        if earlier:
            earlier(results)
        dae("report", "made", "--quiet").succeeded()
        return results

    return report


Reported = Callable[..., SyntheticStudy]
OTHER = {"cell": "sda", "model": "SdA-3", "wrong": 8_000}


# The command


def test_after_a_clone_everything_is_written_again_as_it_was(dae: Dae, done: Path) -> None:
    dae("report", "tiny", "-q").succeeded()
    shutil.rmtree(done / "runs")
    before = snapshot(done)
    for name in ("table.csv", "mcnemar.csv", "REPORT.md", "error_vs_destruction.png"):
        (done / name).unlink()
    ended = dae("report", "tiny").succeeded()
    assert ended.lines[-1] == "results/tiny/REPORT.md"
    rows = [line.split()[:3] for line in ended.lines[1:3]]
    assert rows == [["rect", "0", "%"], ["rect", "25", "%"]]
    assert snapshot(done) == before
    done.rename("elsewhere")
    words = ("report", "tiny", "--quiet", "--out", "elsewhere")
    assert dae(*words) == (0, "elsewhere/REPORT.md\n", "")


def test_results_that_are_lacking_or_of_other_settings_are_reported_with_the_remedy(
    dae: Dae, done: Path, tmp_path: Path
) -> None:
    before = snapshot(done)
    file = tmp_path / "experiments" / "tiny" / "study.yaml"
    file.write_text(file.read_text().replace("patience: 4", "patience: 3"))
    ended = dae("report", "tiny").failed(2, "results/tiny/runs.csv", "rect-0 seed 0",
                                         "rect-25 seed 0", "finetune.patience: 4", "3 now",
                                         "dae replicate tiny", "--out")  # fmt: skip
    assert ended.out == ""
    assert snapshot(done) == before  # rows with other settings are kept
    shutil.rmtree(done)
    ended = dae("report", "tiny").failed(2, "results/tiny/runs.csv", "dae replicate tiny", "--out")
    assert ended.out == ""
    assert not done.exists()


def test_damaged_metrics_are_reported_by_file_and_value(dae: Dae, done: Path) -> None:
    path = sorted((done / "runs").iterdir())[0] / "metrics.csv"
    whole = path.read_text()
    for pattern, new, value in (
        ("finetune,,2,", "finetune,,two,", "'two'"),
        ("cost", "price", "phase, layer, epoch, cost,"),
        (r"(?<=finetune,,1,)[\d.]*,(\d*),.*", r"0.5,\1,inf", "inf"),
    ):
        path.write_text(re.sub(pattern, new, whole, count=1))
        assert path.read_text() != whole
        dae("report", "tiny").failed(2, f"{path.relative_to(done)}", value)


# REPORT.md


def test_every_picture_that_the_report_shows_is_there(finished: tuple[Path, Ended]) -> None:
    pictures = re.findall(r"\]\((.*?\.png)\)", report_text(finished[0]))
    assert len(pictures) == 5
    assert all((finished[0] / name).is_file() for name in pictures)


def test_the_gap_is_ours_minus_the_papers_as_both_are_printed(reported: Reported) -> None:
    cells = {f"c{k}": {"seed": k, **SETTINGS["SAA-3"]} for k in range(5)}
    counts = (9_000, 9_204, 9_206, 9_500, 4_321)
    results = reported(
        *({"cell": f"c{k}", "wrong": count} for k, count in enumerate(counts)),
        {"cell": "c4", "seed": 1, "wrong": 5_678},
        cells=cells,
    )
    rows = (
        section(report_text(results.out), "Our results and the paper's").strip().splitlines()[2:7]
    )
    found = [[part.strip() for part in row.strip("|").split("|")] for row in rows]
    assert [row[0] for row in found] == list(cells)  # places are not unique
    assert [row[5] for row in found] == ["-0.41", "+0.00", "+0.00", "+0.59", "-8.41"]
    assert found[3][3:5] == ["19.00 ± 0.34", "18.41 ± 0.34 (SAA-3)"]
    assert found[4][3:7:3] == ["10.00 ± 0.26 (sd 1.92)", "better"]
    assert "error_vs_destruction.png" not in report_text(results.out)  # one destruction


def test_the_command_is_one_piece_of_code_whatever_it_holds(dae: Dae, done: Path) -> None:
    command = "dae replicate tiny --out 'a`b``c'"
    text, count = re.subn("(?m)^(Made by) `.*?` ", rf"\1 ``` {command} ``` ", report_text(done))
    assert count == 1
    (done / "REPORT.md").write_text(text, encoding="utf-8")
    dae("report", "tiny", "--quiet").succeeded()
    assert re.search(f" ``` {command} ``` (at commit|from) ", report_text(done))
    assert command in page_of(done).texts


def test_a_tiny_study_takes_less_than_a_minute(done: Path) -> None:
    assert "2 runs, less than a core minute in all" in report_text(done)
    assert "less than a core minute" in " ".join(page_of(done).texts)


def test_every_commit_is_named_and_changes_that_were_not_committed_are_warned_of(
    reported: Reported,
) -> None:
    for commits, named, warned, mixture in (
        (["", ""], "installed package;", False, []),
        (["abc-dirty+def", "def"], "abc-dirty, def (", True, ["commits abc-dirty, def"]),
        (["def", *"abca"], "; 5 runs, 12 core minutes", False, ["commits def, a, b, c"]),
        ([*"abcdea"], " 5 commits ", False, ["5 commits"]),
    ):
        results = reported(*({"seed": seed, "commit": c} for seed, c in enumerate(commits)))
        line = next(x for x in report_text(results.out).splitlines() if " runs, " in x)
        assert named in line, line
        assert ("**" in line) == warned
        several = re.findall(r"\n\*\*.*\*\*: (.*)\.\n", report_text(results.out))
        assert several == mixture


def test_rows_of_several_makes_are_never_mixed_silently(reported: Reported) -> None:
    other = {"commit": "def", "engine": "blas", "device": "cpu / mps", "versions": "dae 1",
             "data_sha256": "e" * 64}  # fmt: skip
    results = reported({}, {"seed": 1, **other}, {"seed": 2}, OTHER)
    (line,) = re.findall(r"\n\*\*.*\*\*: (.*)\.\n", report_text(results.out))
    assert sorted(line.split("; ")) == [
        "commits abc, def",
        f"contents of convex {SHA256}, {'e' * 64}",
        "devices cpu, mps",
        "engines torch, blas",
        "versions (dae 0), (dae 1)",
    ]
    assert line in " ".join(page_of(results.out).texts)


def test_data_that_are_rebuilt_exactly_are_compared_without_a_mark(reported: Reported) -> None:
    basic = {"cell": "basic", "dataset": "basic", "data_origin": "regenerated", "wrong": 1_700,
             "data_sha256": BASIC_REBUILT}  # fmt: skip
    cells = {"basic": {"dataset": "basic", **SETTINGS["SAA-3"]}, **SDA}
    other = {**OTHER, "data_sha256": "e" * 64}
    results = reported({"data_origin": "regenerated"}, other, basic, cells=cells)
    text = report_text(results.out)
    rows = section(text, "Our results and the paper's").strip().splitlines()[2:5]
    verdicts = [row.split(" | ")[-1] for row in rows]
    assert verdicts == ["matches |", "matches (regenerated data) |", "better |"]
    origins = {x.split(" | ")[1] for x in section(text, "Data").splitlines() if "`" in x}
    assert origins == {"exactly rebuilt", "regenerated", "original (verified)"}
    marks = [span for span in page_of(results.out).of("span") if span.get("class") == "data-mark"]
    assert len(marks) == 1


def test_a_study_of_which_everything_failed_has_a_report_and_a_page(reported: Reported) -> None:
    results = reported({"error": EVIL}, {"seed": 1, "error": "no room"})
    text = report_text(results.out)
    assert "- saa, seed 0: " in text and "- saa, seed 1: no room" in text
    assert "| – | 18.41 ± 0.34 (SAA-3) | – | failed |" in text
    assert "![" not in text
    page = page_of(results.out)
    assert page.wrong == page.open == []
    assert "failed" in " ".join(page.texts)


def test_of_a_run_that_was_not_timed_nor_validated_the_report_has_the_error(
    reported: Reported,
) -> None:
    unknown = dict.fromkeys(("minutes", "valid_error_percent", "half_width_95", "best_epoch"), "")
    results = reported(unknown, {"seed": 1, "error": "no room", "minutes": ""})
    runs = section(report_text(results.out), "Every run")
    assert "| 18.00 | 9000 of 50000 | – | – of " in runs
    assert "failed | | | | – |" in runs
    assert "18.00" in " ".join(page_of(results.out).texts)


def test_what_was_tried_comes_from_the_files_of_people_and_of_the_search(
    dae: Dae, done: Path, tmp_path: Path
) -> None:
    source = tmp_path / "experiments" / "tiny" / "tried.md"
    source.write_bytes(b"\xef\xbb\xbf# bg-rand\r\n\t# code\r\n## less\r\n```sh\n# no heading\n")
    (done / "search.csv").write_bytes(b"a")
    dae("report", "tiny", "--quiet").failed(2, "results/tiny/search.csv:1:", "move the file away")
    (done / "search.csv").unlink()
    dae("report", "tiny", "--quiet").succeeded()
    tried = section(report_text(done), "Differences from the paper")
    assert "\n#### bg-rand\n    # code\n##### less\n```sh\n# no heading\n" in tried
    assert tried.count("```") == 2  # an open fence is closed
    assert (done / "tried.md").read_bytes() == source.read_bytes()[3:]  # without the BOM
    source.unlink()
    dae("report", "tiny", "--quiet").succeeded()
    assert "bg-rand" not in report_text(done) and not (done / "tried.md").exists()


# report.html


@pytest.fixture(scope="module")
def page(finished: tuple[Path, Ended]) -> Page:
    """The page of the tiny study."""
    return page_of(finished[0])


def test_the_page_is_one_file_that_reaches_for_nothing(page: Page) -> None:
    assert "://" not in page.source
    assert "url(" not in page.source and "@import" not in page.source
    for tag, attributes in page.found:
        assert tag not in ("link", "iframe", "object", "embed", "form", "base")
        assert attributes.get("src", "data:image/png;base64,").startswith("data:image/png;base64,")
        assert attributes.get("href", "#").startswith("#")
    (policy,) = [meta["content"] for meta in page.of("meta") if "http-equiv" in meta]
    assert "default-src 'none'" in policy and "img-src data:" in policy
    assert "http" not in policy and "*" not in policy
    assert page.wrong == page.open == []


def test_whatever_refers_to_an_element_of_the_page_finds_it(page: Page) -> None:
    ids = [attributes["id"] for _, attributes in page.found if "id" in attributes]
    assert len(ids) == len(set(ids))
    for _, attributes in page.found:
        wanted = attributes.get("aria-labelledby", "").split()
        wanted += [attributes[name] for name in ("popovertarget", "for") if name in attributes]
        wanted += [attributes["href"].removeprefix("#")] if "href" in attributes else []
        assert set(wanted) <= set(ids), attributes
    assert "prefers-color-scheme: dark" in page.source
    (slider,) = [one for one in page.of("input") if one["type"] == "range"]
    assert (slider["min"], slider["max"], slider["value"]) == ("0", "1", "0")
    first = [image["data-run"] for image in page.of("img") if "on" in image.get("class", "")]
    assert first == list(page.sheets)[:1]  # shown without scripts


def test_pictures_and_charts_have_words_and_verdicts_have_signs(page: Page) -> None:
    assert all(image["alt"] and image["width"] and image["height"] for image in page.of("img"))
    for svg in page.of("svg"):
        named = "aria-labelledby" in svg or "aria-label" in svg
        assert (svg.get("role") == "img" and named) or svg.get("aria-hidden") == "true"
    signs = re.findall(r'aria-hidden="true">(.)</span> ([a-z ]+)</span>', page.source)
    assert len({sign for sign, _ in signs}) == len(set(signs)) == 5


def random_greys(units: int = 8) -> NDArray[np.uint8]:
    """Return random filters as greys."""
    return np.random.default_rng(0).integers(0, 256, (units, 784), dtype=np.uint8)


def test_no_text_of_a_file_becomes_an_element(reported: Reported) -> None:
    def write(text: str) -> Page:
        def earlier(results: SyntheticStudy) -> None:
            run = results.rows[0]["run"]
            curves = {run: ([(1, 40.0), (2, 30.0)], [[(1, 3.0), (2, 2.0)]])}
            write_saved_runs(results.out, curves, {run: random_greys(3)}, command=f"dae{text}")

        runs = ({"commit": f"abc{text}", "versions": f"dae{text}", "device": f"cpu{text}"},
                {**OTHER, "error": f"diverged{text}"})  # fmt: skip
        words = {"title": f"A study{text}", "paper": f"Nobody{text}"}
        return page_of(reported(*runs, **words, earlier=earlier).out)

    plain, page = write(""), write(EVIL)
    assert page.wrong == page.open == []
    assert [tag for tag, _ in page.found] == [tag for tag, _ in plain.found]
    shown = " ".join(" ".join(page.texts).split())
    for word in ("A study", "Nobody", "abc", "dae", "cpu", "diverged"):
        assert word + EVIL in shown, word
    (command,) = [m["content"] for m in page.of("meta") if m.get("name") == "dae-command"]
    assert command == f"dae{EVIL}"


def test_points_and_intervals_stand_where_the_axes_say(dae: Dae, tmp_path: Path) -> None:
    levels, papers = (0, 10, 25, 40), {0: ("18.41", "SAA-3"), 25: ("19.06", "SdA-3")}
    cells = {f"c{level}": {"corruption": {"destruction": level / 100}} for level in levels}
    results = SyntheticStudy(tmp_path, cells)
    for level, wrong in zip(levels, (9_250, 8_865, 8_625, 8_100), strict=True):
        error, paper_model = papers.get(level, ("", ""))
        model = "SdA-3" if level else "SAA-3"
        half_width = "0.34" if error else ""
        results.add(f"c{level}", model, wrong, destruction_percent=f"{level}",
                    paper_model=paper_model, paper_error_percent=error,
                    paper_half_width_95=half_width)  # fmt: skip
    results.write()
    dae("report", "made", "--quiet").succeeded()
    page = page_of(results.out)
    chart = page.chart("Test error by destruction")
    x_of, y_of = axes_of(chart)
    # The paper's SdA-3 on convex is at its own 10 %, not at our destruction.
    expected = {(0.0, "18.41", "0.34", "paper"), (10.0, "19.06", "0.34", "paper")}
    for level, row in zip(levels, results.rows, strict=True):
        expected.add((float(level), row["test_error_percent"], row["half_width_95"], "ours"))
    found = set()
    for mark in chart.iter("g"):
        words, kind = mark.findtext("title") or "", mark.get("class", "")
        level, error, half_width = re.findall(r"[\d.]+", words.replace("-3", ""))
        found.add((float(level), error, half_width, kind))
        path = next(mark.iter("path")).get("d", "")
        x, low, high = map(float, re.findall(r"[\d.]+", path)[:3])
        aside = {"ours": -5, "paper": 5}[kind] * (float(level) in (0.0, 10.0))
        wanted = [y_of(float(error) + sign * float(half_width)) for sign in (-1, 1)]
        assert [x, low, high] == pytest.approx([x_of(float(level)) + aside, *wanted], abs=0.15)
        for dot in mark.iter("circle"):
            assert float(dot.get("cx", "")) == x
            assert float(dot.get("cy", "")) == pytest.approx(y_of(float(error)), abs=0.15)
    assert found == expected
    (line,) = [path for path in chart.iter("path") if path.get("class") == "ours line"]
    assert len(line.get("d", "").split("L")) == 4

    # In the table, the intervals of a data set share one scale.
    sources = re.findall('<svg class="strip.*?</svg>', page.source, re.DOTALL)
    axis, *strips = (ElementTree.fromstring(source) for source in sources)
    ticks = list(axis.iter("text"))
    place = fitted([t.text for t in ticks], [float(t.get("x", "")) for t in ticks])
    for strip, row in zip(strips, results.rows, strict=True):
        for kind, error, half_width in (
            ("ours", row["test_error_percent"], row["half_width_95"]),
            ("paper", row["paper_error_percent"], row["paper_half_width_95"]),
        ):
            bars = [p.get("d", "") for p in strip.iter("path") if p.get("class") == f"{kind} bar"]
            assert len(bars) == bool(error)
            for bar in bars:
                ends = [float(end) for end in re.findall(r"[MH]([\d.]+)", bar)]
                wanted = [place(float(error) + sign * float(half_width)) for sign in (-1, 1)]
                assert ends == pytest.approx(wanted, abs=0.3)


def test_curves_go_through_their_points_and_a_dot_marks_what_was_saved(
    reported: Reported,
) -> None:
    valley = [(n, float(abs(n - 20) + 30)) for n in range(1, 51)]
    straight = [(n, 60.0 - n) for n in range(1, 41)]
    rough = [(n, 40 + 8 * float(n % 2)) for n in range(1, 9)]
    costs = [[(1, 300.0), (2, 250.0), (3, 240.0)], [(1, 30.0), (2, 20.0)]]
    given: dict[str, tuple[Any, Any]] = {}

    def earlier(results: SyntheticStudy) -> None:
        lines = ((valley, costs), (straight, costs), (rough, costs[:1]))
        given.update({row["run"]: line for row, line in zip(results.rows, lines, strict=True)})
        write_saved_runs(results.out, given)

    kept = {"valid_error_percent": "30.00", "best_epoch": 20}
    results = reported(kept, {"seed": 1}, OTHER, earlier=earlier)
    page = page_of(results.out)
    # Saved curves do not change.
    costs_of = {run: {f"cost {k}": line for k, line in enumerate(cost, 1)}
                for run, (_, cost) in given.items()}  # fmt: skip
    assert curves_in(results.out) == {
        run: costs_of[run] | {"validation error": valid} for run, (valid, _) in given.items()
    }
    chart = page.chart("Validation error by fine-tuning epoch")
    x_of, y_of = axes_of(chart)
    traces = list(chart.iter("g"))
    names = [trace.findtext("title") for trace in traces]
    assert names == ["SAA-3, 0 %, mean of seeds 0, 1", "SdA-3, 25 %, seed 0"]
    shapes: list[Sequence[tuple[float, float]]] = [
        [(1, 49), (20, 30), (25, 35), (40, 20), (40, 50), (25, 35), (1, 59)],  # the band
        [(1, 54), (20, 35), (40, 35)],  # the mean, as long as both are trained
        valley[39:],
        rough,
    ]
    paths = [path.get("d", "") for trace in traces for path in trace.iter("path")]
    for path, shape in zip(paths, shapes, strict=True):
        drawn = [tuple(map(float, point.split())) for point in path.strip("MZ").split("L")]
        assert np.allclose(drawn, [(x_of(n), y_of(error)) for n, error in shape], atol=0.15)
    dot = next(chart.iter("circle"))
    place = float(dot.get("cx", "")), float(dot.get("cy", ""))
    assert place == pytest.approx((x_of(20), y_of(30.0)), abs=0.15)
    chart = page.chart("Reconstruction cost")
    layers = [text.text for text in chart.iter("text") if "layer" in (text.text or "")]
    assert layers == ["layer 1", "layer 2"]
    assert len(list(chart.iter("g"))) == 2 + 1


def test_of_a_curve_the_page_keeps_what_the_eye_would_miss(dae: Dae, done: Path) -> None:
    path = sorted((done / "runs").iterdir())[0] / "metrics.csv"
    header = path.read_text().splitlines()[0]
    errors = [50.0 - n for n in range(31)] + [20.0 + n / 2 for n in range(1, 21)]
    errors[40] = 27.0  # a bump
    errors[10] += 0.03  # too small to see
    lines = [f"finetune,,{n},0.5,10,{error}" for n, error in enumerate(errors, start=1)]
    lines.insert(0, "pretrain,1,1,389.12345,,")
    path.write_text("\n".join([header, *lines]) + "\n")
    dae("report", "tiny", "--quiet").succeeded()
    kept = curves_in(done)[path.parent.name]
    assert kept["cost 1"] == [(1, 389.1)]  # four digits
    assert kept["validation error"] == [
        *((1, 50.0), (31, 20.0), (40, 24.5), (41, 27.0), (42, 25.5), (51, 30.0)),
    ]


def test_filters_on_the_page_are_those_of_the_checkpoint_on_one_grey_scale(
    page: Page, finished: tuple[Path, Ended]
) -> None:
    rows = read_csv(finished[0] / "runs.csv")
    assert list(page.sheets) == [row["run"] for row in rows]
    weights = {}
    for run, image in page.sheets.items():
        tensors = load_file(finished[0] / "runs" / run / "checkpoint.safetensors")
        weights[run] = tensors["pretrained.1.weight"]
        assert (image["width"], image["height"]) == ("280", "56")
    limit = np.quantile(np.abs(np.concatenate(list(weights.values()))), 0.995)
    for run, image in page.sheets.items():
        assert float(image["data-limit"]) == pytest.approx(limit, rel=1e-3)
        tiles = drawn_on(image).reshape(2, 28, 10, 28).transpose(0, 2, 1, 3).reshape(20, 784)
        wanted = np.clip(127.5 + 127.5 * weights[run] / limit, 0, 255)
        assert np.abs(tiles[:12] - wanted).max() <= 16  # of 256 greys, 16 remain
        assert len(np.unique(tiles[12:])) == 1


# Runs whose folders are elsewhere


def test_of_a_run_that_is_elsewhere_curves_and_filters_stay(dae: Dae, done: Path) -> None:
    page, drawn = page_of(done), {path: pixels(path) for path in (done / "filters").iterdir()}
    curves = curves_in(done)
    texts = {path: texts_of(path) for path in drawn}
    gone, here = sorted((done / "runs").iterdir())
    runs = {path.name: text["Runs"] for path, text in texts.items()}
    both = f"{gone.name}, {here.name}"
    assert runs == {"rect.png": both, "rect-0.png": gone.name, "rect-25.png": here.name}
    commit = read_csv(done / "runs.csv")[0]["commit"]
    for text in texts.values():
        assert "rect" in text["Title"] and "tiny" in text["Title"]
        assert text["Commit"] == commit
    one = done / "filters" / "rect-0.png"
    kept = one.read_bytes()
    shutil.rmtree(gone)
    (done / "filters" / "rect.png").unlink()
    dae("report", "tiny", "--quiet").succeeded()
    again = page_of(done)
    assert curves_in(done) == curves
    assert again.sheets == page.sheets  # the remaining one keeps the scale of the sheets
    assert one.read_bytes() == kept
    for path, before in drawn.items():
        assert texts_of(path) == texts[path]
        assert (pixels(path) == before).all()
    (done / "runs").rename("runs elsewhere")
    (done / "report.html").unlink()
    dae("report", "tiny", "--quiet").succeeded()
    assert (curves_in(done), page_of(done).sheets) == (curves, page.sheets)
    assert {path: texts_of(path) for path in (done / "filters").iterdir()} == texts
    # A sheet with an earlier caption gets today's, and its tiles stay.
    with Image.open(one) as image:
        earlier = PngInfo()
        for key, value in texts[one].items():
            earlier.add_text(key, f"{value} Earlier." if key == "Description" else value)
        image.save(one, pnginfo=earlier)
    dae("report", "tiny", "--quiet").succeeded()
    assert texts_of(one) == texts[one] and (pixels(one) == drawn[one]).all()
    # Filters and curves without a folder or a saved copy are not shown.
    Path("runs elsewhere").rename(done / "runs")
    one.unlink()
    (done / "curves.csv").unlink()
    dae("report", "tiny", "--quiet").succeeded()
    assert list(page_of(done).sheets) == list(curves_in(done)) == [here.name]
    assert "rect-25.png" in report_text(done) and "rect-0.png" not in report_text(done)
    assert texts_of(done / "filters" / "rect.png")["Runs"] == here.name


def test_a_study_that_is_killed_leaves_curves_and_filters_of_the_runs_that_it_made(
    child: Callable[..., Child], dae: Dae, tiny: Path
) -> None:
    command = child("replicate", "tiny", "--seeds", "50")
    wait_until(lambda: list((tiny / "filters").glob("*.png")), command)
    command.kill_group()
    assert not (tiny / "REPORT.md").exists()
    curves = curves_in(tiny)
    (run,) = (texts_of(sheet)["Runs"] for sheet in (tiny / "filters").glob("*.png"))
    assert set(curves[run]) == {"cost 1", "cost 2", "validation error"}
    assert run in [row["run"] for row in read_csv(tiny / "runs.csv")]
    shutil.rmtree(tiny / "runs")  # which is not committed
    dae("report", "tiny", "--quiet").succeeded()
    assert list(page_of(tiny).sheets) == [run]
    assert curves_in(tiny) == curves


def test_damaged_curves_are_refused_and_a_damaged_sheet_is_not_shown(dae: Dae, done: Path) -> None:
    run = sorted((done / "runs").iterdir())[0].name
    shutil.rmtree(done / "runs")
    curves = done / "curves.csv"
    sound = curves.read_text()
    for text in ("1:NaN", "1:1e999", "x:1", "1", "-1:3"):
        curves.write_text(f"run,curve,points\n{run},validation error,{text}\n")
        assert "curves.csv:2" in dae("report", "tiny", "--quiet").failed(2).message
    curves.write_text(sound)
    for key, value in (
        ("Limit", "nan"),
        ("Tiles", "0 0 28 0 99 99 9801"),
        ("Tiles", "0 0 28 0 -1 -1 1"),
        ("Tiles", "0 0 5x0 0 1 1 1"),
        ("Tiles", ""),
    ):
        sheet = done / "filters" / "rect-0.png"
        chunks = PngInfo()
        for name, text in (texts_of(sheet) | {key: value}).items():
            chunks.add_text(name, text)
        Image.fromarray(pixels(sheet)).save(sheet, pnginfo=chunks)
        dae("report", "tiny", "--quiet").succeeded()
        assert run not in page_of(done).sheets
        assert "rect-0" in " ".join(page_of(done).texts)  # the tables are still shown


# Models side by side


def test_models_are_distinguished_by_destruction_model_or_name(reported: Reported) -> None:
    def draw(results: SyntheticStudy) -> None:
        write_saved_runs(results.out, sheets={row["run"]: random_greys() for row in results.rows})

    wide = {**SETTINGS["SdA-3"], "model": {"hidden": [9, 6, 4]}}
    alike, other = {**OTHER, "cell": "b"}, {"cell": "a", "model": "DBN-3"}
    for first, settings, labels in (
        (other, SETTINGS["DBN-3"], ["DBN-3", "SdA-3, 25 %"]),
        ({**OTHER, "cell": "a"}, wide, ["SdA-3, 25 % (a)", "SdA-3, 25 % (b)"]),
        ({**other, "model": "NNet-1"}, SETTINGS["NNet-1"], ["SdA-3, 25 %"]),
    ):  # NNet was not pretrained
        cells = {"a": settings, "b": SETTINGS["SdA-3"]}
        results = reported(first, alike, cells=cells, earlier=draw)
        titles = re.findall(r"!\[(convex, .*?)\]", report_text(results.out))
        page = page_of(results.out)
        assert [image["alt"].split(", ", 2)[2] for image in page.sheets.values()] == labels
        every = [] if len(labels) > 1 else ["every destruction"]  # models are not side by side
        assert titles == [f"convex, {label}" for label in [*every, *labels]]
        assert ("same weights in every" in " ".join(page.texts)) == (labels[0] == "DBN-3")


def test_what_set_changed_is_told_beside_the_name_that_a_cell_keeps(
    dae: Dae, tmp_path: Path, tiny_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAE_DATA_DIR", str(tiny_data))
    slow = {"corruption": {"destruction": 0.1}, "pretrain": {"learning_rate": 0.01}}
    write_study(tmp_path, "named", {"rect-10": {"corruption": {"destruction": 0.1}}, "slow": slow})
    two_layers = ("--set", "model.hidden=[12, 8]", "--set", "corruption.destruction=0.15")
    for words, cells, what in (
        (two_layers, ["rect-10", "slow"], "model.hidden [12, 8], corruption.destruction 0.15"),
        (("--set", "pretrain.learning_rate=0.01"), ["rect-10"], "pretrain.learning_rate 0.01"),
        (("--set", "finetune.patience=3"), ["rect-10", "slow"], "finetune.patience 3"),
        (("--set", "seed=1", "--set", "corruption.destruction=0.1"), [], ""),
    ):
        only = ("--only", "rect-10") if cells == ["rect-10"] else ()
        ended = dae("replicate", "named", *words, *only, "--out", "out").succeeded()
        report, page = Path("out/REPORT.md").read_text("utf-8"), page_of(Path("out"))
        told = " ".join("".join(page.texts).split())
        for text in (report, told, ended.message):
            assert (what in text) if what else ("hanged" not in text)
        if not only and cells:
            for text in (report, told, ended.out):
                assert all(
                    f"{cell} (changed)" in text or f"({cell}, changed)" in text for cell in cells
                )
        shutil.rmtree("out")


def test_names_of_cells_break_neither_tables_nor_links(dae: Dae, tiny: Path) -> None:
    ((_, first), (_, second)) = destruction_cells(0, 25).items()
    cells = {"a|b *c* [d]": second, "e #f?": second | {"seed": 1}, "g": first}
    write_study(Path(), "tiny", cells)
    for name in ("rect-0", "rect-25"):
        (Path("experiments") / "tiny" / f"{name}.yaml").unlink()
    dae("replicate", "tiny").succeeded()
    text = (tiny / "REPORT.md").read_text(encoding="utf-8")
    for link in re.findall(r"\]\((.*\.png)\)", text):
        assert re.fullmatch(r"[\w./%+=-]+", link)
        assert (tiny / unquote(link)).is_file()
    assert "a%7Cb" in text
    (line,) = re.findall(r"^\| a.*\(SdA-.*$", text, re.MULTILINE)
    assert line.startswith(r"| a\|b \*c\* \[d] (SdA-")
    assert len(re.split(r"(?<!\\)\|", line)) == 12
