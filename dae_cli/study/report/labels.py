"""What tells the cells of a data set apart, in pictures and on the page."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from dae_cli.config.experiments import ResolvedStudy
from dae_cli.config.schema import AnyExperiment, Experiment
from dae_cli.study.rows import RunRow, TableRow

AUTOENCODERS = ("SAA", "SdA")
"""Beginnings of the names of models whose errors are drawn over destruction."""
_WITHOUT_FILTERS = ("NNet", "SVM")
"""Beginnings of the names of models whose first layer was not pretrained, or that have none."""


def is_autoencoder(row: RunRow | TableRow) -> bool:
    """Tell whether a model is an autoencoder, denoising or not."""
    return row.model.startswith(AUTOENCODERS)


def has_filters(row: RunRow) -> bool:
    """Tell whether a model has a pretrained first layer, whose rows are its filters."""
    return not row.model.startswith(_WITHOUT_FILTERS)


def labels_of(
    rows: Sequence[RunRow] | Sequence[TableRow], changed: Collection[str]
) -> dict[str, str]:
    """Return by cell its model and destruction, and its name where these do not tell all apart.

    Args:
        rows: of one data set.
        changed: cells that are not what their files say.
    """
    texts = {}
    for row in rows:
        level = f", {row.destruction_percent:g} %" if is_autoencoder(row) else ""
        texts[row.cell] = f"{row.model}{level}"
    several = len(set(texts.values())) < len(texts)
    if not several:
        return texts
    known = {cell: f"{cell}, changed" if cell in changed else cell for cell in texts}
    return {cell: f"{text} ({known[cell]})" for cell, text in texts.items()}


def differ_in_destruction(rows: Sequence[RunRow]) -> bool:
    """Tell whether cells are autoencoders, each at a destruction of its own."""
    levels = {row.cell: row.destruction_percent for row in rows}
    return all(map(is_autoencoder, rows)) and len(set(levels.values())) == len(levels)


def series_of(study: ResolvedStudy, rows: Sequence[TableRow]) -> dict[str, str]:
    """Return by cell the model whose errors are joined over destruction; empty where all are one.

    An SAA is the SdA of no destruction. Cells of other layers or of another corruption are of
    another model.

    Args:
        rows: of one data set.
    """
    experiments = {cell.cell: cell.experiment for cell in study.all_cells}
    built = {row.cell: _built(row, experiments.get(row.cell)) for row in rows}
    if len(set(built.values())) < 2:
        return dict.fromkeys(built, "")
    models: dict[tuple[str, str], dict[str, None]] = {}
    for row in rows:
        models.setdefault(built[row.cell], {})[row.model] = None
    names = {key: " and ".join(own) for key, own in models.items()}
    if len(set(names.values())) < len(names):
        names = {(family, how): f"{name}, {how}" for (family, how), name in names.items()}
    return {cell: names[key] for cell, key in built.items()}


def _built(row: TableRow, experiment: AnyExperiment | None) -> tuple[str, str]:
    """What all points of one line share: the kind of model, and its layers and corruption."""
    family = "autoencoder" if is_autoencoder(row) else row.model
    if not isinstance(experiment, Experiment):
        return family, ""
    layers = "-".join(map(str, experiment.model.hidden))
    return family, f"{layers} units, {experiment.corruption.kind}"


def same_start(study: ResolvedStudy, rows: Sequence[RunRow]) -> bool:
    """Tell whether there are several, and their first layers began with the same weights."""
    experiments = {cell.cell: cell.experiment for cell in study.all_cells}
    starts = set()
    for row in rows:
        experiment = experiments.get(row.cell)
        if not isinstance(experiment, Experiment):
            return False
        starts.add((row.seed, experiment.model.hidden[0], experiment.model.init))
    return len(starts) == 1 < len(rows)
