"""Rules for settings that are valid alone but not together or not with the data set.

A rule is a function that yields each wrong key with the reason. It stops if it reads a value that
is missing or invalid, because that is reported already.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from typing import Any

from dae_cli.config.messages import KeyPath, Problem, known_keys
from dae_cli.config.reader import Document
from dae_cli.config.schema import (
    CORRUPTIONS,
    KINDS,
    SECTIONS,
    Experiment,
    FilterExperiment,
    Kind,
    SvmExperiment,
    for_filters,
    labelled,
    weights_between,
)
from dae_cli.data.datasets import DATASETS, MNIST, PHOTOGRAPHS, OwnDataset, known_spec

MOST_WEIGHTS = 10**9
"""A hundred times as many as in the paper's largest networks; 4 GB in single precision."""

Findings = Iterator[tuple[str, str]]
"""Pairs of a dotted key and what is wrong with it."""


class UnsoundError(LookupError):
    """A rule reads a setting that is invalid or missing."""


class Cell:
    """The valid merged settings and defaults of a cell by dotted key."""

    def __init__(self, document: Document, kind: Kind, wrong: Collection[KeyPath]) -> None:
        self.document, self.kind, self._wrong = document, kind, set(wrong)
        self._known = known_keys(kind)
        self.dataset = document.get(("dataset",))
        self.spec = known_spec(self.dataset)

    def __getitem__(self, key: str) -> Any:
        """Return the value of a dotted key, or its default. Raises UnsoundError."""
        path = tuple(key.split("."))
        if key not in self._known or {path[:1], path} & self._wrong:
            raise UnsoundError(key)
        if self.document.has(path):
            return self.document.get(path)
        if len(path) > 1:
            section = self.document.get(path[:1])
            if section is None and "required" in self._known[path[0]]:
                raise UnsoundError(key)
            # An unknown key in the section may be a misspelling of this one.
            if any(f"{path[0]}.{name}" not in self._known for name in section or ()):
                raise UnsoundError(key)
        if "default" not in self._known[key]:
            raise UnsoundError(key)
        return self._known[key]["default"]

    def get(self, key: str, default: Any) -> Any:
        """Return the value of a dotted key, or `default` if it is invalid or missing."""
        with suppress(UnsoundError):
            return self[key]
        return default

    def changed(self, key: str) -> bool:
        """Whether a dotted key has a valid value other than its default."""
        default = self._known[key]["default"]
        return bool(self.get(key, default) != default)

    def is_set(self, key: str) -> bool:
        """Whether a file or an override contains a dotted key."""
        return self.document.has(tuple(key.split(".")))

    def because(self, key: str) -> str:
        """Return the key that is the reason for a finding, with its place."""
        if not self.is_set(key):
            return f"({key}: {self[key]}, the default)"
        return f"({key}: {self.document.place(tuple(key.split('.'))).where})"

    @property
    def inputs(self) -> int:
        """Number of inputs of an example; the smallest of all data sets if it is unknown."""
        if self.spec is None and self.kind is FilterExperiment:
            return int(self["patches.side"] ** 2)
        specs = [self.spec] if self.spec else DATASETS.values()
        return min(spec.n_pixels for spec in specs)

    @property
    def trained_on(self) -> tuple[int, str]:
        """Number of training examples, and a description of them."""
        if self.kind is FilterExperiment and self.spec:
            rows = self["rows"] or self.spec.n_train_file
            return rows, f"the {rows} {'rows' if self.spec.own else 'digits'}"
        if self.kind is FilterExperiment:
            return self["patches.count"], f"the {self['patches.count']} patches"
        if self.spec is None:
            raise UnsoundError("dataset")
        rows = self.spec.n_train
        if self.get("subset.train", rows + 1) <= rows:
            return self["subset.train"], f"the {self['subset.train']} rows of subset.train"
        return rows, f"the {rows} training rows of {self.dataset}"


def contradictions(
    document: Document, kind: Kind, wrong: Collection[KeyPath] = ()
) -> Iterator[tuple[KeyPath, str]]:
    """Yield all contradictions in merged settings; `wrong` paths are reported already."""
    cell = Cell(document, kind, wrong)
    for kinds, rule in RULES:
        if kind in kinds:
            with suppress(UnsoundError):
                for key, text in rule(cell):
                    yield tuple(key.split(".")), text


def noise_has_the_settings_of_its_kind(cell: Cell) -> Findings:
    kind, because = cell["corruption.kind"], cell.because("corruption.kind")
    for other, noise in CORRUPTIONS.items():
        for name in noise.options:
            if name not in CORRUPTIONS[kind].options and cell.changed(f"corruption.{name}"):
                text = f"{kind} noise has no {name}; remove {name}, or set kind to {other}"
                yield f"corruption.{name}", f"{text} {because}"
    level = CORRUPTIONS[kind].level
    unused = "destruction" if level == "sigma" else "sigma"
    text = f"{kind} noise has no {unused}; set it to 0 or remove it, and set corruption.{level}"
    if cell.changed(f"corruption.{unused}"):
        yield f"corruption.{unused}", f"{text} {because}"


def some_inputs_are_destroyed_and_not_all(cell: Cell) -> Findings:
    """round(ν·d) of d inputs are destroyed, in the image and in all hidden layers but the last."""
    destruction = cell["corruption.destruction"]
    if not destruction or CORRUPTIONS[cell["corruption.kind"]].level == "sigma":
        return
    widths = [(f"the {cell.inputs} pixels", cell.inputs)]
    for i, units in enumerate(cell.get("model.hidden", ())[:-1], 1):
        widths.append((f"the {units} units of hidden layer {i}", units))
    for name, width in widths:
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
        if cell["pretrain.kind"] != "rbm" and cell.changed(f"pretrain.{name}"):
            text = "only an RBM has a Gibbs chain; set pretrain.kind to rbm, or remove"
            yield f"pretrain.{name}", f"{text} {name}"


_NO_CORRUPTION = "the noise of an RBM is that of its Gibbs chain, so its inputs cannot be corrupted"
_FIXED_IN_AN_RBM = {
    "corruption.destruction": (_NO_CORRUPTION, "0"),
    "corruption.sigma": (_NO_CORRUPTION, "0"),
    "pretrain.loss": (
        "an RBM is trained by contrastive divergence; its reported cost is a cross-entropy",
        "cross-entropy",
    ),
    "pretrain.weight_decay": ("contrastive divergence has no weight decay here", "0"),
    "pretrain.contraction": ("contrastive divergence has no contractive penalty here", "0"),
    "model.tied": ("an RBM has one set of weights, so they are tied", "true"),
}
"""Settings that must keep their defaults for an RBM: the reason, and the default."""


def an_rbm_leaves_settings_of_autoencoders_at_their_defaults(cell: Cell) -> Findings:
    for key, (why, default) in _FIXED_IN_AN_RBM.items():
        if cell["pretrain.kind"] == "rbm" and cell.changed(key):
            remedy = f"remove {key.partition('.')[2]} or set it to {default}"
            yield key, f"{why}; {remedy} {cell.because('pretrain.kind')}"


def weights_fit_into_memory(cell: Cell) -> Findings:
    """Report a network too large for any machine's memory, before it is allocated."""
    widths = (cell.inputs, *cell["model.hidden"])
    weights = weights_between(widths)
    if weights > MOST_WEIGHTS:
        yield (
            "model.hidden",
            f"gives {weights:,} weights ({weights * 4 / 1e9:.0f} GB), more than the limit of "
            f"{MOST_WEIGHTS:,}; use fewer units or layers",
        )


def a_subset_is_no_larger_than_its_split(cell: Cell) -> Findings:
    names = {"train": "training", "valid": "validation", "test": "test"}
    for split, there in cell.spec.rows.items() if cell.spec else ():
        if cell.get(f"subset.{split}", 0) > there:
            text = f"the number of {names[split]} rows of {cell.dataset}"
            yield f"subset.{split}", f"must be from 1 to {there}, {text}"


def a_minibatch_is_no_larger_than_the_training_set(cell: Cell) -> Findings:
    rows, described = cell.trained_on
    for name in ("pretrain", "finetune"):
        key = f"{name}.batch_size"
        size = cell.get(key, 0)
        if size <= rows or (name == "pretrain" and cell.get("pretrain.epochs", 1) == 0):
            continue
        if cell.is_set(key) or not cell.is_set("subset"):
            text = f"must be from 1 to {rows}: a minibatch cannot be larger than {described}"
            if not cell.is_set(key) and cell.kind is Experiment:
                text = f"{key} is {size} by default; it {text}"
            yield key if cell.is_set(key) else name, text
        else:
            text = f"fewer rows than a batch ({key} is {size} by default); use more rows or set it"
            yield "subset.train", text


def the_kernel_rbf_has_neither_degree_nor_offset(cell: Cell) -> Findings:
    for name in ("degree", "offset"):
        if cell["svm.kernel"] == "rbf" and cell.is_set(f"svm.{name}s"):
            text = f"the kernel rbf has no {name}; remove {name}s, or set svm.kernel to poly"
            yield f"svm.{name}s", f"{text} {cell.because('svm.kernel')}"


def only_photographs_have_patches_and_no_rows(cell: Cell) -> Findings:
    because = cell.because("dataset")
    if cell.spec and cell.is_set("patches"):
        what = "rows" if cell.spec.own else "digits"
        text = f"{what} are not cut into patches; remove patches, or set dataset to photographs"
        yield "patches", f"{text} {because}"
    if not cell.spec and cell.is_set("rows"):
        yield "rows", f"photographs have no rows; set patches.count instead {because}"


def filters_need_exactly_one_layer(cell: Cell) -> Findings:
    if len(cell["model.hidden"]) > 1:
        text = "must have one layer, because filters are those of the layer that sees the pixels"
        yield "model.hidden", text


def filters_need_pretraining(cell: Cell) -> Findings:
    if cell["pretrain.epochs"] == 0:
        yield "pretrain.epochs", "must be 1 or more, because filters are learned in pretraining"


def patches_need_the_squared_error(cell: Cell) -> Findings:
    if not cell.spec and cell["pretrain.loss"] == "cross-entropy":
        yield (
            "pretrain.loss" if cell.is_set("pretrain.loss") else "pretrain",
            "patches have values below 0 or above 1, but cross-entropy needs inputs from 0 to 1; "
            "set pretrain.loss to squared-error, which makes the decoder linear",
        )


def own_data_fit_rows_and_loss(cell: Cell) -> Findings:
    spec = cell.spec
    if not spec or not isinstance(cell.dataset, OwnDataset):
        return
    if cell.kind is FilterExperiment and (cell["rows"] or 0) > spec.n_train_file:
        yield "rows", f"must be from 1 to {spec.n_train_file}, the number of rows of {cell.dataset}"
    if not spec.bounded and cell["pretrain.loss"] == "cross-entropy":
        linear = "set pretrain.loss to squared-error, which makes the decoder linear, or "
        remedy = "" if cell["pretrain.kind"] == "rbm" else linear
        yield (
            "pretrain.loss" if cell.is_set("pretrain.loss") else "pretrain",
            f"{cell.dataset} has values below 0 or above 1, but cross-entropy needs inputs from 0 "
            f"to 1; {remedy}declare scale: minmax in {cell.dataset.path}",
        )


_WITH_LAYERS: tuple[Kind, ...] = (Experiment, FilterExperiment)
_WITH_LABELS: tuple[Kind, ...] = (Experiment, SvmExperiment)
RULES: tuple[tuple[tuple[Kind, ...], Callable[[Cell], Findings]], ...] = (
    (_WITH_LAYERS, noise_has_the_settings_of_its_kind),
    (_WITH_LAYERS, some_inputs_are_destroyed_and_not_all),
    (_WITH_LAYERS, only_an_rbm_has_a_gibbs_chain),
    (_WITH_LAYERS, an_rbm_leaves_settings_of_autoencoders_at_their_defaults),
    (_WITH_LAYERS, weights_fit_into_memory),
    (_WITH_LABELS, a_subset_is_no_larger_than_its_split),
    ((SvmExperiment,), the_kernel_rbf_has_neither_degree_nor_offset),
    ((FilterExperiment,), only_photographs_have_patches_and_no_rows),
    ((FilterExperiment,), filters_need_exactly_one_layer),
    ((FilterExperiment,), filters_need_pretraining),
    ((FilterExperiment,), patches_need_the_squared_error),
    (_WITH_LAYERS, own_data_fit_rows_and_loss),
    (_WITH_LAYERS, a_minibatch_is_no_larger_than_the_training_set),
)
"""Each rule with the kinds of experiments that it applies to, in the order of reporting."""


def mixed_problems(document: Document, kind: Kind) -> list[Problem]:
    """Report sections that do not apply to the kind of experiment, and what determines the kind."""
    value = document.value
    dataset = value.get("dataset")
    if for_filters(dataset) and not labelled(dataset):
        learned = [key for key in ("svm", "finetune", "subset") if key in value]
        found = " and ".join(f"{key} ({document.place((key,)).where})" for key in learned)
        remove = f"{found}; remove {'them' if learned[1:] else 'it'}, or"
        text = (
            f"{dataset} have no labels, so they cannot be used with {remove} set dataset to one of "
            f"{', '.join(DATASETS)}"
        )
        if isinstance(dataset, OwnDataset):
            text = (
                f"{dataset} has no labels, so it cannot be used with {remove} "
                f"declare label in {dataset.path}"
            )
        if learned:
            return [document.problem(("dataset",), text)]
    mixed = [key for key in value if key in SECTIONS and key not in kind.model_fields]
    return [document.problem((key,), _why_not(key, kind, document)) for key in mixed]


def _why_not(key: str, kind: Kind, document: Document) -> str:
    """Return why a kind of experiment does not have a section, and what to do."""
    if kind is SvmExperiment:
        where = document.place(("svm",)).where
        return f"an SVM has no {key}, and svm ({where}) makes this an SVM; remove one of the two"
    if kind is FilterExperiment:
        where = document.place(("dataset",)).where
        return (
            "does not apply without finetune, because the experiment only learns filters "
            f"({where}); add finetune to classify, or remove {key} (to use fewer rows, set rows)"
        )
    only = f"{MNIST.name} without finetune" if key == "rows" else PHOTOGRAPHS
    fewer = " (to use fewer rows, set subset)" if key == "rows" else ""
    return f"{key} is only for filters of {only}, not for a fine-tuned network; remove it{fewer}"


def unused_overrides(over: Document, kinds: Collection[Kind], which: str) -> list[Problem]:
    """Report `--set` arguments that apply to none of these kinds; `which` names the cells."""
    there = list(dict.fromkeys(kinds))
    are = " and ".join(KINDS[kind] for kind in there)
    can = ", ".join(dict.fromkeys(name for kind in there for name in kind.model_fields))
    text = f"{{}} does not apply, because {which} {are}; settings that apply are {can}"
    return [
        Problem(where, text.format(key))
        for key in over.value
        if key in SECTIONS and not any(key in kind.model_fields for kind in there)
        for where in dict.fromkeys(p.where for path, p in over.places.items() if path[:1] == (key,))
    ]
