"""The schema of an experiment: what a resolved config holds, read like the paper's protocol.

The description of a field ends the error message about it: "must be from 0 to 1: <description>".
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
    """How a corruption is called, and which settings it has."""

    words: str
    """Beside a picture; `{:g}` is the level."""
    in_run_names: str = ""
    """Comes before the level there."""
    level: Literal["destruction", "sigma"] = "destruction"
    """The setting that says how much: a fraction, shown in percent, or a standard deviation."""
    options: tuple[str, ...] = ()
    """Settings that no other kind has, unless it names them as well."""


@dataclass(frozen=True)
class LayerKind:
    """How models of such layers are called."""

    single: str = ""
    """One that is trained for its filters; empty: an AE, by its corruption and penalties."""
    stacked: str = ""
    """A network of them, without its depth; empty: an SAA or SdA, by its corruption."""


CORRUPTIONS = {
    "masking": CorruptionKind("{:g} % destroyed"),
    "gaussian": CorruptionKind("Gaussian noise, σ {:g}", "gaussian", level="sigma"),
    "salt-and-pepper": CorruptionKind(
        "{:g} % salt and pepper", "saltpepper", options=("pepper", "salt")
    ),
}
"""The kinds of corruption that experiments can name; `models/corruption.py` has their classes."""

LAYERS = {"autoencoder": LayerKind(), "rbm": LayerKind(single="RBM", stacked="DBN")}
"""The kinds of layers that experiments can name; `training/state.py` has their classes."""


class OneOf:
    """Annotates text that must be one of a table's names."""

    def __init__(self, names: Collection[str]) -> None:
        self.names = list(names)

    def __get_pydantic_core_schema__(
        self, source: type[str], handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        """What pydantic checks, and shows in the JSON schema."""
        return core_schema.literal_schema(self.names)


class OneOfOrOwn(OneOf):
    """Annotates the name of a data set: one of a table's, or a declared one of the user's own."""

    def __get_pydantic_core_schema__(
        self, source: type[str], handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        """What pydantic checks, and shows in the JSON schema."""
        return core_schema.with_info_wrap_validator_function(
            self._checked,
            super().__get_pydantic_core_schema__(source, handler),
            serialization=core_schema.plain_serializer_function_ser_schema(lambda value: value),
        )

    def _checked(
        self, value: Any, one_of: ValidatorFunctionWrapHandler, about: ValidationInfo
    ) -> str:
        """JSON is of checkpoints, which keep the name of own data beside their digest."""
        if about.mode == "json" and isinstance(value, str) and value not in self.names:
            return OwnDataset(Path(value))
        return value if isinstance(value, OwnDataset) else str(one_of(value))


CorruptionName = Annotated[str, OneOf(CORRUPTIONS)]
PretrainKind = Annotated[str, OneOf(LAYERS)]
_THE_DATASET = Field(description="the data set")
DatasetName = Annotated[str, OneOfOrOwn(DATASETS), _THE_DATASET]
FilterDatasetName = Annotated[str, OneOfOrOwn(FILTER_DATASETS), _THE_DATASET]
AnyDatasetName = Annotated[
    str, OneOfOrOwn(dict.fromkeys((*DATASETS, *FILTER_DATASETS))), _THE_DATASET
]
DigitRows = Annotated[
    int | None,
    Field(ge=1, le=MNIST.n_train_file, description=f"the digits of {MNIST.name} trained on"),
]
Seed = Annotated[int, Field(ge=0, le=2**32 - 1, description="the start of every random stream")]
LayerWidth = Annotated[int, Field(ge=1, le=100_000)]
Epochs = Annotated[int, Field(ge=1, le=100_000)]
LearningRate = Annotated[float, Field(gt=0, le=1000, description="the step of gradient descent")]
BatchSize = Annotated[int, Field(ge=1, le=100_000, description="examples per step")]
WeightDecay = Annotated[
    float, Field(ge=0, le=1, description="λ of the cost λ/2 times the squared weights")
]
"""λ/2 · Σ W² is added to the cost, biases left out; 0: not in ICML 2008."""


def expects(what: str) -> dict[str, Any]:
    """The `json_schema_extra` of a field whose message says this in place of what its type says."""
    return {"expected": what}


class Settings(BaseModel):
    """Base of every section: frozen, unknown keys refused, no silent conversion of types."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class ModelSettings(Settings):
    """The stack: units of each hidden layer, tied weights or not, how weights start."""

    hidden: tuple[LayerWidth, ...] = Field(
        min_length=1,
        max_length=MOST_LAYERS,
        strict=False,
        description="the units of each hidden layer",
        examples=[[1000, 1000, 1000]],
    )
    tied: bool = Field(True, description="the decoder uses the encoder's weights")
    init: InitKind = Field("glorot", description="how the weights start")


class CorruptionSettings(Settings):
    """What is done to the input of the layer being pretrained."""

    kind: CorruptionName = Field("masking", description="the kind of noise")
    destruction: float = Field(0.0, ge=0, lt=1, description="the fraction of inputs set to 0")
    """ν, the fraction of the inputs destroyed (masking, salt-and-pepper)."""
    sigma: float = Field(0.0, ge=0, le=100, description="the standard deviation of gaussian noise")
    """In units of the input."""
    pepper: float = Field(
        0.0, ge=-100, le=100, description="the lower of the two values of salt and pepper"
    )
    salt: float = Field(
        1.0, ge=-100, le=100, description="the upper of the two values of salt and pepper"
    )
    """Black and white, unless the inputs are no grey values in [0, 1]."""


class PretrainSettings(Settings):
    """Greedy unsupervised training of one layer after the other."""

    kind: PretrainKind = Field("autoencoder", description="what a layer is pretrained as")
    """A stack of RBMs is the DBN of the paper's table 1."""
    loss: LossKind = Field(
        "cross-entropy", description="what a layer's reconstruction is trained on"
    )
    learning_rate: LearningRate
    epochs: int = Field(ge=0, le=100_000, description="epochs per layer, 0 for no pretraining")
    batch_size: BatchSize = 20
    gibbs_steps: int = Field(
        1, ge=1, le=1000, description="steps of an RBM's Gibbs chain at each update"
    )
    """k of contrastive divergence, CD-k."""
    persistent: bool = Field(False, description="an RBM's Gibbs chains go on from step to step")
    """Persistent CD, with as many chains as a minibatch has rows."""
    sample_visible: bool = Field(True, description="an RBM's Gibbs chain draws its visible units")
    """False: the chain takes their probabilities (Hinton 2010, section 3.2)."""
    weight_decay: WeightDecay = 0.0
    contraction: float = Field(
        0.0, ge=0, le=1_000_000, description="λ of the contractive penalty on the encoder"
    )
    """λ of the contractive penalty λ ‖∂h/∂x‖²."""


class FinetuneSettings(Settings):
    """Supervised training of the whole network, stopped early on the validation error."""

    learning_rate: LearningRate
    max_epochs: Epochs = Field(description="the epochs after which training stops anyway")
    patience: Epochs = Field(description="epochs without a better validation error to wait")
    window: Epochs = Field(
        1, description="the last epochs whose validation errors are averaged, to tell the best"
    )
    """An epoch is judged by the mean validation error of so many epochs, itself the last of them
    (Prechelt 1998 has strips of epochs in the same way); 1: by its own error."""
    decrease: float = Field(
        0.0,
        ge=0,
        le=1000,
        description="δ of the learning rate ε / (1 + δ t) after t epochs, 0 for a constant one",
    )
    weight_decay: WeightDecay = 0.0
    batch_size: BatchSize = 20


class SubsetSettings(Settings):
    """Rows taken, evenly spread over each split, for quick trials; never for results."""

    train: int = Field(ge=1, description="rows of the training set")
    valid: int = Field(ge=1, description="rows of the validation set")
    test: int = Field(ge=1, description="rows of the test set")


class Experiment(Settings):
    """One fully resolved experiment."""

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
"""The coarse grid of each kernel where no gammas are given; one with gammas is taken as it is."""


def _grid(usual: tuple[float, ...], most: int, description: str) -> Any:
    """The field of a list of 1 to `most` values of the coarse grid."""
    return Field(usual, min_length=1, max_length=most, strict=False, description=description)


class SvmSettings(Settings):
    """The support vector machines to choose from: a coarse grid, then a finer look around the best.

    exp(−γ |x − y|²) is the kernel rbf, (γ x·y + offset)^degree the kernel poly, whose degrees and
    offsets mean nothing for rbf.
    """

    kernel: SvmKernel = Field(description="the kernel of the SVM")
    gammas: tuple[Annotated[float, Field(gt=0, le=1000)], ...] = _grid(
        (), 50, "the gammas of the coarse grid"
    )
    degrees: tuple[Annotated[int, Field(ge=1, le=20)], ...] = _grid(
        (2, 3, 4, 6, 9), 20, "the degrees of the coarse grid, for the kernel poly"
    )
    offsets: tuple[Annotated[float, Field(ge=0, le=1000)], ...] = _grid(
        (1.0,), 20, "the offsets of the coarse grid, for the kernel poly"
    )
    destructions: tuple[Annotated[float, Field(ge=0, lt=1)], ...] = _grid(
        (0.0,), 20, "the fractions of each training row's inputs to be set to 0"
    )
    """ν: validation and test rows stay as they are."""
    penalties: tuple[Annotated[float, Field(gt=0, le=1_000_000_000)], ...] = _grid(
        (0.1, 1.0, 10.0, 100.0), 50, "the penalties C of the coarse grid"
    )
    widen: bool = Field(
        False, description="a row more beyond each edge of the grid that its best lies at"
    )
    refine: bool = Field(True, description="a finer look around the best of the grid")

    @property
    def coarse_trials(self) -> int:
        """How many trials the coarse grid has, before any refinement."""
        degrees = len(self.degrees) if self.kernel == "poly" else 1
        kernels = len(self.gammas) * degrees * len(self.offsets) * len(self.destructions)
        return kernels * len(self.penalties)

    @model_validator(mode="before")
    @classmethod
    def _usual_grid(cls, values: Any) -> Any:
        """Fill in the grid that the kernel decides where no gammas are given."""
        if not isinstance(values, dict) or "gammas" in values:
            return values
        kernel = values.get("kernel")
        return (USUAL_GRIDS.get(kernel, {}) if isinstance(kernel, str) else {}) | values


class SvmExperiment(Settings):
    """One fully resolved experiment of an SVM, selected on the validation rows.

    Nothing but the inputs to be destroyed is drawn at random.
    """

    dataset: DatasetName
    svm: SvmSettings
    subset: SubsetSettings | None = None
    seed: Seed = 0


class PatchSettings(Settings):
    """Patches cut out of photographs, and what is done to the photographs before."""

    side: int = Field(12, ge=4, le=64, description="the pixels of a patch's side")
    count: int = Field(500_000, ge=100, le=5_000_000, description="the patches trained on")
    whitening: WhiteningKind = Field(
        "olshausen-field", description="how the spectrum of the photographs is made flat"
    )
    """olshausen-field multiplies it by f · exp(−(f/f₀)⁴): flat, without the highest frequencies."""
    cutoff: float = Field(
        0.4, gt=0, le=1, description="the frequency where whitening ends, in cycles per pixel"
    )
    """f₀; of no meaning without whitening."""
    deviation: float = Field(
        1.0, gt=0, le=100, description="the standard deviation that pixels are scaled to"
    )
    """The unit of sigma: one number scales all patches, whose mean is taken away."""


class FilterExperiment(Settings):
    """One fully resolved experiment on filters: an autoencoder alone, without labels or test."""

    dataset: FilterDatasetName
    patches: PatchSettings | None = None
    """Of photographs alone."""
    rows: DigitRows = None
    """Of MNIST, evenly spread, for quick trials; all 60 000 unless given."""
    model: ModelSettings
    corruption: CorruptionSettings = CorruptionSettings()
    pretrain: PretrainSettings
    seed: Seed = 0

    @model_validator(mode="before")
    @classmethod
    def _usual_patches(cls, values: Any) -> Any:
        """Photographs are cut into patches, as usual where nothing else is said."""
        if not isinstance(values, dict) or values.get("dataset") != PHOTOGRAPHS:
            return values
        return values if values.get("patches") is not None else {**values, "patches": {}}

    @property
    def examples(self) -> int:
        """How many patches, digits or other rows are trained on."""
        if self.patches:
            return self.patches.count
        return self.rows or spec_of(self.dataset).n_train_file

    @property
    def inputs(self) -> int:
        """The components of an example, d."""
        return self.patches.side**2 if self.patches else spec_of(self.dataset).n_pixels


PretrainedExperiment = Experiment | FilterExperiment
"""What has a stack of layers that are pretrained."""

AnyExperiment = Experiment | SvmExperiment | FilterExperiment
"""What a cell may hold: a network to be trained, an SVM to be selected, or filters to look at."""

Kind = type[Experiment] | type[SvmExperiment] | type[FilterExperiment]
KINDS: dict[Kind, str] = {
    Experiment: "a network",
    SvmExperiment: "an SVM",
    FilterExperiment: "trained for its filters alone",
}
"""The kinds of experiments, and what each one is, in words."""


class SettingsFile(Settings):
    """What may stand in one file of settings, which others complete: the sections of every kind."""

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
"""The first keys that some kind of experiment has."""


def _keys_of(section: str) -> list[str]:
    hint = SettingsFile.model_fields[section].annotation
    for one in (hint, *get_args(hint)):
        if isinstance(one, type) and issubclass(one, Settings):
            return [f"{section}.{key}" for key in one.model_fields]
    return [section]


SETTING_KEYS = tuple(key for section in SECTIONS for key in _keys_of(section))
"""The dotted key of every setting, such as `model.hidden`, in their order."""


def labelled(dataset: object) -> DatasetSpec | None:
    """What is known of the data set that a `dataset` key names; None of one without labels."""
    spec = known_spec(dataset)
    return spec if spec and spec.n_classes else None


def for_filters(dataset: object) -> bool:
    """Whether filters alone can be learned from the data set that a `dataset` key names."""
    return isinstance(dataset, OwnDataset) or dataset in FILTER_DATASETS


def kind_of(values: Mapping[str, Any]) -> Kind:
    """The kind of experiment that merged settings describe.

    A cell is an SVM where it has an `svm` section, its own or one that its study shares. It is
    trained for its filters alone where its data set has no labels, or can be used without and it
    has no `finetune` section, its own or shared.
    """
    if "svm" in values:
        return SvmExperiment
    dataset = values.get("dataset")
    unread = isinstance(dataset, OwnDataset) and dataset.facts is None  # it may have labels
    if for_filters(dataset) and not ((unread or labelled(dataset)) and "finetune" in values):
        return FilterExperiment
    return Experiment


def as_network(experiment: AnyExperiment) -> Experiment:
    """The experiment, known to be that of a network; TypeError if it is not."""
    if not isinstance(experiment, Experiment):
        raise TypeError(f"{KINDS[type(experiment)]}, where only a network can be")
    return experiment


def as_pretrained(experiment: AnyExperiment) -> PretrainedExperiment:
    """The experiment, known to have layers that are pretrained; TypeError of an SVM."""
    if isinstance(experiment, SvmExperiment):
        raise TypeError("an SVM, where only what is pretrained can be")
    return experiment


def weights_between(widths: Sequence[int]) -> int:
    """Count the weights of a network with layers of these widths, without biases."""
    return sum(below * above for below, above in pairwise(widths))
