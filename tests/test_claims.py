"""REPORT.md: the table in the paper's form, and which of the paper's claims hold in it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.entry_points.statistics import published_numbers
from tests.support.commands import Ended
from tests.support.synthetic_results import SETTINGS, Errors, SyntheticStudy, name_of, whole_table
from tests.support.tiny import read_csv

Dae = Callable[..., Ended]
BEST, DENOISING, DEEP, PRETRAINING, SVMS, DBN, VERDICTS = range(7)
"""The claims, in the order of the report."""
HOLDS, WHERE_TESTED, IN_PART = "holds", "holds where tested", "holds in part"
NOT, UNDECIDED, UNTESTED = "does not hold", "not decided here", "not tested here"
COMPARISONS = "Claims by data set"


class Report:
    """REPORT.md by its sections."""

    def __init__(self, out: Path) -> None:
        self.text = (out / "REPORT.md").read_text(encoding="utf-8")
        parts = re.split(r"^## (.*)$", self.text, flags=re.MULTILINE)
        self.sections = dict(zip(parts[1::2], parts[2::2], strict=True))

    def table(self, heading: str) -> list[dict[str, str]]:
        """The first table below a heading, by column."""
        lines = [x for x in self.sections[heading].splitlines() if x.startswith("|")]
        header, _, *rows = ([cell.strip() for cell in x[1:-1].split(" | ")] for x in lines)
        return [dict(zip(header, row, strict=True)) for row in rows]

    @property
    def claims(self) -> list[str]:
        """The lines of the claims."""
        (section,) = (text for name, text in self.sections.items() if "claims hold" in name)
        return [line for line in section.splitlines() if line.startswith("- ")]

    @property
    def outcomes(self) -> list[str]:
        """The outcome of each claim."""
        return [line.split("**")[1] for line in self.claims]

    def numbers(self, claim: int) -> list[str]:
        """Return the numbers in a claim's evidence, without those in names of models."""
        evidence = re.sub(r"[A-Za-z]+-\d", "", self.claims[claim].split("**")[2])
        return re.findall(r"\d+(?:\.\d+)?", evidence)


@pytest.fixture
def report(dae: Dae, tmp_path: Path) -> Callable[..., Report]:
    """Write the report of these errors; `first`: index of the first wrong test row of a cell."""

    def write(
        errors: Errors,
        first: Mapping[tuple[str, str], int] | int | None = None,
        **changes: str,
    ) -> Report:
        results = whole_table(tmp_path, errors, first, **changes)
        dae("report", "made", "--quiet").succeeded()
        return Report(results.out)

    return write


WriteReport = Callable[..., Report]


def errors_of(text: str) -> Errors:
    """Return errors from `rect: SAA-3 2.4, SdA-3 1.9; convex: DBN-1 –`; – means not run."""
    found = {}
    for line in text.split("; "):
        dataset, _, models = line.partition(": ")
        for model, error in (one.split() for one in models.split(", ")):
            found[dataset, model] = [] if error == "–" else [float(error)]
    return found


# The table


def test_by_the_overlap_of_intervals_the_papers_best_models_are_these(
    report: WriteReport,
) -> None:
    sets = tuple(dict.fromkeys(number[1] for number in published_numbers()))
    found = report({(name, "SdA-3"): [1.0] for name in sets} | {("rect", "DBN-3"): []})
    bold = {}
    for row in found.table("Table 1: our results above the paper's"):
        papers = {model: cell.split("paper: ")[1] for model, cell in row.items() if model}
        assert len(papers) == 7
        bold[row[""]] = {name.split()[0] for name, cell in papers.items() if "**" in cell}
    assert list(bold) == list(sets)  # in the paper's order
    assert bold == {
        "basic": {"SVM_rbf", "SdA-3"},
        "rot": {"SAA-3", "DBN-3", "SdA-3"},
        "bg-rand": {"DBN-3"},
        "bg-img": {"DBN-1", "DBN-3", "SdA-3"},
        "rot-bg-img": {"SdA-3"},
        "rect": {"SVM_rbf", "SVM_poly", "SdA-3"},
        "rect-img": {"SdA-3"},
        "convex": {"SAA-3", "DBN-3", "SdA-3"},
    }


def test_bold_is_whose_printed_interval_touches_that_of_the_best(report: WriteReport) -> None:
    # Half widths are .34 each: ends touch at a distance of .68.
    errors = {"SAA-3": [18.0], "SdA-3": [18.68], "DBN-3": [18.69], "DBN-1": [18.10]}
    (row,) = report({("convex", m): e for m, e in errors.items()}).table(
        "Table 1: our results above the paper's"
    )
    bold = [name.split()[0] for name, cell in row.items() if "**" in cell.split("<br>")[0]]
    assert bold == ["DBN-1", "SAA-3", "SdA-3"]


def test_a_study_of_autoencoders_alone_has_neither_table_nor_claims(
    finished: tuple[Path, Ended],
) -> None:
    report = Report(finished[0])
    assert next(iter(report.sections)) == "Our results and the paper's"
    assert "<a id=" not in report.text


# The claims


def test_what_was_not_run_or_failed_is_not_tested(report: WriteReport) -> None:
    cells = {("convex", "SdA-3"): [16.0], ("convex", "SVM_rbf"): [], ("convex", "DBN-3"): None}
    found = report(cells)
    assert found.outcomes == [*[UNTESTED] * 6, HOLDS]
    assert len({line.split("**")[0] for line in found.claims}) == 7
    assert COMPARISONS not in found.sections


def test_two_models_are_compared_by_mcnemars_test_at_every_seed_or_by_intervals(
    report: WriteReport,
) -> None:
    far = 5_000  # many rows differ, and a few more are not significant
    compared: dict[str, tuple[list[float], list[float], int | None, int | None, str, str]] = {
        "basic": ([21.41, 21.41], [21.4, 21.4], 0, far, "undecided", "p ≤ .05 in none of 2 seeds"),
        "bg-rand": ([23.0, 21.0, 21.0], [21.4, 22.0, 22.0], 0, 0, "undecided",
                    "p ≤ .05 lower in 1, higher in 2 of 3 seeds, after Holm in 3"),
        "bg-img": ([22.5, 21.41], [21.4, 21.4], 0, far, "undecided",
                   "p ≤ .05 lower in 1 of 2 seeds, after Holm in 1"),
        "rot-bg-img": ([21.0], [22.0], 0, 0, "higher",
                       "p ≤ .05 higher in 1 of 1 seed, after Holm in 1"),
        "rect": ([22.5], [21.4], None, None, "lower", "intervals"),
        "rect-img": ([22.5, 22.4], [21.4, 21.3], 0, 0, "lower",
                     "p ≤ .05 lower in 2 of 2 seeds, after Holm in 2"),
    }  # fmt: skip
    errors: dict[tuple[str, str], list[float]] = {("rect-img", "SVM_rbf"): []}
    first: dict[tuple[str, str], int] = {}
    for dataset, (saa, sda, first_saa, first_sda, *_) in compared.items():
        errors |= {(dataset, "SAA-3"): saa, (dataset, "SdA-3"): sda}
        if first_saa is not None and first_sda is not None:
            first |= {(dataset, "SAA-3"): first_saa, (dataset, "SdA-3"): first_sda}
    found = report(errors, first)
    rows = found.table(COMPARISONS)
    outcomes = {row["data set"]: (row["here"], row["decided by"]) for row in rows}
    assert outcomes == {dataset: (here, by) for dataset, (*_, here, by) in compared.items()}
    beside = {row["data set"]: row["the first is"] for row in rows}
    assert beside["bg-rand"].startswith("not decided: its error is 0.13 ± ")
    assert beside["rot-bg-img"].startswith(
        "worse: its error is 1.00 points higher (McNemar's test: p"
    )
    assert "McNemar's test cannot be made" in beside["rect"]
    assert rows[-1] == {
        "models": "SdA-3, SAA-3",
        "data set": "rect-img",
        "errors in %": "21.35, 22.45",
        "hidden units": "8-6-4",
        "here": "lower",
        "decided by": compared["rect-img"][-1],
        "the first is": beside["rect-img"],
        "the paper": "lower",
    }
    assert found.outcomes[DENOISING] == IN_PART
    assert found.numbers(DENOISING) == ["2", "1", "3", "6", "6", "0", "6"]


def test_what_becomes_of_a_claim_follows_from_the_sets_on_which_the_paper_has_it(
    report: WriteReport,
) -> None:
    # In the paper, SdA-3 is below SAA-3 on rect and rect-img, but not on convex. Only on bg-rand,
    # SdA-3 is not among the best.
    lower, exception = "rect-img: SAA-3 22.5, SdA-3 21.4", "bg-rand: DBN-3 6.7, SdA-3 10.4"
    equal = "convex: DBN-3 18.0, SdA-3 18.2"
    for errors, *claims in (
        (f"{lower}, SVM_rbf –", (DENOISING, HOLDS, "1 0 0 1 1 0 1")),
        ("rect-img: SAA-3 21, SdA-3 22, DBN-1 –", (DENOISING, NOT, "0 1 0 1")),
        ("rect-img: SAA-3 21.41, SdA-3 21.4, DBN-1 –", (DENOISING, NOT, "0 0 1 1")),
        (f"{lower}; rect: SAA-3 2.4, SdA-3 2.4, DBN-1 –", (DENOISING, IN_PART, "1 0 1 2 2 0 2")),
        ("convex: SAA-3 18, SdA-3 17.9, DBN-1 –", (DENOISING, UNDECIDED, "0 0 1 1")),
        (f"{lower}; rect: SdA-3 1.9, DBN-1 –", (DENOISING, WHERE_TESTED, "1 0 0 1 2 0 2")),
        (f"{lower}; convex: SdA-3 16, DBN-1 –", (DENOISING, HOLDS, "1 0 0 1 1 0 2"),
         (VERDICTS, HOLDS, "2 2 1")),
        ("convex: SdA-3 16; rect: SdA-3 –, DBN-1 –", (VERDICTS, WHERE_TESTED, "1 2 1")),
        ("convex: SdA-3 16; rect-img: SdA-3 25, DBN-1 –", (VERDICTS, IN_PART, "1 2 1 25.00")),
        ("rect-img: SdA-3 25, DBN-1 –", (VERDICTS, NOT, "0 1 0 25.00")),
        (f"{exception}; {equal}", (BEST, WHERE_TESTED, "1 2 10.40 6.70 0 2 1 2"), (DBN, HOLDS, "")),
        (exception, (BEST, UNDECIDED, "0 1 10.40 6.70"), (DBN, UNDECIDED, "")),
        ("convex: DBN-3 16, SdA-3 18.2", (BEST, NOT, "0 1 18.20 16.00"), (DBN, NOT, "0 1 0 1")),
        (f"{equal}; rect: DBN-3 1.5, SdA-3 2.4", (BEST, IN_PART, "1 2"), (DBN, IN_PART, "")),
        (f"{equal}; rect: SdA-3 1.9", (DBN, WHERE_TESTED, "")),
    ):  # fmt: skip
        found = report(errors_of(errors))
        for claim, outcome, numbers in claims:
            shown = " ".join(found.numbers(claim))
            assert found.outcomes[claim] == outcome, (errors, claim)
            assert shown.startswith(numbers), (errors, claim, shown)


def test_sda_is_among_the_best_without_reserve_only_beside_every_model(
    report: WriteReport,
) -> None:
    others = [model for model in SETTINGS if model not in ("SdA-3", "NNet-1")]
    errors: Errors = {("rect", "SdA-3"): [1.9], **{("rect", model): [9.0] for model in others}}
    found = report({**errors, ("rect", "NNet-1"): [12.0]})
    assert found.outcomes == [HOLDS] * 7
    units = {(row["models"], row["hidden units"]) for row in found.table(COMPARISONS)}
    assert units >= {("SdA-3, NNet-1", "8-6-4, 8"), ("SdA-3, SVM_poly", "8-6-4, –")}
    assert len(found.table(COMPARISONS)) == 7  # no duplicates
    # Equal errors; the paper's differ.
    assert report({**errors, ("rect", "NNet-1"): [9.0]}).outcomes[PRETRAINING] == IN_PART
    assert report(errors).outcomes[BEST] == WHERE_TESTED


def test_svm_rbf_calibrated_the_recipe_of_rect_img_and_counts_nowhere_on_data_of_it(
    report: WriteReport,
) -> None:
    errors = errors_of("rect-img: SVM_rbf 20.5, SVM_poly 24.05, SAA-3 22, SdA-3 22; "
                       "convex: SVM_rbf 19.13, SdA-3 19.06")  # fmt: skip
    table, ours = Path("results/made/table.csv"), "Our results and the paper's"
    for origin, verdict, counted, bold in (
        ("original", "better", 6, ["SVM_rbf"]),
        ("regenerated", "calibrated", 5, ["SAA-3", "SdA-3"]),
    ):
        found = report(errors, data_origin=origin)
        verdicts = {row["cell"]: row["verdict"] for row in read_csv(table)}
        assert verdicts["rect-img-svm-rbf"] == verdict
        assert verdicts["rect-img-svm-poly"] == verdicts["convex-svm-rbf"] == "matches"
        (row,) = (r for r in found.table(ours) if r["cell"] == "rect-img-svm-rbf")
        assert row["paper"] == "24.04 ± 0.37 (SVM_rbf)"
        assert row["verdict"].split(" (")[0] == verdict
        (row, _) = found.table("Table 1: our results above the paper's")
        assert f"*{verdict}*" in row["SVM_rbf"]
        assert [n.split()[0] for n, cell in row.items() if cell.startswith("[**")] == bold
        text = found.sections["Differences from the paper"]
        assert f"compared with the paper: {counted};" in text
        assert ("rect-img-svm-rbf." in text) == (origin == "regenerated")
        opponents = {
            (r["data set"], r["models"])
            for r in found.table(COMPARISONS)
            if "SVM_rbf" in r["models"]
        }
        assert (("rect-img", "SdA-3, SVM_rbf") in opponents) == (origin == "original")
        assert ("convex", "SdA-3, SVM_rbf") in opponents
        page = Path("results/made/report.html").read_text(encoding="utf-8")
        assert page.count('v-calibrated">') == (3 if origin == "regenerated" else 1)


def test_every_opponent_of_a_claim_is_looked_at(report: WriteReport) -> None:
    others = "SVM_rbf 24, SVM_poly 21.5, DBN-1 23.5, NNet-1 33"
    found = report(errors_of(f"rect-img: {others}, SAA-3 22.5, SdA-3 21.4"))
    assert found.outcomes[SVMS] == IN_PART
    assert found.numbers(SVMS)[:4] == ["1", "0", "0", "1"]  # SVM_rbf
    assert found.numbers(SVMS)[7:11] == ["0", "0", "1", "1"]  # SVM_poly
    assert (found.outcomes[DEEP], found.outcomes[PRETRAINING]) == (HOLDS, HOLDS)
    assert found.numbers(PRETRAINING) == ["1", "0", "0", "1", "1", "0", "1"] * 2


# Pair by pair


def test_networks_meet_at_the_seeds_both_have_and_an_svm_meets_every_seed(
    report: WriteReport,
) -> None:
    errors: Errors = {
        ("convex", "SAA-3"): [20.0, 20.2],
        ("convex", "SdA-3"): [18.0, 18.2, 18.4],
        ("convex", "SVM_poly"): [19.0],
        ("convex", "SVM_rbf"): [19.5],
        ("rect", "SdA-3"): [2.0],
    }
    report(errors, first={cell: 10 * k for k, cell in enumerate(errors)})
    rows = read_csv(Path("results/made/mcnemar.csv"))
    saa, sda, poly, rbf = (name_of(*cell) for cell in list(errors)[:4])
    assert [(row["cell_a"], row["cell_b"], row["seed"]) for row in rows] == [
        *((saa, sda, seed) for seed in "01"),
        *((saa, poly, seed) for seed in "01"),
        *((saa, rbf, seed) for seed in "01"),
        *((sda, poly, seed) for seed in "012"),
        *((sda, rbf, seed) for seed in "012"),
        (poly, rbf, "0"),
    ]
    names = {row["run"]: row["cell"] for row in read_csv(Path("results/made/runs.csv"))}
    for row in rows:
        assert (names[row["run_a"]], names[row["run_b"]]) == (row["cell_a"], row["cell_b"])
    # SdA-3's wrong rows are 10 to 9009, SVM_poly's 20 to 9519.
    counts = [(row["only_a_wrong"], row["only_b_wrong"]) for row in rows if row["cell_b"] == poly]
    assert counts[2:] == [("10", "510"), ("10", "410"), ("10", "310")]


def test_other_test_rows_are_never_compared(dae: Dae, tmp_path: Path) -> None:
    others: dict[str, dict[str, Any]] = {
        "b": {"data_sha256": "e" * 64},
        "c": {"n_test": 49_999},
        "d": {"error": "diverged"},
        "e": {},
    }
    cells = {name: {"corruption": {"destruction": k / 10}} for k, name in enumerate("abcde")}
    results = SyntheticStudy(tmp_path, cells)
    results.add("a", "SAA-3", 9_000, first=0)
    for name, changes in others.items():
        results.add(name, "SdA-3", 8_000, first=0, **changes)
    results.write()
    dae("report", "made", "--quiet").succeeded()
    compared = [(row["cell_a"], row["cell_b"]) for row in read_csv(results.out / "mcnemar.csv")]
    assert compared == [("a", "e")]
