"""The schema of an experiment: what a resolved config holds, read like the paper's protocol.

The description of a field ends the error message about it: "must be from 0 to 1: <description>".
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

DatasetName = Literal[
    "basic", "rot", "bg-rand", "bg-img", "rot-bg-img", "rect", "rect-img", "convex"
]
CorruptionKind = Literal["masking", "gaussian", "salt-and-pepper"]
LossKind = Literal["cross-entropy", "squared-error"]
InitKind = Literal["glorot", "tutorial"]
PretrainKind = Literal["autoencoder", "rbm"]

LayerWidth = Annotated[int, Field(ge=1, le=100_000)]
LearningRate = Annotated[
    float, Field(gt=0, le=1000, allow_inf_nan=False, description="the step of gradient descent")
]
BatchSize = Annotated[int, Field(ge=1, le=100_000, description="examples per step")]


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
