"""The schema of an experiment file. It follows the paper's protocol.

A field's description ends error messages ("must be from 0 to 1: <description>") and is printed in
docs/experiments.md. Messages suggest a fraction for a percentage if it contains "fraction".
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    model_validator,
)
from pydantic_core import CoreSchema, core_schema

from dae_cli.data.datasets import (
    DATASETS,
    FILTER_DATASETS,
    MNIST,
    PHOTOGRAPHS,
    DatasetSpec,
    OwnDataset,
    known_spec,
    spec_of,
)

MOST_LAYERS = 20
LossKind = Literal["cross-entropy", "squared-error"]
InitKind = Literal["glorot", "tutorial"]
SvmKernel = Literal["rbf", "poly"]
WhiteningKind = Literal["none", "olshausen-field"]


@dataclass(frozen=True)
class CorruptionKind:
    """The names and settings of one kind of corruption."""

    words: str
    """Caption of pictures; `{:g}` is replaced by the level."""
    in_run_names: str = ""
    """Prefix of the level in run names."""
    level: Literal["destruction", "sigma"] = "destruction"
    """The setting for its strength: a fraction, shown in percent, or a standard deviation."""
    options: tuple[str, ...] = ()
    """Settings that only this kind has, or that several kinds list."""


@dataclass(frozen=True)
class LayerKind:
    """The names of models that consist of one kind of layer."""

    single: str = ""
    """Name of a single layer; if empty, AE, DAE or CAE by its corruption and penalties."""
    stacked: str = ""
    """Name of a network, without its depth; if empty, SAA or SdA by its corruption."""


CORRUPTIONS = {
    "masking": CorruptionKind("{:g} % destroyed"),
    "gaussian": CorruptionKind("Gaussian noise, σ {:g}", "gaussian", level="sigma"),
    "salt-and-pepper": CorruptionKind(
        "{:g} % salt and pepper", "saltpepper", options=("pepper", "salt")
    ),
}
"""The kinds of corruption; their classes are in `models/corruption.py`."""

LAYERS = {"autoencoder": LayerKind(), "rbm": LayerKind(single="RBM", stacked="DBN")}
"""The kinds of layers; their classes are in `training/state.py`."""


class OneOf:
    """Annotation for text that must be one of the given names."""

    def __init__(self, names: Collection[str]) -> None:
        self.names = list(names)

    def __get_pydantic_core_schema__(
        self, source: type[str], handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        """Return the schema that pydantic validates with and publishes as JSON schema."""
        return core_schema.literal_schema(self.names)


class OneOfOrOwn(OneOf):
    """Annotation for a data set: one of the given names, or the user's own data."""

    def __get_pydantic_core_schema__(
        self, source: type[str], handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        """Return the schema that pydantic validates with and publishes as JSON schema."""
        return core_schema.with_info_wrap_validator_function(
            self._checked,
            super().__get_pydantic_core_schema__(source, handler),
            serialization=core_schema.plain_serializer_function_ser_schema(lambda value: value),
        )

    def _checked(
        self, value: Any, one_of: ValidatorFunctionWrapHandler, about: ValidationInfo
    ) -> str:
        """Return a valid value; JSON comes from checkpoints, which store own data by name."""
        if about.mode == "json" and isinstance(value, str) and value not in self.names:
            return OwnDataset(Path(value))
        return value if isinstance(value, OwnDataset) else str(one_of(value))


CorruptionName = Annotated[str, OneOf(CORRUPTIONS)]
PretrainKind = Annotated[str, OneOf(LAYERS)]
_THE_DATASET = Field(description="the data set, or a file that declares your own data")
DatasetName = Annotated[str, OneOfOrOwn(DATASETS), _THE_DATASET]
FilterDatasetName = Annotated[str, OneOfOrOwn(FILTER_DATASETS), _THE_DATASET]
AnyDatasetName = Annotated[
    str, OneOfOrOwn(dict.fromkeys((*DATASETS, *FILTER_DATASETS))), _THE_DATASET
]
DigitRows = Annotated[
    int | None,
    Field(
        ge=1,
        le=MNIST.n_train_file,
        description=f"the number of rows to use ({MNIST.name} or your own data, filters only)",
    ),
]
Seed = Annotated[int, Field(ge=0, le=2**32 - 1, description="the seed of all random numbers")]
LayerWidth = Annotated[int, Field(ge=1, le=100_000)]
Epochs = Annotated[int, Field(ge=1, le=100_000)]
LearningRate = Annotated[
    float, Field(gt=0, le=1000, description="the step size of gradient descent")
]
BatchSize = Annotated[
    int, Field(ge=1, le=100_000, description="the number of examples per minibatch")
]
WeightDecay = Annotated[
    float, Field(ge=0, le=1, description="λ of the penalty λ/2 · Σ W² on the weights")
]
"""Biases are not penalized. ICML 2008 has no weight decay, hence the default 0."""


def expects(what: str) -> dict[str, Any]:
    """Return a `json_schema_extra` that replaces the field's type in error messages."""
    return {"expected": what}


class Settings(BaseModel):
    """Base class of all sections: immutable, no unknown keys, no type conversion."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class ModelSettings(Settings):
    """The layers: their sizes, tied or untied weights, and the initial weights."""

    hidden: tuple[LayerWidth, ...] = Field(
        min_length=1,
        max_length=MOST_LAYERS,
        strict=False,
        description="the number of units of each hidden layer",
        examples=[[1000, 1000, 1000]],
    )
    tied: bool = Field(True, description="whether the decoder uses the encoder's weights")
    init: InitKind = Field("glorot", description="how the weights are initialized")


class CorruptionSettings(Settings):
    """The corruption of a layer's inputs during pretraining."""

    kind: CorruptionName = Field("masking", description="the kind of corruption")
    destruction: float = Field(
        0.0, ge=0, lt=1, description="the fraction ν of inputs set to 0, or to salt or pepper"
    )
    sigma: float = Field(0.0, ge=0, le=100, description="the standard deviation of Gaussian noise")
    """In units of the inputs."""
    pepper: float = Field(
        0.0, ge=-100, le=100, description="the value of pepper in salt-and-pepper noise"
    )
    """0 and 1 (`salt`) are black and white in images with grey values from 0 to 1."""
    salt: float = Field(
        1.0, ge=-100, le=100, description="the value of salt in salt-and-pepper noise"
    )


class PretrainSettings(Settings):
    """Greedy layer-wise unsupervised training."""

    kind: PretrainKind = Field("autoencoder", description="the model that a layer is trained as")
    """A stack of RBMs is the DBN of Table 1."""
    loss: LossKind = Field("cross-entropy", description="the reconstruction loss")
    learning_rate: LearningRate
    epochs: int = Field(
        ge=0, le=100_000, description="the number of epochs per layer; 0 means no pretraining"
    )
    batch_size: BatchSize = 20
    gibbs_steps: int = Field(
        1, ge=1, le=1000, description="the number of Gibbs steps per update, k of CD-k (RBM only)"
    )
    persistent: bool = Field(False, description="whether to use persistent CD (RBM only)")
    """The number of persistent chains is the minibatch size."""
    sample_visible: bool = Field(True, description="whether to sample visible units (RBM only)")
    """If false, Gibbs steps use the probabilities of the units (Hinton 2010, section 3.2)."""
    weight_decay: WeightDecay = 0.0
    contraction: float = Field(
        0.0, ge=0, le=1_000_000, description="λ of the contractive penalty λ ‖∂h/∂x‖²"
    )


class FinetuneSettings(Settings):
    """Supervised training of the whole network with early stopping on the validation error."""

    learning_rate: LearningRate
    max_epochs: Epochs = Field(description="the maximum number of epochs")
    patience: Epochs = Field(
        description="the number of epochs to wait for a lower validation error"
    )
    window: Epochs = Field(
        1, description="the number of latest epochs over which early stopping averages the error"
    )
    """Similar to the strips of Prechelt (1998)."""
    decrease: float = Field(
        0.0,
        ge=0,
        le=1000,
        description="δ of the learning rate ε / (1 + δ t) after t epochs; 0 keeps it constant",
    )
    weight_decay: WeightDecay = 0.0
    batch_size: BatchSize = 20


class SubsetSettings(Settings):
    """Numbers of rows for quick trials, evenly spaced in each split; not for published results."""

    train: int = Field(ge=1, description="the number of training rows")
    valid: int = Field(ge=1, description="the number of validation rows")
    test: int = Field(ge=1, description="the number of test rows")


class Experiment(Settings):
    """A fully resolved experiment with a network."""

    dataset: DatasetName
    model: ModelSettings
    corruption: CorruptionSettings = CorruptionSettings()
    pretrain: PretrainSettings
    finetune: FinetuneSettings
    subset: SubsetSettings | None = None
    seed: Seed = 0


USUAL_GRIDS: dict[str, dict[str, Any]] = {
    "rbf": {"gammas": (0.001, 0.01, 0.1), "widen": True},
    "poly": {"gammas": (0.001, 0.01, 0.1, 1.0), "offsets": (0.0, 1.0), "widen": True},
}
"""The default coarse grid of each kernel. It is used only if the file gives no gammas."""


def _grid(usual: tuple[float, ...], most: int, description: str) -> Any:
    """Return the field for a list of 1 to `most` values of the coarse grid."""
    return Field(usual, min_length=1, max_length=most, strict=False, description=description)


class SvmSettings(Settings):
    """The hyperparameter search of an SVM: a coarse grid, then a finer one around the best values.

    The kernel rbf is exp(−γ |x − y|²); the kernel poly is (γ x·y + offset)^degree. Degrees and
    offsets do not apply to rbf.
    """

    kernel: SvmKernel = Field(description="the kernel of the SVM")
    gammas: tuple[Annotated[float, Field(gt=0, le=1000)], ...] = _grid(
        (), 50, "the values of γ in the coarse grid"
    )
    degrees: tuple[Annotated[int, Field(ge=1, le=20)], ...] = _grid(
        (2, 3, 4, 6, 9), 20, "the degrees in the coarse grid (poly only)"
    )
    offsets: tuple[Annotated[float, Field(ge=0, le=1000)], ...] = _grid(
        (1.0,), 20, "the offsets in the coarse grid (poly only)"
    )
    destructions: tuple[Annotated[float, Field(ge=0, lt=1)], ...] = _grid(
        (0.0,), 20, "the fractions ν of inputs set to 0 in training rows"
    )
    """Validation and test rows are not corrupted."""
    penalties: tuple[Annotated[float, Field(gt=0, le=1_000_000_000)], ...] = _grid(
        (0.1, 1.0, 10.0, 100.0), 50, "the values of the penalty C in the coarse grid"
    )
    widen: bool = Field(
        False, description="whether to extend the grid if the best values lie on its edge"
    )
    refine: bool = Field(True, description="whether to search a finer grid around the best values")

    @property
    def coarse_trials(self) -> int:
        """Number of trials in the coarse grid."""
        degrees = len(self.degrees) if self.kernel == "poly" else 1
        kernels = len(self.gammas) * degrees * len(self.offsets) * len(self.destructions)
        return kernels * len(self.penalties)

    @model_validator(mode="before")
    @classmethod
    def _usual_grid(cls, values: Any) -> Any:
        """Fill in the kernel's default grid if no gammas are given."""
        if not isinstance(values, dict) or "gammas" in values:
            return values
        kernel = values.get("kernel")
        return (USUAL_GRIDS.get(kernel, {}) if isinstance(kernel, str) else {}) | values


class SvmExperiment(Settings):
    """A fully resolved experiment with an SVM, whose hyperparameters the validation rows select.

    The seed affects only which inputs are destroyed.
    """

    dataset: DatasetName
    svm: SvmSettings
    subset: SubsetSettings | None = None
    seed: Seed = 0


class PatchSettings(Settings):
    """Patches of photographs, and how the photographs are processed before they are cut."""

    side: int = Field(12, ge=4, le=64, description="the width and height of a patch in pixels")
    count: int = Field(500_000, ge=100, le=5_000_000, description="the number of patches")
    whitening: WhiteningKind = Field("olshausen-field", description="how photographs are whitened")
    """olshausen-field multiplies the spectrum by f · exp(−(f/f₀)⁴), which flattens it and removes
    the highest frequencies."""
    cutoff: float = Field(
        0.4, gt=0, le=1, description="the cutoff frequency f₀ of whitening, in cycles per pixel"
    )
    deviation: float = Field(
        1.0, gt=0, le=100, description="the standard deviation of the pixels after scaling"
    )
    """Each patch's mean is subtracted; one factor scales all patches. `sigma` uses this scale."""


class FilterExperiment(Settings):
    """A fully resolved experiment on filters: one unsupervised layer, no labels and no test."""

    dataset: FilterDatasetName
    patches: PatchSettings | None = None
    """Settings for photographs only."""
    rows: DigitRows = None
    """Number of evenly spaced rows of MNIST or own data; None for all."""
    model: ModelSettings
    corruption: CorruptionSettings = CorruptionSettings()
    pretrain: PretrainSettings
    seed: Seed = 0

    @model_validator(mode="before")
    @classmethod
    def _usual_patches(cls, values: Any) -> Any:
        """Add default patch settings if the data set is the photographs."""
        if not isinstance(values, dict) or values.get("dataset") != PHOTOGRAPHS:
            return values
        return values if values.get("patches") is not None else {**values, "patches": {}}

    @property
    def examples(self) -> int:
        """Number of training examples: patches, digits or other rows."""
        if self.patches:
            return self.patches.count
        return self.rows or spec_of(self.dataset).n_train_file

    @property
    def inputs(self) -> int:
        """Number of inputs d of an example."""
        return self.patches.side**2 if self.patches else spec_of(self.dataset).n_pixels


PretrainedExperiment = Experiment | FilterExperiment
"""Experiments with pretrained layers."""

AnyExperiment = Experiment | SvmExperiment | FilterExperiment
"""All kinds of experiments: a network, an SVM, or a layer trained for its filters."""

Kind = type[Experiment] | type[SvmExperiment] | type[FilterExperiment]
KINDS: dict[Kind, str] = {
    Experiment: "a network",
    SvmExperiment: "an SVM",
    FilterExperiment: "trained only for its filters",
}
"""The kinds of experiments, with what messages say after "is"."""


class SettingsFile(Settings):
    """A file with some of the settings of any kind of experiment; other files add the rest."""

    model_config = ConfigDict(json_schema_extra={"partial": True})

    dataset: AnyDatasetName
    model: ModelSettings
    corruption: CorruptionSettings
    pretrain: PretrainSettings
    finetune: FinetuneSettings
    subset: SubsetSettings | None
    seed: Seed
    svm: SvmSettings
    patches: PatchSettings | None
    rows: DigitRows


SECTIONS = tuple(SettingsFile.model_fields)
"""The top-level keys of all kinds of experiments."""


def _keys_of(section: str) -> list[str]:
    hint = SettingsFile.model_fields[section].annotation
    for one in (hint, *get_args(hint)):
        if isinstance(one, type) and issubclass(one, Settings):
            return [f"{section}.{key}" for key in one.model_fields]
    return [section]


SETTING_KEYS = tuple(key for section in SECTIONS for key in _keys_of(section))
"""The dotted keys of all settings, such as `model.hidden`, in the schema's order."""


def labelled(dataset: object) -> DatasetSpec | None:
    """Return the specification of a data set, or None if it is unknown or has no labels."""
    spec = known_spec(dataset)
    return spec if spec and spec.n_classes else None


def for_filters(dataset: object) -> bool:
    """Whether a data set can be used without its labels, to learn filters."""
    return isinstance(dataset, OwnDataset) or dataset in FILTER_DATASETS


def kind_of(values: Mapping[str, Any]) -> Kind:
    """Return the kind of experiment that merged settings describe.

    Settings with an `svm` section describe an SVM. Settings without `finetune` describe filters if
    the data set can be used without labels; so do all settings for a data set without labels.
    """
    if "svm" in values:
        return SvmExperiment
    dataset = values.get("dataset")
    unread = isinstance(dataset, OwnDataset) and dataset.facts is None  # may have labels
    if for_filters(dataset) and not ((unread or labelled(dataset)) and "finetune" in values):
        return FilterExperiment
    return Experiment


def as_network(experiment: AnyExperiment) -> Experiment:
    """Return the experiment if it is a network's. Raises TypeError if it is not."""
    if not isinstance(experiment, Experiment):
        raise TypeError(f"expected an experiment with a network, not {type(experiment).__name__}")
    return experiment


def as_pretrained(experiment: AnyExperiment) -> PretrainedExperiment:
    """Return the experiment if it has pretrained layers. Raises TypeError for an SVM."""
    if isinstance(experiment, SvmExperiment):
        raise TypeError("expected an experiment with pretrained layers, not an SVM")
    return experiment


def weights_between(widths: Sequence[int]) -> int:
    """Return the number of weights, without biases, between layers of these widths."""
    return sum(below * above for below, above in pairwise(widths))
