"""What becomes of the paper's claims on made-up tables: every outcome, with its evidence."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from dae_cli.study.rows import RunRow
from dae_cli.study.tables.claims import Claim, claims
from dae_cli.study.tables.comparisons import Comparison
from dae_cli.study.tables.duels import COLUMNS, duels_told
from tests.study.tables.whole_table import Errors, name_of, table_1

MakeRow = Callable[..., RunRow]

pytestmark = pytest.mark.usefixtures("models_by_seed")
BEST, DENOISING, DEEP, PRETRAINING, SVMS, DBN, VERDICTS = range(7)


@pytest.fixture
def found(make_row: MakeRow) -> Callable[..., list[Claim]]:
    """The claims of a table of errors and tests."""

    def find(errors: Errors, *tests: Comparison) -> list[Claim]:
        return claims(table_1(make_row, errors), tests)

    return find


def _test(
    dataset: str, a: str, b: str, only_a: int, only_b: int, significant: bool, seed: int = 0
) -> Comparison:
    return Comparison(
        dataset=dataset,
        data_sha256="d" * 64,
        cell_a=name_of(dataset, a),
        cell_b=name_of(dataset, b),
        model_a=a,
        model_b=b,
        seed=seed,
        run_a="",
        run_b="",
        n_test=50_000,
        only_a_wrong=only_a,
        only_b_wrong=only_b,
        error_a_percent=0.0,
        error_b_percent=0.0,
        p_value=0.001 if significant else 0.5,
        significant=significant,
        p_holm=0.04 if significant else 1.0,
    )


ONE: Errors = {("rect-img", "SAA-3"): [22.5, 22.4], ("rect-img", "SdA-3"): [21.4, 21.3]}


def test_every_claim_is_told_once_and_what_was_not_run_is_not_tested(
    found: Callable[..., list[Claim]],
) -> None:
    told = found({("convex", "SdA-3"): [16.0]})
    assert len({claim.says for claim in told}) == 7
    assert [claim.outcome for claim in told] == [*["not tested here"] * 6, "holds"]
    assert "on no data set" in told[DENOISING].evidence


def test_a_failed_cell_is_not_tested(found: Callable[..., list[Claim]]) -> None:
    claim = found({("convex", "SAA-3"): None, ("convex", "SdA-3"): [16.0]})[DENOISING]
    assert claim.outcome == "not tested here"


def test_denoising_helps_if_mcnemar_says_so_for_every_seed(
    found: Callable[..., list[Claim]],
) -> None:
    tests = [_test("rect-img", "SAA-3", "SdA-3", 900, 300, True, seed) for seed in (0, 1)]
    claim = found(ONE, *tests)[DENOISING]
    assert claim.outcome == "holds"
    assert claim.evidence == (
        "SdA-3 against SAA-3 lower on 1, higher on 0, undecided on 0 of 1 data set "
        "(in the paper's table lower on 1, higher on 0 of 1)"
    )
    (line,) = duels_told(claim.duels)
    assert dict(zip(COLUMNS, line, strict=True)) == {
        "models": "SdA-3, SAA-3",
        "data set": "rect-img",
        "errors in %": "21.35, 22.45",
        "hidden units": "8-6-4",
        "here": "lower",
        "decided by": "p ≤ .05 lower in 2 of 2 seeds, after Holm in 2",
        "the paper": "lower",
    }


def test_one_seed_that_says_nothing_is_not_enough(found: Callable[..., list[Claim]]) -> None:
    tests = [_test("rect-img", "SAA-3", "SdA-3", 900, 300, seed == 0, seed) for seed in (0, 1)]
    claim = found(ONE, *tests)[DENOISING]
    assert claim.outcome == "does not hold"
    assert claim.duels[0].test == "p ≤ .05 lower in 1 of 2 seeds, after Holm in 1"
    nothing = [replace(test, significant=False, p_holm=1.0) for test in tests]
    assert found(ONE, *nothing)[DENOISING].duels[0].test == "p ≤ .05 in none of 2 seeds"


def test_the_order_of_the_two_cells_does_not_matter(found: Callable[..., list[Claim]]) -> None:
    tests = [_test("rect-img", "SdA-3", "SAA-3", 300, 900, True, seed) for seed in (0, 1)]
    assert found(ONE, *tests)[DENOISING].outcome == "holds"


def test_a_significant_loss_does_not_hold(found: Callable[..., list[Claim]]) -> None:
    errors: Errors = {("rect-img", "SAA-3"): [21.0], ("rect-img", "SdA-3"): [22.0]}
    claim = found(errors, _test("rect-img", "SAA-3", "SdA-3", 100, 600, True))[DENOISING]
    assert claim.outcome == "does not hold"
    assert "higher on 1" in claim.evidence


def test_without_wrong_rows_intervals_decide(found: Callable[..., list[Claim]]) -> None:
    claim = found(ONE)[DENOISING]
    assert claim.outcome == "holds"
    assert [(duel.ours, duel.test) for duel in claim.duels] == [("lower", "intervals")]


def test_some_data_sets_are_in_part(found: Callable[..., list[Claim]]) -> None:
    errors: Errors = {
        **ONE,
        ("rect", "SAA-3"): [2.4],
        ("rect", "SdA-3"): [2.4],
    }
    claim = found(errors)[DENOISING]
    assert claim.outcome == "holds in part"
    assert "undecided on 1 of 2" in claim.evidence


def test_no_difference_where_the_papers_table_has_none_decides_nothing(
    found: Callable[..., list[Claim]],
) -> None:
    # On convex, the paper's SAA-3 and SdA-3 overlap.
    errors: Errors = {("convex", "SAA-3"): [18.0], ("convex", "SdA-3"): [17.9]}
    assert found(errors)[DENOISING].outcome == "not decided here"


def test_what_was_not_run_everywhere_holds_where_it_was_tested(
    make_row: MakeRow, found: Callable[..., list[Claim]]
) -> None:
    more: Errors = {**ONE, ("rect", "SdA-3"): [1.9], ("convex", "SdA-3"): [16.0]}
    # On rect the paper's SdA-3 is below its SAA-3, on convex it is not.
    assert found(more)[DENOISING].outcome == "holds where tested"
    whole: Errors = {**more, ("rect", "SAA-3"): [2.4]}
    assert found(whole)[DENOISING].outcome == "holds"
    usual: Errors = {("convex", "DBN-3"): [18.0], ("convex", "SdA-3"): [18.2]}
    assert found(usual)[DBN].outcome == "holds"
    assert found({**usual, ("rect", "SdA-3"): [1.9]})[DBN].outcome == "holds where tested"
    lacking = table_1(make_row, {("convex", "SdA-3"): [16.0]}, [("rect", "SdA-3")])
    assert claims(lacking, [])[VERDICTS].outcome == "holds where tested"


def test_every_model_on_every_data_set_is_what_holds_without_reserve(
    found: Callable[..., list[Claim]],
) -> None:
    others = ("SVM_rbf", "SVM_poly", "DBN-1", "SAA-3", "DBN-3", "NNet-1")
    errors: Errors = {("rect", "SdA-3"): [1.9], **{("rect", model): [9.0] for model in others}}
    assert found(errors)[BEST].outcome == "holds"


def test_networks_of_other_widths_are_told_side_by_side(
    found: Callable[..., list[Claim]],
) -> None:
    claim = found({("rect", "NNet-1"): [7.0], ("rect", "SdA-3"): [1.9]})[PRETRAINING]
    (line,) = duels_told(claim.duels)
    assert "8-6-4, 8" in line


def test_sda_best_or_overlapping_is_counted_with_who_beats_it(
    found: Callable[..., list[Claim]],
) -> None:
    errors: Errors = {
        ("bg-rand", "DBN-3"): [6.7],
        ("bg-rand", "SdA-3"): [10.4],
        ("convex", "DBN-3"): [18.0],
        ("convex", "SdA-3"): [18.2],
    }
    claim = found(errors)[BEST]
    assert claim.outcome == "holds where tested"  # the paper's own exception is bg-rand
    assert claim.evidence == (
        "here, on 1 of 2 data sets, not on bg-rand (10.40 % against 6.70 % of DBN-3) (every other "
        "model was run on 0 of 2 data sets); in the paper, on 1 of 2 data sets (not bg-rand)"
    )
    lost = found({("convex", "DBN-3"): [16.0], ("convex", "SdA-3"): [18.2]})[BEST]
    assert lost.outcome == "does not hold"


def test_comparable_to_dbn_allows_the_papers_own_exception(
    found: Callable[..., list[Claim]],
) -> None:
    usual: Errors = {("bg-rand", "DBN-3"): [6.7], ("bg-rand", "SdA-3"): [10.4]}
    equal: Errors = {("convex", "DBN-3"): [18.0], ("convex", "SdA-3"): [18.2]}
    worse: Errors = {("rect", "DBN-3"): [1.5], ("rect", "SdA-3"): [2.4]}
    assert found(equal)[DBN].outcome == "holds"
    assert found({**usual, **equal})[DBN].outcome == "holds"
    assert found({**worse, **equal})[DBN].outcome == "holds in part"
    assert found(worse)[DBN].outcome == "does not hold"


def test_where_nothing_but_the_papers_own_exception_was_run_nothing_is_decided(
    found: Callable[..., list[Claim]],
) -> None:
    told = found({("bg-rand", "SdA-3"): [10.4], ("bg-rand", "DBN-3"): [6.7]})
    assert told[BEST].outcome == "not decided here"
    assert "not on bg-rand (10.40 % against 6.70 % of DBN-3)" in told[BEST].evidence
    assert told[DBN].outcome == "not decided here"


def test_every_opponent_of_a_claim_is_looked_at(found: Callable[..., list[Claim]]) -> None:
    errors: Errors = {
        ("rect-img", "SVM_rbf"): [24.0],
        ("rect-img", "SVM_poly"): [21.5],
        ("rect-img", "DBN-1"): [23.5],
        ("rect-img", "NNet-1"): [33.0],
        **ONE,
    }
    told = found(errors)
    assert told[SVMS].outcome == "holds in part"
    assert "SdA-3 against SVM_rbf lower on 1" in told[SVMS].evidence
    assert "SdA-3 against SVM_poly lower on 0" in told[SVMS].evidence
    assert told[DEEP].outcome == "holds"
    assert told[PRETRAINING].outcome == "holds"


@pytest.mark.parametrize(
    ("errors", "outcome", "told"),
    [
        ({"convex": 16.0, "rect-img": 21.6}, "holds", "in 2 of 2 rows, better in 1"),
        ({"convex": 16.0, "rect-img": 25.0}, "holds in part", "worse on rect-img (25.00 %)"),
        ({"rect-img": 25.0}, "does not hold", "in 0 of 1 rows"),
    ],
)
def test_the_verdicts_of_sda_are_counted(
    found: Callable[..., list[Claim]], errors: dict[str, float], outcome: str, told: str
) -> None:
    claim = found({(name, "SdA-3"): [error] for name, error in errors.items()})[VERDICTS]
    assert claim.outcome == outcome
    assert told in claim.evidence
