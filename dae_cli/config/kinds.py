"""Which kind of experiment settings describe, and what each kind takes.

A cell is an SVM where it has an `svm` section, its own or one that its study shares. Of what a
study shares it takes the sections that an SVM has (dataset, svm, subset, seed), so that networks
and SVMs may stand in one study. `--set` goes to the cells that have the section it names.

A cell is trained for its filters alone where its data set is one without a classification task
(mnist, photographs).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import get_args

from dae_cli.config.entries import Entry, Layer
from dae_cli.config.problems import Problem
from dae_cli.config.schema import (
    AnyExperiment,
    Experiment,
    FilterDatasetName,
    FilterExperiment,
    PretrainedExperiment,
    SvmExperiment,
)

SVM = "svm"
FILTER_DATASETS: tuple[str, ...] = get_args(FilterDatasetName)
Kind = type[Experiment] | type[SvmExperiment] | type[FilterExperiment]
KINDS: tuple[Kind, ...] = (Experiment, SvmExperiment, FilterExperiment)
_NAMES: dict[Kind, str] = {
    Experiment: "a network",
    SvmExperiment: "an SVM",
    FilterExperiment: "trained for its filters alone",
}


def kind_of(layer: Layer) -> Kind:
    """The kind of experiment that merged settings describe."""
    if SVM in layer:
        return SvmExperiment
    dataset = layer.get("dataset")
    of_filters = dataset is not None and dataset.value in FILTER_DATASETS
    return FilterExperiment if of_filters else Experiment


def as_network(experiment: AnyExperiment) -> Experiment:
    """The experiment, which its user knows to be that of a network.

    Raises:
        TypeError: it is that of an SVM, or of filters.
    """
    if not isinstance(experiment, Experiment):
        kind = _NAMES[type(experiment)]
        raise TypeError(f"an experiment that is {kind} was given where only a network can be")
    return experiment


def as_pretrained(experiment: AnyExperiment) -> PretrainedExperiment:
    """The experiment, which its user knows to have layers that are pretrained.

    Raises:
        TypeError: it is that of an SVM.
    """
    if isinstance(experiment, SvmExperiment):
        raise TypeError("an SVM was given where only what is pretrained can be")
    return experiment


def sections_of_all() -> tuple[str, ...]:
    """The first keys that some kind of experiment has."""
    return tuple(dict.fromkeys(name for kind in KINDS for name in kind.model_fields))


def taken(layer: Layer, kind: Kind) -> Layer:
    """What a kind of experiment takes of settings that are meant for several."""
    return {key: entry for key, entry in layer.items() if key in kind.model_fields}


def mixed_problems(own: Layer, svm: Entry | None) -> list[Problem]:
    """Sections of a network in the file of a cell that `svm` makes an SVM; None: it is none."""
    if svm is None:
        return []
    where = svm.place.text
    return [
        entry.problem(
            key, f"an SVM has no {key}, and {where} makes this one an SVM; remove one of the two"
        )
        for key, entry in own.items()
        if key in Experiment.model_fields and key not in SvmExperiment.model_fields
    ]


def unused_overrides(over: Layer, kinds: Iterable[Kind], which: str) -> list[Problem]:
    """The `--set` arguments that no experiment of these kinds takes; `which` names them."""
    there = tuple(dict.fromkeys(kinds))
    return [
        Problem(place, f"{which} {_is_are(there)}, without a section {key}; {_sections(there)}")
        for key, entry in over.items()
        if key in sections_of_all() and not any(key in kind.model_fields for kind in there)
        for place in dict.fromkeys(_places(entry))
    ]


def _is_are(kinds: Sequence[Kind]) -> str:
    return " and ".join(_NAMES[kind] for kind in kinds)


def _sections(kinds: Sequence[Kind]) -> str:
    names = dict.fromkeys(name for kind in kinds for name in kind.model_fields)
    return f"what can be set is {', '.join(names)}"


def _places(entry: Entry) -> Iterator[str]:
    """Where the values of a section stand: each may be of an argument of its own."""
    if not entry.items:
        yield entry.place.text
    for inner in entry.items.values():
        yield from _places(inner)
