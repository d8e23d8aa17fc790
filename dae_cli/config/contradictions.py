"""Values that are fine alone and wrong together, or wrong for the data set: each with its reason.

Sections that do not validate are passed over; what is wrong with them is told already.
"""

from __future__ import annotations

from itertools import pairwise

from dae_cli.config.entries import Layer, find
from dae_cli.config.filter_contradictions import inputs_of_filters, of_filters_alone
from dae_cli.config.kinds import SVM, kind_of
from dae_cli.config.problems import Problem
from dae_cli.config.schema import (
    CorruptionSettings,
    FilterExperiment,
    FinetuneSettings,
    ModelSettings,
    PretrainSettings,
    Settings,
    SubsetSettings,
    SvmExperiment,
    SvmSettings,
)
from dae_cli.config.sections import about, entry_at, sound_number, valid_section
from dae_cli.data.datasets import DATASETS, DatasetSpec

MOST_WEIGHTS = 10**9
"""A hundred times those of the paper's largest networks; in single precision, 4 GB."""


def contradictions(layer: Layer) -> list[Problem]:
    """Every contradiction within merged settings."""
    kind = kind_of(layer)
    if kind is SvmExperiment:
        return [*_of_kernel(layer), *_of_rows(layer)]
    of_filters = kind is FilterExperiment
    model = valid_section(ModelSettings, layer.get("model"))
    hidden = model.hidden if model else ()
    inputs = inputs_of_filters(layer) if of_filters else _n_pixels(layer)
    return [
        *_of_corruption(layer, inputs, hidden),
        *_of_pretraining(layer, model),
        *_of_weights(layer, inputs, hidden),
        *(of_filters_alone(layer) if of_filters else _of_rows(layer)),
    ]


def _data(layer: Layer) -> DatasetSpec | None:
    dataset = layer.get("dataset")
    value = dataset.value if dataset else None
    return DATASETS.get(value) if isinstance(value, str) else None


def _n_pixels(layer: Layer) -> int:
    """The inputs of a network; of a data set that there is not, those of the smallest."""
    spec = _data(layer)
    return spec.n_pixels if spec else min(spec.n_pixels for spec in DATASETS.values())


def _of_kernel(layer: Layer) -> list[Problem]:
    svm = valid_section(SvmSettings, layer.get(SVM))
    if svm is None or svm.kernel == "poly":
        return []
    kernel = find(layer, (SVM, "kernel"))
    where = f" (kernel: {kernel.place.text})" if kernel else ""
    problems = []
    for name in ("degree", "offset"):
        if entry_at(layer, f"svm.{name}s"):
            text = f"the kernel rbf has no {name}; leave {name}s out, or set svm.kernel to poly"
            problems += about(layer, f"svm.{name}s", f"{text}{where}")
    return problems


def _of_corruption(layer: Layer, inputs: int, hidden: tuple[int, ...]) -> list[Problem]:
    corruption = valid_section(CorruptionSettings, layer.get("corruption"))
    if corruption is None:
        return []
    for name, usual in (("pepper", 0.0), ("salt", 1.0)):
        if corruption.kind != "salt-and-pepper" and getattr(corruption, name) != usual:
            text = (
                f"{corruption.kind} puts in no {name}; "
                f"leave {name} out, or set kind to salt-and-pepper {_because_of_kind(layer)}"
            )
            return about(layer, f"corruption.{name}", text)
    if corruption.kind == "gaussian" and corruption.destruction != 0:
        return about(
            layer,
            "corruption.destruction",
            "gaussian noise destroys no inputs: its strength is corruption.sigma; leave "
            f"destruction out or set it to 0 {_because_of_kind(layer)}",
        )
    if corruption.kind != "gaussian" and corruption.sigma != 0:
        return about(
            layer,
            "corruption.sigma",
            f"only gaussian noise has a sigma; the strength of {corruption.kind} is "
            f"corruption.destruction {_because_of_kind(layer)}",
        )
    if not corruption.destruction:
        return []
    return _of_counts(layer, corruption.destruction, inputs, hidden)


def _of_counts(
    layer: Layer, destruction: float, inputs: int, hidden: tuple[int, ...]
) -> list[Problem]:
    """round(ν·d) of d inputs are destroyed: none and all are both not what was asked for.

    The inputs of the layers are the image and every hidden layer but the last.
    """
    for name, width in [
        (f"the {inputs} pixels", inputs),
        *((f"the {units} units of hidden layer {i}", units) for i, units in enumerate(hidden, 1)),
    ][: max(len(hidden), 1)]:
        count = round(destruction * width)
        if count == 0 or count >= width:
            what = "none" if count == 0 else "all"
            return about(
                layer,
                "corruption.destruction",
                f"would destroy {what} of {name}: round({destruction:g} x {width}) = {count}; "
                + ("use a larger fraction, or 0" if count == 0 else "use a smaller fraction"),
            )
    return []


def _of_pretraining(layer: Layer, model: ModelSettings | None) -> list[Problem]:
    """What an RBM has not, and what only an RBM has."""
    pretrain = valid_section(PretrainSettings, layer.get("pretrain"))
    if pretrain is None:
        return []
    if pretrain.kind == "rbm":
        return _of_rbm(layer, pretrain, model)
    only = "only an RBM has a Gibbs chain; set pretrain.kind to rbm, or leave"
    problems = []
    for name in ("gibbs_steps", "persistent", "sample_visible"):
        if getattr(pretrain, name) != PretrainSettings.model_fields[name].default:
            problems += about(layer, f"pretrain.{name}", f"{only} {name} out")
    return problems


def _of_rbm(layer: Layer, pretrain: PretrainSettings, model: ModelSettings | None) -> list[Problem]:
    because = f"(pretrain.kind: {layer['pretrain'].items['kind'].place.text})"
    corruption = valid_section(CorruptionSettings, layer.get("corruption"))
    problems = []
    for name in ("destruction", "sigma"):
        if corruption is not None and getattr(corruption, name) != 0:
            text = (
                "the inputs of an RBM are not corrupted: its noise is that of the Gibbs chain; "
                f"leave {name} out or set it to 0 {because}"
            )
            problems += about(layer, f"corruption.{name}", text)
    if pretrain.loss != "cross-entropy":
        text = (
            "an RBM is trained by contrastive divergence, and its reconstruction is told as a "
            f"cross-entropy; leave loss out or set it to cross-entropy {because}"
        )
        problems += about(layer, "pretrain.loss", text)
    for name, penalty in (("weight_decay", "decay"), ("contraction", "contraction")):
        if getattr(pretrain, name) != 0:
            text = (
                f"no {penalty} is part of contrastive divergence here; "
                f"leave {name} out or set it to 0 {because}"
            )
            problems += about(layer, f"pretrain.{name}", text)
    if model is not None and not model.tied:
        text = (
            "an RBM has the same weights upwards and downwards; "
            f"leave tied out or set it to true {because}"
        )
        problems += about(layer, "model.tied", text)
    return problems


def _of_weights(layer: Layer, inputs: int, hidden: tuple[int, ...]) -> list[Problem]:
    """No machine that trains on such images holds them, so allocating is not tried."""
    weights = sum(above * below for below, above in pairwise((inputs, *hidden)))
    if weights <= MOST_WEIGHTS:
        return []
    return about(
        layer,
        "model.hidden",
        f"would make {weights:,} weights ({weights * 4 / 1e9:.0f} GB), at most {MOST_WEIGHTS:,} "
        "are allowed; use fewer units or layers",
    )


def _of_rows(layer: Layer) -> list[Problem]:
    """Subsets larger than their split, and minibatches larger than the set trained on."""
    if (spec := _data(layer)) is None:
        return []
    problems = _of_subset(layer, spec)
    if kind_of(layer) is SvmExperiment:
        return problems
    train = sound_number(SubsetSettings, layer, "subset.train")
    if train is not None and train <= spec.n_train:
        return problems + _of_batches(layer, train, f"the {train} rows of subset.train")
    of_set = f"the {spec.n_train} training rows of {spec.name}"
    return problems + _of_batches(layer, spec.n_train, of_set)


def _of_subset(layer: Layer, spec: DatasetSpec) -> list[Problem]:
    names = {"train": "training", "valid": "validation", "test": "test"}
    return [
        problem
        for split, there in spec.rows.items()
        if (sound_number(SubsetSettings, layer, f"subset.{split}") or 0) > there
        for problem in about(
            layer,
            f"subset.{split}",
            f"must be from 1 to {there}: there are no more {names[split]} rows of {spec.name}",
        )
    ]


def _of_batches(layer: Layer, rows: int, described: str) -> list[Problem]:
    problems = []
    sections: dict[str, type[Settings]] = {"pretrain": PretrainSettings}
    if sound_number(PretrainSettings, layer, "pretrain.epochs") == 0:
        sections = {}
    for section, settings in (sections | {"finetune": FinetuneSettings}).items():
        key = f"{section}.batch_size"
        written = sound_number(settings, layer, key)
        default = settings.model_fields["batch_size"].default
        if written is not None and written > rows:
            text = f"must be from 1 to {rows}: a batch cannot be larger than {described}"
            problems += about(layer, key, text)
        elif not entry_at(layer, key) and default > rows:
            text = f"fewer rows than a batch, {key}, which is {default} unless set; set it as well"
            problems += about(layer, "subset.train", text)
    return problems


def _because_of_kind(layer: Layer) -> str:
    kind = layer["corruption"].items.get("kind")
    return f"(kind: {kind.place.text})" if kind else "(kind: masking, the default)"
