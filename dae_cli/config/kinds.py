"""Which kind of experiment settings describe, and what each kind takes.

A cell is an SVM where it has an `svm` section, its own or one that its study shares. Of what a
study shares it takes the sections that an SVM has (dataset, svm, subset, seed), so that networks
and SVMs may stand in one study. `--set` goes to the cells that have the section it names.

A cell is trained for its filters alone where its data set is photographs, or mnist and it has no
`finetune` section, its own or one that its study shares.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import get_args

from dae_cli.config.entries import Entry, Layer
from dae_cli.config.problems import Problem
from dae_cli.config.schema import (
    AnyExperiment,
    DatasetName,
    Experiment,
    FilterDatasetName,
    FilterExperiment,
    PretrainedExperiment,
    SvmExperiment,
)

SVM = "svm"
FINETUNE = "finetune"
DATASETS: tuple[str, ...] = get_args(DatasetName)
"""What can be classified: they have labels."""
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
    dataset = layer["dataset"].value if "dataset" in layer else None
    if dataset in FILTER_DATASETS and not (dataset in DATASETS and FINETUNE in layer):
        return FilterExperiment
    return Experiment


def kind_name(experiment: AnyExperiment) -> str:
    """What an experiment is, in words."""
    return _NAMES[type(experiment)]


def as_network(experiment: AnyExperiment) -> Experiment:
    """The experiment, which its user knows to be that of a network.

    Raises:
        TypeError: it is that of an SVM, or of filters.
    """
    if not isinstance(experiment, Experiment):
        kind = kind_name(experiment)
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


def mixed_problems(layer: Layer) -> list[Problem]:
    """What merged settings have that their kind has not, each with what makes them of that kind."""
    kind, dataset = kind_of(layer), layer.get("dataset")
    mixed = [key for key in layer if key in sections_of_all() and key not in kind.model_fields]
    if dataset is not None and dataset.value in FILTER_DATASETS and dataset.value not in DATASETS:
        learned = [key for key in (SVM, FINETUNE, "subset") if key in layer]
        if learned:
            where = ", ".join(f"{key}: {layer[key].place.text}" for key in learned)
            text = (
                f"{dataset.value} have no labels and are trained on for filters alone, without "
                f"{' and '.join(learned)} ({where}); remove that, or set dataset to one of "
                f"{', '.join(DATASETS)}"
            )
            return [dataset.problem("dataset", text)]
    return [layer[key].problem(key, _why_not(key, kind, layer)) for key in mixed]


def _why_not(key: str, kind: Kind, layer: Layer) -> str:
    """Why settings of a kind have no such section, and what to do."""
    if kind is SvmExperiment:
        where = layer[SVM].place.text
        return f"an SVM has no {key}, and {where} makes this one an SVM; remove one of the two"
    if kind is FilterExperiment:
        where = layer["dataset"].place.text
        return (
            f"{where} without {FINETUNE} is trained for its filters alone, and has no {key}; add "
            f"{FINETUNE} to classify, or remove {key} (fewer digits: rows)"
        )
    only = f"mnist without {FINETUNE}" if key == "rows" else "photographs"
    fewer = " (fewer rows: subset)" if key == "rows" else ""
    return (
        f"a network that is fine-tuned has no {key}: that is for filters alone, of {only}; "
        f"remove it{fewer}"
    )


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
