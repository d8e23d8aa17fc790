"""Values that are fine alone and wrong together, or wrong for the data set: each with its reason.

Sections that do not validate are passed over; what is wrong with them is told already.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TypeVar

from pydantic import ValidationError

from dae_cli.config.entries import Entry, Layer, find, plain
from dae_cli.config.kinds import SVM, kind_of
from dae_cli.config.problems import Problem
from dae_cli.config.schema import (
    CorruptionSettings,
    FinetuneSettings,
    ModelSettings,
    PretrainSettings,
    Settings,
    SubsetSettings,
    SvmExperiment,
    SvmSettings,
)
from dae_cli.config.sizes import PIXELS, ROWS, Rows

MOST_WEIGHTS = 10**9
"""A hundred times those of the paper's largest networks; in single precision, 4 GB."""

_Section = TypeVar("_Section", bound=Settings)


def contradictions(layer: Layer) -> list[Problem]:
    """Every contradiction within merged settings."""
    if kind_of(layer) is SvmExperiment:
        return [*_of_degrees(layer), *_of_rows(layer)]
    model = _valid(ModelSettings, layer.get("model"))
    hidden = model.hidden if model else ()
    return [
        *_of_corruption(layer, hidden),
        *_of_pretraining(layer, model),
        *_of_weights(layer, hidden),
        *_of_rows(layer),
    ]


def _of_degrees(layer: Layer) -> list[Problem]:
    svm = _valid(SvmSettings, layer.get(SVM))
    if svm is None or svm.kernel == "poly" or not _entry(layer, "svm.degrees"):
        return []
    kernel = find(layer, (SVM, "kernel"))
    where = f" (kernel: {kernel.place.text})" if kernel else ""
    text = f"the kernel rbf has no degree; leave degrees out, or set svm.kernel to poly{where}"
    return _about(layer, "svm.degrees", text)


def _of_corruption(layer: Layer, hidden: tuple[int, ...]) -> list[Problem]:
    corruption = _valid(CorruptionSettings, layer.get("corruption"))
    if corruption is None:
        return []
    if corruption.kind == "gaussian" and corruption.destruction != 0:
        return _about(
            layer,
            "corruption.destruction",
            "gaussian noise destroys no inputs: its strength is corruption.sigma; leave "
            f"destruction out or set it to 0 {_because_of_kind(layer)}",
        )
    if corruption.kind != "gaussian" and corruption.sigma != 0:
        return _about(
            layer,
            "corruption.sigma",
            f"only gaussian noise has a sigma; the strength of {corruption.kind} is "
            f"corruption.destruction {_because_of_kind(layer)}",
        )
    return _of_counts(layer, corruption.destruction, hidden) if corruption.destruction else []


def _of_counts(layer: Layer, destruction: float, hidden: tuple[int, ...]) -> list[Problem]:
    """round(ν·d) of d inputs are destroyed: none and all are both not what was asked for.

    The inputs of the layers are the image and every hidden layer but the last.
    """
    for name, width in [
        (f"the {PIXELS} pixels", PIXELS),
        *((f"the {units} units of hidden layer {i}", units) for i, units in enumerate(hidden, 1)),
    ][: max(len(hidden), 1)]:
        count = round(destruction * width)
        if count == 0 or count >= width:
            what = "none" if count == 0 else "all"
            return _about(
                layer,
                "corruption.destruction",
                f"would destroy {what} of {name}: round({destruction:g} x {width}) = {count}; "
                + ("use a larger fraction, or 0" if count == 0 else "use a smaller fraction"),
            )
    return []


def _of_pretraining(layer: Layer, model: ModelSettings | None) -> list[Problem]:
    """What an RBM has not, and what only an RBM has."""
    pretrain = _valid(PretrainSettings, layer.get("pretrain"))
    if pretrain is None:
        return []
    if pretrain.kind == "rbm":
        return _of_rbm(layer, pretrain, model)
    only = "only an RBM has a Gibbs chain; set pretrain.kind to rbm, or leave"
    problems = []
    if pretrain.gibbs_steps != 1:
        problems += _about(layer, "pretrain.gibbs_steps", f"{only} gibbs_steps out")
    if pretrain.persistent:
        problems += _about(layer, "pretrain.persistent", f"{only} persistent out")
    return problems


def _of_rbm(layer: Layer, pretrain: PretrainSettings, model: ModelSettings | None) -> list[Problem]:
    because = f"(pretrain.kind: {layer['pretrain'].items['kind'].place.text})"
    corruption = _valid(CorruptionSettings, layer.get("corruption"))
    problems = []
    for name in ("destruction", "sigma"):
        if corruption is not None and getattr(corruption, name) != 0:
            text = (
                "the inputs of an RBM are not corrupted: its noise is that of the Gibbs chain; "
                f"leave {name} out or set it to 0 {because}"
            )
            problems += _about(layer, f"corruption.{name}", text)
    if pretrain.loss != "cross-entropy":
        text = (
            "an RBM is trained by contrastive divergence, and its reconstruction is told as a "
            f"cross-entropy; leave loss out or set it to cross-entropy {because}"
        )
        problems += _about(layer, "pretrain.loss", text)
    if model is not None and not model.tied:
        text = (
            "an RBM has the same weights upwards and downwards; "
            f"leave tied out or set it to true {because}"
        )
        problems += _about(layer, "model.tied", text)
    return problems


def _of_weights(layer: Layer, hidden: tuple[int, ...]) -> list[Problem]:
    """No machine that trains on images of 28 by 28 holds them, so allocating is not tried."""
    weights = sum(above * below for below, above in pairwise((PIXELS, *hidden)))
    if weights <= MOST_WEIGHTS:
        return []
    return _about(
        layer,
        "model.hidden",
        f"would make {weights:,} weights ({weights * 4 / 1e9:.0f} GB), at most {MOST_WEIGHTS:,} "
        "are allowed; use fewer units or layers",
    )


def _of_rows(layer: Layer) -> list[Problem]:
    """Subsets larger than their split, and minibatches larger than the set trained on."""
    dataset = layer.get("dataset")
    rows = ROWS.get(dataset.value) if dataset and isinstance(dataset.value, str) else None
    if dataset is None or rows is None:
        return []
    problems = _of_subset(layer, rows, f"of {dataset.value}")
    if kind_of(layer) is SvmExperiment:
        return problems
    train = _sound(SubsetSettings, layer, "subset.train")
    if train is not None and train <= rows.train:
        return problems + _of_batches(layer, train, f"the {train} rows of subset.train")
    of_set = f"the {rows.train} training rows of {dataset.value}"
    return problems + _of_batches(layer, rows.train, of_set)


def _of_subset(layer: Layer, rows: Rows, of_set: str) -> list[Problem]:
    names = {"train": "training", "valid": "validation", "test": "test"}
    return [
        problem
        for split, there in rows._asdict().items()
        if (_sound(SubsetSettings, layer, f"subset.{split}") or 0) > there
        for problem in _about(
            layer,
            f"subset.{split}",
            f"must be from 1 to {there}: there are no more {names[split]} rows {of_set}",
        )
    ]


def _of_batches(layer: Layer, rows: int, described: str) -> list[Problem]:
    problems = []
    sections: dict[str, type[Settings]] = {"pretrain": PretrainSettings}
    if _sound(PretrainSettings, layer, "pretrain.epochs") == 0:
        sections = {}
    for section, settings in (sections | {"finetune": FinetuneSettings}).items():
        key = f"{section}.batch_size"
        written = _sound(settings, layer, key)
        default = settings.model_fields["batch_size"].default
        if written is not None and written > rows:
            text = f"must be from 1 to {rows}: a batch cannot be larger than {described}"
            problems += _about(layer, key, text)
        elif not _entry(layer, key) and default > rows:
            text = f"fewer rows than a batch, {key}, which is {default} unless set; set it as well"
            problems += _about(layer, "subset.train", text)
    return problems


def _entry(layer: Layer, key: str) -> Entry | None:
    section, _, name = key.partition(".")
    return layer[section].items.get(name) if section in layer else None


def _sound(settings: type[Settings], layer: Layer, key: str) -> int | None:
    """Return a whole number that its section takes, whatever is wrong beside it; else None."""
    entry = _entry(layer, key)
    if entry is None or not isinstance(entry.value, int):
        return None
    name = key.rpartition(".")[2]
    try:
        settings.model_validate({name: entry.value})
    except ValidationError as error:
        if any(detail["loc"] == (name,) for detail in error.errors()):
            return None
    return entry.value


def _about(layer: Layer, key: str, text: str) -> list[Problem]:
    entry = find(layer, tuple(key.split(".")))
    assert entry is not None, key  # only what is written contradicts
    return [entry.problem(key, text)]


def _because_of_kind(layer: Layer) -> str:
    kind = layer["corruption"].items.get("kind")
    return f"(kind: {kind.place.text})" if kind else "(kind: masking, the default)"


def _valid(section: type[_Section], entry: Entry | None) -> _Section | None:
    """Return the section as the schema takes it; None where it is absent or does not validate."""
    if entry is None:
        return None
    try:
        return section.model_validate(plain(entry))
    except ValidationError:
        return None
