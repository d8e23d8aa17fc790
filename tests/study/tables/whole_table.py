"""Made-up results of a study with the models of table 1, and what became of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from dae_cli.config.experiments import ResolvedStudy
from dae_cli.study.paper import published_of_model
from dae_cli.study.rows import RunRow
from dae_cli.study.tables.paper_table import PaperTable, paper_table
from dae_cli.study.tables.table import table_of
from dae_cli.study.verdict import verdict
from tests.study.conftest import small_experiment, small_study

N_TEST = 50_000
SETTINGS: dict[str, dict[str, Any]] = {
    "SAA-3": {"corruption": {"destruction": 0.0}},
    "SdA-3": {"corruption": {"destruction": 0.25}},
    "NNet-1": {"model": {"hidden": (8,)}, "pretrain": {"epochs": 0}},
    "DBN-3": {"seed": 1},
    "DBN-1": {"seed": 2},
    "SVM_rbf": {"seed": 3},
    "SVM_poly": {"seed": 4},
}
"""One cell a model; the last four have the same settings, and `models_by_seed` tells them apart."""

Errors = Mapping[tuple[str, str], Sequence[float] | None]
"""By data set and model: test errors in percent, one a seed; None where the run failed."""

SOME_ERRORS: Errors = {
    ("rect-img", "SAA-3"): [24.0],
    ("convex", "SVM_rbf"): [19.1],
    ("convex", "SAA-3"): [18.4, 18.8],
    ("convex", "SdA-3"): [16.0, 16.2],
    ("convex", "DBN-3"): None,
}
"""convex with three models and a failed one, rect-img with one."""


def name_of(dataset: str, model: str) -> str:
    """The cell's name."""
    return f"{dataset}-{model.lower().replace('_', '-')}"


def study_of(cells: Sequence[tuple[str, str]]) -> ResolvedStudy:
    """A study with a cell for each data set and model."""
    changed = {
        name_of(dataset, model): small_experiment(
            dataset=dataset, **{"model": {"hidden": (8, 6, 4)}} | SETTINGS[model]
        )
        for dataset, model in cells
    }
    return small_study(changed)


def rows_of(make_row: Callable[..., RunRow], errors: Errors) -> list[RunRow]:
    """Rows of runs.csv with these errors, compared with the paper's number of each model."""
    rows = []
    for (dataset, model), of_seeds in errors.items():
        number = published_of_model(dataset, model)
        paper: dict[str, Any] = {
            "paper_error_percent": number.error_percent if number else None,
            "paper_half_width_95": number.half_width_95 if number else None,
            "paper_model": number.model if number else "",
        }
        common = {
            "cell": name_of(dataset, model),
            "dataset": dataset,
            "model": model,
            "data_sha256": "d" * 64,
            "destruction_percent": 25.0 if model == "SdA-3" else 0.0,
        }
        for seed, error in enumerate(of_seeds or ()):
            said = verdict(error, 0.34, paper["paper_error_percent"], paper["paper_half_width_95"])
            wrong = round(error / 100 * N_TEST)
            rows.append(make_row(**common, **paper, seed=seed, n_wrong=wrong, verdict=said))
        if of_seeds is None:
            nothing = dict.fromkeys(("n_wrong", "n_test", "test_error_percent", "half_width_95"))
            rows.append(make_row(**common, **paper, **nothing, error="diverged", verdict=""))
    return rows


def table_1(
    make_row: Callable[..., RunRow], errors: Errors, lacking: Sequence[tuple[str, str]] = ()
) -> PaperTable:
    """The table of these errors; `lacking` are cells that were not run."""
    rows = rows_of(make_row, errors)
    return paper_table(study_of([*errors, *lacking]), rows, table_of(rows))
