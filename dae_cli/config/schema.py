"""The schema of an experiment: what a resolved config holds, read like the paper's protocol.

The description of a field ends the error message about it: "must be from 0 to 1: <description>".
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from dae_cli.data.datasets import DATASETS, MNIST

DatasetName = Literal[
    "basic", "rot", "bg-rand", "bg-img", "rot-bg-img", "rect", "rect-img", "convex", "mnist"
]
FilterDatasetName = Literal["mnist", "photographs"]
CorruptionKind = Literal["masking", "gaussian", "salt-and-pepper"]
LossKind = Literal["cross-entropy", "squared-error"]
InitKind = Literal["glorot", "tutorial"]
PretrainKind = Literal["autoencoder", "rbm"]
SvmKernel = Literal["rbf", "poly"]
WhiteningKind = Literal["none", "olshausen-field"]

LayerWidth = Annotated[int, Field(ge=1, le=100_000)]
LearningRate = Annotated[
    float, Field(gt=0, le=1000, allow_inf_nan=False, description="the step of gradient descent")
]
BatchSize = Annotated[int, Field(ge=1, le=100_000, description="examples per step")]
WeightDecay = Annotated[
    float,
    Field(
        ge=0, le=1, allow_inf_nan=False, description="λ of the cost λ/2 times the squared weights"
    ),
]
Gamma = Annotated[float, Field(gt=0, le=1000, allow_inf_nan=False)]
Degree = Annotated[int, Field(ge=1, le=20)]
Offset = Annotated[float, Field(ge=0, le=1000, allow_inf_nan=False)]
Destruction = Annotated[float, Field(ge=0, lt=1, allow_inf_nan=False)]
Penalty = Annotated[float, Field(gt=0, le=1_000_000_000, allow_inf_nan=False)]


class Settings(BaseModel):
    """Base of every section: frozen, unknown keys refused, no silent conversion of types."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class ModelSettings(Settings):
    """The stack: units of each hidden layer, tied weights or not, how weights start."""

    hidden: Annotated[
        tuple[LayerWidth, ...],
        Field(
            min_length=1, max_length=20, strict=False, description="the units of each hidden layer"
        ),
    ]
    tied: Annotated[bool, Field(description="the decoder uses the encoder's weights")] = True
    init: Annotated[InitKind, Field(description="how the weights start")] = "glorot"


class CorruptionSettings(Settings):
    """What is done to the input of the layer being pretrained."""

    kind: Annotated[CorruptionKind, Field(description="the kind of noise")] = "masking"
    destruction: Annotated[
        float, Field(ge=0, lt=1, description="the fraction of inputs set to 0")
    ] = 0.0
    """ν, the fraction of the inputs destroyed (masking, salt-and-pepper)."""
    sigma: Annotated[
        float, Field(ge=0, le=100, description="the standard deviation of gaussian noise")
    ] = 0.0
    """Standard deviation of the additive noise (gaussian), in units of the input."""
    pepper: Annotated[
        float, Field(ge=-100, le=100, description="the lower of the two values of salt and pepper")
    ] = 0.0
    salt: Annotated[
        float, Field(ge=-100, le=100, description="the upper of the two values of salt and pepper")
    ] = 1.0
    """Black and white, unless the inputs are no grey values in [0, 1]."""


class PretrainSettings(Settings):
    """Greedy unsupervised training of one layer after the other."""

    kind: Annotated[PretrainKind, Field(description="what a layer is pretrained as")] = (
        "autoencoder"
    )
    """A stack of RBMs is the DBN of the paper's table 1."""
    loss: Annotated[LossKind, Field(description="what a layer's reconstruction is trained on")] = (
        "cross-entropy"
    )
    learning_rate: LearningRate
    epochs: Annotated[
        int, Field(ge=0, le=100_000, description="epochs per layer, 0 for no pretraining")
    ]
    """Epochs per layer; 0 means no pretraining."""
    batch_size: BatchSize = 20
    gibbs_steps: Annotated[
        int, Field(ge=1, le=1000, description="steps of an RBM's Gibbs chain at each update")
    ] = 1
    """k of contrastive divergence, CD-k."""
    persistent: Annotated[
        bool, Field(description="an RBM's Gibbs chains go on from step to step")
    ] = False
    """Persistent CD, with as many chains as a minibatch has rows."""
    sample_visible: Annotated[
        bool, Field(description="an RBM's Gibbs chain draws its visible units")
    ] = True
    """False: the chain takes their probabilities (Hinton 2010, section 3.2)."""
    weight_decay: WeightDecay = 0.0
    """λ: λ/2 · Σ W² is added to the cost, biases left out; 0, the default: not in ICML 2008."""
    contraction: Annotated[
        float,
        Field(
            ge=0,
            le=1_000_000,
            allow_inf_nan=False,
            description="λ of the contractive penalty on the encoder",
        ),
    ] = 0.0
    """λ of the contractive penalty λ ‖∂h/∂x‖²; 0, the default: none."""


class FinetuneSettings(Settings):
    """Supervised training of the whole network, stopped early on the validation error."""

    learning_rate: LearningRate
    max_epochs: Annotated[
        int, Field(ge=1, le=100_000, description="the epochs after which training stops anyway")
    ]
    patience: Annotated[
        int,
        Field(ge=1, le=100_000, description="epochs without a better validation error to wait"),
    ]
    """Epochs without a better validation error before training stops."""
    window: Annotated[
        int,
        Field(
            ge=1,
            le=100_000,
            description="the last epochs whose validation errors are averaged, to tell the best",
        ),
    ] = 1
    """An epoch is judged by the mean validation error of so many epochs, itself the last of them
    (Prechelt 1998 has strips of epochs in the same way); 1, the default: by its own error."""
    decrease: Annotated[
        float,
        Field(
            ge=0,
            le=1000,
            allow_inf_nan=False,
            description="δ of the learning rate ε / (1 + δ t) after t epochs, 0 for a constant one",
        ),
    ] = 0.0
    """δ: the learning rate is ε / (1 + δ t) after t epochs; 0, the default: constant."""
    weight_decay: WeightDecay = 0.0
    """λ: λ/2 · Σ W² is added to the cost, biases left out; 0, the default: not in the paper."""
    batch_size: BatchSize = 20


class SubsetSettings(Settings):
    """Rows taken, evenly spread over each split, for quick trials; never for results."""

    train: Annotated[int, Field(ge=1, description="rows of the training set")]
    valid: Annotated[int, Field(ge=1, description="rows of the validation set")]
    test: Annotated[int, Field(ge=1, description="rows of the test set")]


class Experiment(Settings):
    """One fully resolved experiment."""

    dataset: Annotated[DatasetName, Field(description="the data set")]
    model: ModelSettings
    corruption: CorruptionSettings = CorruptionSettings()
    pretrain: PretrainSettings
    finetune: FinetuneSettings
    subset: SubsetSettings | None = None
    seed: Annotated[
        int, Field(ge=0, le=2**32 - 1, description="the start of every random stream")
    ] = 0


USUAL_GRIDS: dict[str, dict[str, Any]] = {
    "rbf": {"gammas": (0.001, 0.01, 0.1), "widen": True},
    "poly": {"gammas": (0.001, 0.01, 0.1, 1.0), "offsets": (0.0, 1.0), "widen": True},
}
"""The coarse grid of each kernel where no gammas are given; one with gammas is taken as it is."""


class SvmSettings(Settings):
    """The support vector machines to choose from: a coarse grid, then a finer look around the best.

    exp(−γ |x − y|²) is the kernel rbf, (γ x·y + offset)^degree the kernel poly.
    """

    kernel: Annotated[SvmKernel, Field(description="the kernel of the SVM")]
    gammas: Annotated[
        tuple[Gamma, ...],
        Field(
            min_length=1, max_length=50, strict=False, description="the gammas of the coarse grid"
        ),
    ] = ()
    degrees: Annotated[
        tuple[Degree, ...],
        Field(
            min_length=1,
            max_length=20,
            strict=False,
            description="the degrees of the coarse grid, for the kernel poly",
        ),
    ] = (2, 3, 4, 6, 9)
    """Of no meaning for the kernel rbf."""
    offsets: Annotated[
        tuple[Offset, ...],
        Field(
            min_length=1,
            max_length=20,
            strict=False,
            description="the offsets of the coarse grid, for the kernel poly",
        ),
    ] = (1.0,)
    """Of no meaning for the kernel rbf."""
    destructions: Annotated[
        tuple[Destruction, ...],
        Field(
            min_length=1,
            max_length=20,
            strict=False,
            description="the fractions of each training row's inputs to be set to 0",
        ),
    ] = (0.0,)
    """ν: validation and test rows stay as they are."""
    penalties: Annotated[
        tuple[Penalty, ...],
        Field(
            min_length=1,
            max_length=50,
            strict=False,
            description="the penalties C of the coarse grid",
        ),
    ] = (0.1, 1.0, 10.0, 100.0)
    widen: Annotated[
        bool, Field(description="a row more beyond each edge of the grid that its best lies at")
    ] = False
    refine: Annotated[bool, Field(description="a finer look around the best of the grid")] = True

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

    dataset: Annotated[DatasetName, Field(description="the data set")]
    svm: SvmSettings
    subset: SubsetSettings | None = None
    seed: Annotated[
        int, Field(ge=0, le=2**32 - 1, description="the start of every random stream")
    ] = 0


class PatchSettings(Settings):
    """Patches cut out of photographs, and what is done to the photographs before."""

    side: Annotated[int, Field(ge=4, le=64, description="the pixels of a patch's side")] = 12
    count: Annotated[int, Field(ge=100, le=5_000_000, description="the patches trained on")] = (
        500_000
    )
    whitening: Annotated[
        WhiteningKind, Field(description="how the spectrum of the photographs is made flat")
    ] = "olshausen-field"
    """olshausen-field multiplies it by f · exp(−(f/f₀)⁴): flat, without the highest frequencies."""
    cutoff: Annotated[
        float,
        Field(gt=0, le=1, description="the frequency where whitening ends, in cycles per pixel"),
    ] = 0.4
    """f₀; of no meaning without whitening."""
    deviation: Annotated[
        float, Field(gt=0, le=100, description="the standard deviation that pixels are scaled to")
    ] = 1.0
    """The unit of sigma: one number scales all patches, whose mean is taken away."""


class FilterExperiment(Settings):
    """One fully resolved experiment on filters: an autoencoder alone, without labels or test."""

    dataset: Annotated[FilterDatasetName, Field(description="the data set")]
    patches: PatchSettings | None = None
    """Of photographs alone."""
    rows: Annotated[
        int | None, Field(ge=1, le=MNIST.n_train_file, description="the digits of mnist trained on")
    ] = None
    """Of MNIST, evenly spread, for quick trials; all 60 000 unless given."""
    model: ModelSettings
    corruption: CorruptionSettings = CorruptionSettings()
    pretrain: PretrainSettings
    seed: Annotated[
        int, Field(ge=0, le=2**32 - 1, description="the start of every random stream")
    ] = 0

    @model_validator(mode="before")
    @classmethod
    def _usual_patches(cls, values: Any) -> Any:
        """Photographs are cut into patches, as usual where nothing else is said."""
        if not isinstance(values, dict) or values.get("dataset") != "photographs":
            return values
        return values if values.get("patches") is not None else {**values, "patches": {}}

    @property
    def inputs(self) -> int:
        """The components of an example, d."""
        return self.patches.side**2 if self.patches else DATASETS[self.dataset].n_pixels


PretrainedExperiment = Experiment | FilterExperiment
"""What has a stack of layers that are pretrained."""

AnyExperiment = Experiment | SvmExperiment | FilterExperiment
"""What a cell may hold: a network to be trained, an SVM to be selected, or filters to look at."""
