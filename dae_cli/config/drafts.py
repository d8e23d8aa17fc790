"""Cells after merging, before they are known to be experiments, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from dae_cli.config.checks import as_experiment, missing_keys
from dae_cli.config.contradictions import contradictions
from dae_cli.config.entries import Layer, merge
from dae_cli.config.figures import unknown_cells
from dae_cli.config.kinds import Kind, kind_of, mixed_problems, taken
from dae_cli.config.names import STUDY_FILE, label
from dae_cli.config.problems import Problem
from dae_cli.config.schema import AnyExperiment, DatasetName, FilterExperiment
from dae_cli.config.study_files import StudyFile, dataset_of, read_layer
from dae_cli.config.words import known_keys
from dae_cli.errors import shown


@dataclass(frozen=True)
class Draft:
    """One cell after merging: the experiment if there is one, and what the whole lacks."""

    source: Path
    own_dataset: str | None
    """The data set without overrides."""
    experiment: AnyExperiment | None
    kind: Kind
    missing: list[str]
    contradictions: list[Problem]


def draft_of(study: StudyFile, file: Path, over: Layer) -> tuple[Draft, list[Problem]]:
    """Merge a cell file with its study and the overrides; the problems are those of the file."""
    own, problems = read_layer(file)
    draft, mixed = draft_from(study, file, own, over)
    return draft, problems + mixed


def draft_from(
    study: StudyFile, file: Path, own: Layer | None, over: Layer
) -> tuple[Draft, list[Problem]]:
    """Merge what a cell says itself (None: its file is unreadable) with its study and overrides."""
    cell = own or {}
    dataset = dataset_of(study.shared, cell, over)
    shared = study.layers_for(dataset)
    kind = kind_of(merge(*shared, cell))  # which --set does not change
    merged = merge(*(taken(layer, kind) for layer in shared), cell, taken(over, kind))
    # What an unreadable file would have said cannot be called missing.
    missing = missing_keys(merged) if study.complete and own is not None else []
    draft = Draft(
        file,
        dataset_of(study.shared, cell),
        as_experiment(merged),
        kind,
        missing,
        contradictions(merged),
    )
    return draft, mixed_problems(merged)


def missing_problems(drafts: Sequence[Draft], study_file: Path | None) -> list[Problem]:
    """Missing keys, each told once: at its cell, or at study.yaml if several cells lack it."""
    known = known_keys()
    lacking: dict[str, list[Draft]] = {}
    for draft in drafts:
        for key in draft.missing:
            lacking.setdefault(key, []).append(draft)
    problems = []
    for key, cells in lacking.items():
        source, which = cells[0].source, ""
        if study_file is not None and len(cells) > 1:
            source = study_file
            which = f" for {', '.join(shown(draft.source.stem) for draft in cells)}"
        problems.append(Problem(label(source), f"{key} is missing{which}: {known[key].full()}"))
    return problems


def folder_problems(folder: Path, files: dict[str, Path]) -> list[Problem]:
    """A study without cells, and files that would be passed over."""
    problems = [
        Problem(label(file), "would be passed over; name it .yaml") for file in folder.glob("*.yml")
    ]
    if not files:
        problems.append(Problem(label(folder), "the study has no cells: add a .yaml file per cell"))
    return problems


def unused_datasets(study: StudyFile, drafts: Sequence[Draft]) -> list[Problem]:
    """Settings for data sets that no cell has."""
    used = {draft.own_dataset for draft in drafts}
    if None in used:  # some cell's data set is not known
        return []
    return [
        entry.problem(f"per_dataset.{name}", "no cell uses this data set; remove it or add a cell")
        for name, entry in study.per_dataset.items()
        if name not in used and name in get_args(DatasetName)
    ]


def figure_problems(study: StudyFile, drafts: Sequence[Draft], folder: Path) -> list[Problem]:
    """Cells for filters stand by themselves, and figures are of nothing else."""
    where = label(folder / STUDY_FILE)
    of_filters = [draft.kind is FilterExperiment for draft in drafts]
    problems = unknown_cells(study.figures, [draft.source.stem for draft in drafts], where)
    problems += [problem for draft in drafts for problem in _missing_units(study, draft, where)]
    if any(of_filters) and not all(of_filters):
        others = [d.source.stem for d in drafts if d.kind is not FilterExperiment]
        text = f"{', '.join(others)} cannot stand beside cells that are trained for their filters"
        problems.append(Problem(where, f"{text}; put them into a study of their own"))
    if study.figures and drafts and not any(of_filters):
        text = "figures are drawn of filters: cells of mnist without finetune, or of photographs"
        text += "; there is none"
        problems.append(Problem(where, text))
    return problems


def _missing_units(study: StudyFile, draft: Draft, where: str) -> list[Problem]:
    """Units that a zoom shows and a cell has not."""
    if not isinstance(draft.experiment, FilterExperiment):
        return []
    name, most = draft.source.stem, draft.experiment.model.hidden[0]
    return [
        Problem(
            where, f"figure {figure.name}: {shown(name)} has no unit {unit}: from 0 to {most - 1}"
        )
        for figure in study.figures
        if name in figure.cells
        for unit in figure.units
        if unit >= most
    ]
