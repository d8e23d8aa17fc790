"""Values that are fine alone and wrong together, or wrong for the data set: a list of small rules.

A rule is a function that yields the key that is wrong, and why. It looks at what is sound: where a
value that it reads is wrong in itself, which is reported already, or is missing, it says nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from itertools import pairwise
from types import SimpleNamespace
from typing import Any, TypeVar, cast

from pydantic import BaseModel

from dae_cli.config.choices import CORRUPTIONS
from dae_cli.config.messages import KeyPath, Problem
from dae_cli.config.reader import Document
from dae_cli.config.schema import (
    KINDS,
    SECTIONS,
    CorruptionSettings,
    Experiment,
    FilterExperiment,
    FinetuneSettings,
    Kind,
    ModelSettings,
    PatchSettings,
    PretrainSettings,
    Settings,
    SubsetSettings,
    SvmExperiment,
    SvmSettings,
    labelled,
)
from dae_cli.data.datasets import DATASETS, FILTER_DATASETS, MNIST, PHOTOGRAPHS, DatasetSpec

MOST_WEIGHTS = 10**9
"""A hundred times those of the paper's largest networks; in single precision, 4 GB."""

Findings = Iterator[tuple[str, str]]
"""A dotted key, and what is wrong with it."""
Section = TypeVar("Section", bound=BaseModel)


class Cell:
    """Merged settings as the rules see them: every section with its defaults, as far as sound."""

    def __init__(self, document: Document, kind: Kind, wrong: Collection[KeyPath]) -> None:
        def section(name: str, model: type[Section]) -> Section:
            return _sound(model, document.get((name,)), wrong, name)

        self.document, self.kind = document, kind
        self.dataset = document.get(("dataset",))
        self.model = section("model", ModelSettings)
        self.corruption = section("corruption", CorruptionSettings)
        self.pretrain = section("pretrain", PretrainSettings)
        self.finetune = section("finetune", FinetuneSettings)
        self.subset = section("subset", SubsetSettings)
        self.svm = section("svm", SvmSettings)
        self.patches = section("patches", PatchSettings)
        self.rows = None if ("rows",) in wrong else document.get(("rows",))

    @property
    def spec(self) -> DatasetSpec | None:
        """The labelled data set, if it is one."""
        return labelled(self.dataset)

    @property
    def inputs(self) -> int:
        """The components of an example; of a data set that there is not, the fewest of any."""
        if self.spec is None and self.kind is FilterExperiment:
            return self.patches.side**2
        specs = [self.spec] if self.spec else DATASETS.values()
        return min(spec.n_pixels for spec in specs)

    def says(self, key: str) -> bool:
        """Whether a dotted key is written somewhere."""
        return self.document.has(tuple(key.split(".")))

    def where(self, key: str) -> str:
        """Where a dotted key is written."""
        return self.document.place(tuple(key.split("."))).where


def _sound(model: type[Section], given: object, wrong: Collection[KeyPath], name: str) -> Section:
    """A section without what is wrong in it or missing: to read that is a NotSoundError."""
    usual = {k: info.default for k, info in model.model_fields.items() if not info.is_required()}
    if given is None and len(usual) == len(model.model_fields):
        given = {}
    if not isinstance(given, dict):
        return cast(Section, _Sound())
    if not model.model_fields.keys() >= given.keys():  # one of which may mean what has a default
        usual = {}
    there = {key: value for key, value in (usual | given).items() if (name, key) not in wrong}
    return cast(Section, _Sound(**there))


class NotSoundError(AttributeError):
    """A rule reads what is wrong or missing."""


class _Sound(SimpleNamespace):
    def __getattr__(self, name: str) -> Any:
        raise NotSoundError(name)


def contradictions(
    document: Document, kind: Kind, wrong: Collection[KeyPath] = ()
) -> Iterator[tuple[KeyPath, str]]:
    """Every contradiction within merged settings of a kind, `wrong` being reported already."""
    cell = Cell(document, kind, wrong)
    for kinds, rule in RULES:
        if kind in kinds:
            with suppress(NotSoundError):
                for key, text in rule(cell):
                    yield tuple(key.split(".")), text


def other_noise_has_no_salt_and_pepper(cell: Cell) -> Findings:
    kind = cell.corruption.kind
    for other, noise in CORRUPTIONS.items():
        for name in noise.options:
            value, usual = getattr(cell.corruption, name), _default(CorruptionSettings, name)
            if name not in CORRUPTIONS[kind].options and value != usual:
                yield (
                    f"corruption.{name}",
                    f"{kind} puts in no {name}; "
                    f"leave {name} out, or set kind to {other} {_because_of_noise(cell)}",
                )


def gaussian_noise_destroys_no_inputs(cell: Cell) -> Findings:
    kind = cell.corruption.kind
    if CORRUPTIONS[kind].level == "sigma" and cell.corruption.destruction != 0:
        yield (
            "corruption.destruction",
            f"{kind} noise destroys no inputs: its strength is corruption.sigma; leave "
            f"destruction out or set it to 0 {_because_of_noise(cell)}",
        )


def only_gaussian_noise_has_a_sigma(cell: Cell) -> Findings:
    kind = cell.corruption.kind
    if CORRUPTIONS[kind].level != "sigma" and cell.corruption.sigma != 0:
        yield (
            "corruption.sigma",
            f"only gaussian noise has a sigma; the strength of {kind} is "
            f"corruption.destruction {_because_of_noise(cell)}",
        )


def some_inputs_are_destroyed_and_not_all(cell: Cell) -> Findings:
    """round(ν·d) of d inputs are: of the image, and of every hidden layer but the last."""
    destruction = cell.corruption.destruction
    if not destruction or CORRUPTIONS[cell.corruption.kind].level == "sigma":
        return
    widths = [(f"the {cell.inputs} pixels", cell.inputs)]
    hidden = getattr(cell.model, "hidden", ())
    widths += [
        (f"the {units} units of hidden layer {i}", units) for i, units in enumerate(hidden, 1)
    ]
    for name, width in widths[: max(len(hidden), 1)]:
        count = round(destruction * width)
        if count == 0 or count >= width:
            what, remedy = "all", "use a smaller fraction"
            if count == 0:
                what, remedy = "none", "use a larger fraction, or 0"
            text = f"would destroy {what} of {name}: round({destruction:g} x {width}) = {count}"
            yield "corruption.destruction", f"{text}; {remedy}"
            return


def only_an_rbm_has_a_gibbs_chain(cell: Cell) -> Findings:
    for name in ("gibbs_steps", "persistent", "sample_visible"):
        value, usual = getattr(cell.pretrain, name), _default(PretrainSettings, name)
        if cell.pretrain.kind != "rbm" and value != usual:
            text = "only an RBM has a Gibbs chain; set pretrain.kind to rbm, or leave"
            yield f"pretrain.{name}", f"{text} {name} out"


def inputs_of_an_rbm_are_not_corrupted(cell: Cell) -> Findings:
    for name in ("destruction", "sigma"):
        if cell.pretrain.kind == "rbm" and getattr(cell.corruption, name) != 0:
            yield (
                f"corruption.{name}",
                "the inputs of an RBM are not corrupted: its noise is that of the Gibbs chain; "
                f"leave {name} out or set it to 0 {_because_of_rbm(cell)}",
            )


def the_reconstruction_of_an_rbm_is_a_cross_entropy(cell: Cell) -> Findings:
    if cell.pretrain.kind == "rbm" and cell.pretrain.loss != "cross-entropy":
        yield (
            "pretrain.loss",
            "an RBM is trained by contrastive divergence, and its reconstruction is told as a "
            f"cross-entropy; leave loss out or set it to cross-entropy {_because_of_rbm(cell)}",
        )


def contrastive_divergence_has_no_penalty(cell: Cell) -> Findings:
    for name, penalty in (("weight_decay", "decay"), ("contraction", "contraction")):
        if cell.pretrain.kind == "rbm" and getattr(cell.pretrain, name) != 0:
            yield (
                f"pretrain.{name}",
                f"no {penalty} is part of contrastive divergence here; "
                f"leave {name} out or set it to 0 {_because_of_rbm(cell)}",
            )


def an_rbm_has_the_same_weights_both_ways(cell: Cell) -> Findings:
    if cell.pretrain.kind == "rbm" and not cell.model.tied:
        yield (
            "model.tied",
            "an RBM has the same weights upwards and downwards; "
            f"leave tied out or set it to true {_because_of_rbm(cell)}",
        )


def weights_fit_into_memory(cell: Cell) -> Findings:
    """No machine that trains on such images holds more, so allocating is not tried."""
    widths = (cell.inputs, *cell.model.hidden)
    weights = sum(above * below for below, above in pairwise(widths))
    if weights > MOST_WEIGHTS:
        yield (
            "model.hidden",
            f"would make {weights:,} weights ({weights * 4 / 1e9:.0f} GB), at most "
            f"{MOST_WEIGHTS:,} are allowed; use fewer units or layers",
        )


def a_subset_is_no_larger_than_its_split(cell: Cell) -> Findings:
    names = {"train": "training", "valid": "validation", "test": "test"}
    for split, there in cell.spec.rows.items() if cell.spec else ():
        if getattr(cell.subset, split, 0) > there:
            yield (
                f"subset.{split}",
                f"must be from 1 to {there}: "
                f"there are no more {names[split]} rows of {cell.dataset}",
            )


def a_minibatch_is_no_larger_than_the_training_set(cell: Cell) -> Findings:
    if cell.spec is None:
        return
    rows = cell.spec.n_train
    described = f"the {rows} training rows of {cell.dataset}"
    subset = getattr(cell.subset, "train", None)
    if subset is not None and subset <= rows:
        rows, described = subset, f"the {subset} rows of subset.train"
    for name, section in (("pretrain", cell.pretrain), ("finetune", cell.finetune)):
        key, size = f"{name}.batch_size", getattr(section, "batch_size", 0)
        if size <= rows or (name == "pretrain" and getattr(section, "epochs", 1) == 0):
            continue
        if cell.says(key):
            yield key, f"must be from 1 to {rows}: a batch cannot be larger than {described}"
        else:
            text = f"fewer rows than a batch, {key}, which is {size} unless set; set it as well"
            yield "subset.train", text


def the_kernel_rbf_has_neither_degree_nor_offset(cell: Cell) -> Findings:
    where = f" (kernel: {cell.where('svm.kernel')})"
    for name in ("degree", "offset"):
        if cell.svm.kernel == "rbf" and cell.says(f"svm.{name}s"):
            text = f"the kernel rbf has no {name}; leave {name}s out, or set svm.kernel to poly"
            yield f"svm.{name}s", f"{text}{where}"


def digits_are_trained_on_whole_and_photographs_in_patches(cell: Cell) -> Findings:
    where = cell.where("dataset")
    if cell.spec and cell.says("patches"):
        text = "digits are trained on whole; remove it, or set dataset to photographs"
        yield "patches", f"{text} ({where})"
    if not cell.spec and cell.says("rows"):
        yield "rows", f"photographs have no rows: set patches.count (dataset: {where})"


def filters_are_those_of_one_layer(cell: Cell) -> Findings:
    if len(cell.model.hidden) > 1:
        text = "filters are those of one layer, which sees the pixels: give the units of one layer"
        yield "model.hidden", text


def filters_need_pretraining(cell: Cell) -> Findings:
    if cell.pretrain.epochs == 0:
        yield "pretrain.epochs", "must be 1 or more: there is nothing but pretraining here"


def patches_are_no_probabilities(cell: Cell) -> Findings:
    if not cell.spec and cell.pretrain.loss == "cross-entropy":
        yield (
            "pretrain.loss" if cell.says("pretrain.loss") else "pretrain",
            "patches have values below 0 and above 1, which are no probabilities: "
            "set pretrain.loss to squared-error, with which the decoder is linear",
        )


def a_minibatch_is_no_larger_than_what_filters_are_learned_from(cell: Cell) -> Findings:
    if cell.spec:
        rows, of = cell.rows or MNIST.n_train_file, "digits"
    else:
        rows, of = cell.patches.count, "patches"
    if cell.pretrain.batch_size > rows:
        yield (
            "pretrain.batch_size" if cell.says("pretrain.batch_size") else "pretrain",
            f"must be from 1 to {rows}: a batch cannot be larger than the {rows} {of}",
        )


_WITH_LAYERS: tuple[Kind, ...] = (Experiment, FilterExperiment)
_WITH_LABELS: tuple[Kind, ...] = (Experiment, SvmExperiment)
RULES: tuple[tuple[tuple[Kind, ...], Callable[[Cell], Findings]], ...] = (
    (_WITH_LAYERS, other_noise_has_no_salt_and_pepper),
    (_WITH_LAYERS, gaussian_noise_destroys_no_inputs),
    (_WITH_LAYERS, only_gaussian_noise_has_a_sigma),
    (_WITH_LAYERS, some_inputs_are_destroyed_and_not_all),
    (_WITH_LAYERS, only_an_rbm_has_a_gibbs_chain),
    (_WITH_LAYERS, inputs_of_an_rbm_are_not_corrupted),
    (_WITH_LAYERS, the_reconstruction_of_an_rbm_is_a_cross_entropy),
    (_WITH_LAYERS, contrastive_divergence_has_no_penalty),
    (_WITH_LAYERS, an_rbm_has_the_same_weights_both_ways),
    (_WITH_LAYERS, weights_fit_into_memory),
    (_WITH_LABELS, a_subset_is_no_larger_than_its_split),
    ((Experiment,), a_minibatch_is_no_larger_than_the_training_set),
    ((SvmExperiment,), the_kernel_rbf_has_neither_degree_nor_offset),
    ((FilterExperiment,), digits_are_trained_on_whole_and_photographs_in_patches),
    ((FilterExperiment,), filters_are_those_of_one_layer),
    ((FilterExperiment,), filters_need_pretraining),
    ((FilterExperiment,), patches_are_no_probabilities),
    ((FilterExperiment,), a_minibatch_is_no_larger_than_what_filters_are_learned_from),
)
"""Each with the kinds of experiments that it is for, in the order in which they are reported."""


def mixed_problems(document: Document, kind: Kind) -> list[Problem]:
    """What merged settings have that their kind has not, each with what makes them of that kind."""
    value = document.value
    dataset = value.get("dataset")
    if dataset in FILTER_DATASETS and not labelled(dataset):
        learned = [key for key in ("svm", "finetune", "subset") if key in value]
        where = ", ".join(f"{key}: {document.place((key,)).where}" for key in learned)
        text = (
            f"{dataset} have no labels and are trained on for filters alone, without "
            f"{' and '.join(learned)} ({where}); remove that, or set dataset to one of "
            f"{', '.join(DATASETS)}"
        )
        if learned:
            return [document.problem(("dataset",), text)]
    mixed = [key for key in value if key in SECTIONS and key not in kind.model_fields]
    return [document.problem((key,), _why_not(key, kind, document)) for key in mixed]


def _why_not(key: str, kind: Kind, document: Document) -> str:
    """Why settings of a kind have no such section, and what to do."""
    if kind is SvmExperiment:
        where = document.place(("svm",)).where
        return f"an SVM has no {key}, and {where} makes this one an SVM; remove one of the two"
    if kind is FilterExperiment:
        where = document.place(("dataset",)).where
        return (
            f"{where} without finetune is trained for its filters alone, and has no {key}; add "
            f"finetune to classify, or remove {key} (fewer digits: rows)"
        )
    only = f"{MNIST.name} without finetune" if key == "rows" else PHOTOGRAPHS
    fewer = " (fewer rows: subset)" if key == "rows" else ""
    return (
        f"a network that is fine-tuned has no {key}: that is for filters alone, of {only}; "
        f"remove it{fewer}"
    )


def unused_overrides(over: Document, kinds: Collection[Kind], which: str) -> list[Problem]:
    """The `--set` arguments that no experiment of these kinds takes; `which` names them."""
    there = list(dict.fromkeys(kinds))
    are = " and ".join(KINDS[kind] for kind in there)
    can = ", ".join(dict.fromkeys(name for kind in there for name in kind.model_fields))
    text = f"{which} {are}, without a section {{}}; what can be set is {can}"
    return [
        Problem(where, text.format(key))
        for key in over.value
        if key in SECTIONS and not any(key in kind.model_fields for kind in there)
        for where in dict.fromkeys(p.where for path, p in over.places.items() if path[:1] == (key,))
    ]


def _default(section: type[Settings], name: str) -> Any:
    return section.model_fields[name].default


def _because_of_noise(cell: Cell) -> str:
    if cell.says("corruption.kind"):
        return f"(kind: {cell.where('corruption.kind')})"
    return f"(kind: {cell.corruption.kind}, the default)"


def _because_of_rbm(cell: Cell) -> str:
    return f"(pretrain.kind: {cell.where('pretrain.kind')})"
