"""The files of a study: what its study.yaml shares, and what each cell file adds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

from dae_cli.config.checks import layer_problems
from dae_cli.config.entries import Entry, Layer, merge
from dae_cli.config.figures import Figure, read_figures
from dae_cli.config.kinds import sections_of_all
from dae_cli.config.names import STUDY_FILE, label
from dae_cli.config.problems import Problem, did_you_mean
from dae_cli.config.reader import read_file
from dae_cli.config.schema import DatasetName
from dae_cli.config.search_space import SearchEntry, read_search

STUDY_KEYS = (
    *("title", "paper", "reference", "claims"),
    *("shared", "per_dataset", "search", "figures"),
)

Reference = Literal["destruction", "model"]
"""What a cell is compared with: the paper's number of its model at the very destruction of the
cell, or whatever destruction was selected for the cell."""


@dataclass(frozen=True)
class StudyFile:
    """A study.yaml: its title, the paper's reference, and the settings that cells share."""

    title: str = ""
    paper: str = ""
    shared: Layer = field(default_factory=dict)
    per_dataset: Mapping[str, Entry] = field(default_factory=dict)
    complete: bool = True
    """False if the file could not be read; nothing can be said to be missing then."""
    reference: Reference = "destruction"
    claims: bool = True
    """Whether the paper's claims are judged by its results."""
    search: tuple[SearchEntry, ...] = ()
    """What `dae search` selects on validation."""
    figures: tuple[Figure, ...] = ()
    """What is drawn, of cells that are trained for their filters."""

    def layers_for(self, dataset: str | None) -> tuple[Layer, ...]:
        """The shared settings below those of the data set."""
        own = self.per_dataset.get(dataset or "")
        return (self.shared, own.items if own else {})


def read_layer(path: Path) -> tuple[Layer | None, list[Problem]]:
    """The settings of a cell or experiment file (None if unreadable), and what is wrong in it."""
    entry, problems = read_file(path, label(path))
    if entry is None:
        if not problems:
            return {}, []
        return None, problems
    if not isinstance(entry.value, dict):
        if entry.value is None:
            return {}, problems
        text = "must be a mapping of settings, such as `dataset: convex`"
        return None, [*problems, Problem(entry.place.text, text)]
    return entry.value, [*problems, *layer_problems(entry.value)]


def read_study_file(folder: Path) -> tuple[StudyFile, list[Problem]]:
    """The study.yaml of a folder and every problem in it."""
    path = folder / STUDY_FILE
    entry, problems = read_file(path, label(path))
    if entry is None or not isinstance(entry.value, dict):
        if not problems:
            problems = [
                Problem(label(path), f"must be a mapping with the keys {', '.join(STUDY_KEYS)}")
            ]
        return StudyFile(complete=False), problems
    items = entry.value
    for key, item in items.items():
        if key not in STUDY_KEYS:
            near = did_you_mean(key, STUDY_KEYS) or f"; the keys are {', '.join(STUDY_KEYS)}"
            if key in sections_of_all():
                near = f"; did you mean shared.{key}?"
            problems.append(item.problem(key, f"unknown key{near}"))
    title = text_at(items, "title", problems)
    if "title" not in items:
        problems.append(Problem(label(path), "title is missing: one line that names the study"))
    shared = mapping_at(items, "shared", problems)
    problems += layer_problems(shared, "shared.")
    per_dataset = mapping_at(items, "per_dataset", problems)
    for dataset, settings in per_dataset.items():
        problems += _dataset_problems(dataset, settings)
    paper, reference = text_at(items, "paper", problems), reference_at(items, problems)
    search, wrong = read_search(items.get("search"))
    problems += wrong
    figures, wrong = read_figures(items.get("figures"))
    problems += wrong
    study = StudyFile(
        title,
        paper,
        shared,
        per_dataset,
        reference=reference,
        claims=claims_at(items, problems),
        search=search,
        figures=figures,
    )
    return study, problems


def dataset_of(*layers: Layer) -> str | None:
    """The data set that merged layers name; None if they name none."""
    entry = merge(*layers).get("dataset")
    return entry.value if entry is not None and isinstance(entry.value, str) else None


def first_comment(path: Path) -> str:
    """The first line of a file without its `# `: what the file reproduces; '' if it has none."""
    try:
        with path.open(encoding="utf-8-sig", errors="replace") as lines:
            line = lines.readline(500).strip()
    except OSError:
        return ""
    return line.lstrip("# ") if line.startswith("#") else ""


def _dataset_problems(dataset: str, settings: Entry) -> list[Problem]:
    key = f"per_dataset.{dataset}"
    datasets = get_args(DatasetName)
    if dataset not in datasets:
        near = did_you_mean(dataset, datasets) or f"; the data sets are {', '.join(datasets)}"
        return [settings.problem(key, f"unknown data set{near}")]
    if not isinstance(settings.value, dict):
        return [settings.problem(key, "must be a mapping of settings")]
    if "dataset" in settings.value:
        return [settings.value["dataset"].problem(f"{key}.dataset", "is given by the key above it")]
    return layer_problems(settings.value, f"{key}.")


def text_at(items: Layer, key: str, problems: list[Problem]) -> str:
    """The text at a key, '' where there is none; what is wrong with it is added to `problems`."""
    entry = items.get(key)
    if entry is None:
        return ""
    if not isinstance(entry.value, str) or not entry.value.strip():
        problems.append(entry.problem(key, "must be text"))
        return ""
    return entry.value.strip()


def reference_at(items: Layer, problems: list[Problem]) -> Reference:
    """What cells are compared with; what is wrong with it is added to `problems`."""
    entry = items.get("reference")
    if entry is None or entry.value == "destruction":
        return "destruction"
    if entry.value == "model":
        return "model"
    near = did_you_mean(str(entry.value), get_args(Reference))
    text = (
        "must be destruction (the paper's number at a cell's own destruction) or model "
        f"(the paper's number of a cell's model, whatever its destruction){near}"
    )
    problems.append(entry.problem("reference", text))
    return "destruction"


def claims_at(items: Layer, problems: list[Problem]) -> bool:
    """Whether claims are judged, true unless said; what is wrong is added to `problems`."""
    entry = items.get("claims")
    if entry is None or isinstance(entry.value, bool):
        return entry is None or bool(entry.value)
    problems.append(entry.problem("claims", "must be true or false"))
    return True


def mapping_at(items: Layer, key: str, problems: list[Problem]) -> Layer:
    """The mapping at a key, empty where there is none; what is wrong is added to `problems`."""
    entry = items.get(key)
    if entry is None:
        return {}
    if not isinstance(entry.value, dict):
        problems.append(entry.problem(key, "must be a mapping of settings"))
    return entry.items
