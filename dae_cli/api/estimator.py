"""A stacked denoising autoencoder as a scikit-learn estimator.

It trains like `dae train`, with the same settings, checks and engines. The same rows and splits
give the same bits.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from numbers import Real
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.base import (
    BaseEstimator,
    ClassifierMixin,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
)
from sklearn.exceptions import NotFittedError
from sklearn.utils import check_consistent_length, check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, column_or_1d, validate_data

from dae_cli.config.messages import KeyPath, Problem, config_error, errors_of, problems_with
from dae_cli.config.reader import Document, Place, merge, read_value
from dae_cli.config.rules import contradictions
from dae_cli.config.schema import Experiment, LossKind
from dae_cli.data.dataset import BEYOND, Dataset, Split
from dae_cli.data.datasets import OwnDataset
from dae_cli.data.own.content import drawn_rows
from dae_cli.data.own.declaration import Declaration, OwnFacts
from dae_cli.data.own.files import OwnRows
from dae_cli.engines.engine import Engine, default_engine, engine_for
from dae_cli.engines.names import EngineChoice
from dae_cli.errors import ConfigError, DataError
from dae_cli.models.layers import Encoder
from dae_cli.models.network import Layer, Network
from dae_cli.study.run.run import one_thread
from dae_cli.training.evaluation import predict_rows, score_rows, through_layers
from dae_cli.training.inputs import ArrayRows, Pixels
from dae_cli.training.run import Callbacks, TrainingRun
from dae_cli.training.state import initial_state

_KEYS = {
    "hidden": ("model.hidden",),
    "destruction": ("corruption.destruction",),
    "loss": ("pretrain.loss",),
    "pretrain_learning_rate": ("pretrain.learning_rate",),
    "pretrain_epochs": ("pretrain.epochs",),
    "learning_rate": ("finetune.learning_rate",),
    "max_epochs": ("finetune.max_epochs",),
    "patience": ("finetune.patience",),
    "batch_size": ("pretrain.batch_size", "finetune.batch_size"),
}
"""Keys of an experiment that each parameter sets."""
_NOT_IN_SETTINGS = {key: name for name, keys in _KEYS.items() for key in keys} | {
    "seed": "random_state",
    "dataset": "X",
    "subset": "X",
}
_WIDEST = 40
"""Maximum number of characters of a value in a message."""
_CPU = torch.device("cpu")
_Floats = NDArray[np.float32]
_Numbers = NDArray[np.intp]
_Labelled = tuple[_Floats, _Numbers]
"""Rows (n, inputs) and class numbers from 0, (n,)."""


class StackedDenoisingAutoencoder(
    ClassNamePrefixFeaturesOutMixin,  # type: ignore[misc]
    TransformerMixin,  # type: ignore[misc]
    ClassifierMixin,  # type: ignore[misc]
    BaseEstimator,  # type: ignore[misc]
):
    """Stacked denoising autoencoder: pretrained layer by layer, then fine-tuned with labels.

    Without labels it is only pretrained and acts as a transformer. Rows are converted to float32;
    with cross-entropy loss their values must be in [0, 1].

    Parameters
    ----------
    hidden : number of units of each hidden layer.
    destruction : fraction of a layer's inputs that are set to 0 in pretraining; 0 gives an
        autoencoder without corruption.
    loss : "cross-entropy", or "squared-error" with a linear decoder.
    pretrain_learning_rate, pretrain_epochs : for pretraining; epochs are per layer, 0 skips it.
    learning_rate, max_epochs, patience : for fine-tuning, which stops after `patience` epochs
        without a better validation error and keeps the parameters of the best epoch.
        `max_epochs=0` skips fine-tuning and ignores labels, for features in a Pipeline.
    batch_size : rows per minibatch, in pretraining and fine-tuning.
    validation_fraction : fraction of the rows of each class used for early stopping, unless `fit`
        gets validation rows. The draw equals that of a declaration with the same `split.seed`.
    engine : "compiled", "torch", or "auto": compiled if the processor supports it.
    random_state : seed of the experiment and of the draw of validation rows.
    settings : further settings of an experiment, such as {"finetune": {"weight_decay": 1e-4}}.

    Attributes
    ----------
    classes_ : sorted labels; only if fitted with labels.
    coefs_, intercepts_ : arrays (inputs, units) and (units,) of each layer, the softmax layer last;
        without labels, those of the pretrained encoders.
    metrics_ : DataFrame with one row per epoch and the columns of a run's metrics.csv.
    engine_ : name of the engine that was used.
    n_features_in_, feature_names_in_ : as in all estimators.
    """

    def __init__(
        self,
        hidden: Sequence[int] = (200,),
        *,
        destruction: float = 0.25,
        loss: LossKind = "cross-entropy",
        pretrain_learning_rate: float = 0.1,
        pretrain_epochs: int = 10,
        learning_rate: float = 0.1,
        max_epochs: int = 50,
        patience: int = 10,
        batch_size: int = 20,
        validation_fraction: float = 0.15,
        engine: EngineChoice = "auto",
        random_state: int | np.random.RandomState | None = 0,
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        self.hidden = hidden
        self.destruction = destruction
        self.loss = loss
        self.pretrain_learning_rate = pretrain_learning_rate
        self.pretrain_epochs = pretrain_epochs
        self.learning_rate = learning_rate
        self.max_epochs = max_epochs
        self.patience = patience
        self.batch_size = batch_size
        self.validation_fraction = validation_fraction
        self.engine = engine
        self.random_state = random_state
        self.settings = settings

    def fit(
        self,
        X: ArrayLike,
        y: ArrayLike | None = None,
        X_valid: ArrayLike | None = None,
        y_valid: ArrayLike | None = None,
    ) -> StackedDenoisingAutoencoder:
        """Pretrain, and fine-tune if there are labels.

        `X_valid` and `y_valid`, if given, serve early stopping; all of X is used for training.

        Raises ValueError: invalid parameters or rows. DivergedError: the cost was not finite.
        """
        checked = {"dtype": (np.float32, np.float64), "ensure_min_samples": 2}
        classes: NDArray[Any] | None = None
        seed = self._seed()
        if y is None or self.max_epochs == 0:
            rows = validate_data(self, X, **checked).astype(np.float32)
            dataset = _dataset((rows, np.zeros(len(rows), np.intp)), None, 0)
        else:
            rows, labels = validate_data(self, X, y, **checked)
            rows = rows.astype(np.float32)
            classes, numbers = _classes(labels)
            train, valid = self._split(rows, numbers, classes, X_valid, y_valid, seed)
            dataset = _dataset(train, valid, len(classes))
        experiment = self._experiment(dataset, seed)
        if experiment.pretrain.loss == "cross-entropy":
            _require_probabilities(rows, "X")
            _require_probabilities(dataset.valid.pixels, "X_valid")
            for split in (dataset.train, dataset.valid):
                np.clip(split.pixels, 0, 1, out=split.pixels)
        if classes is None and not experiment.pretrain.epochs:
            raise ValueError("nothing to train: pretrain_epochs=0 needs y, and max_epochs above 0")
        engine = self._chosen_engine()
        state = initial_state(experiment, rows.shape[1])
        run = TrainingRun(experiment, state, engine, Callbacks())
        with one_thread():
            if classes is None:
                run.pretrain(Pixels(dataset.train, experiment.pretrain.batch_size))
            else:
                run.train(dataset)
        layers = [(layer.weight, layer.hidden_bias) for layer in state.layers]
        self.__dict__.pop("classes_", None)  # left by an earlier fit
        if state.best is not None:
            self.classes_ = classes
            layers = [(layer.weight, layer.bias) for layer in state.best]
        self.coefs_ = [np.ascontiguousarray(weight.numpy()).T for weight, _ in layers]
        self.intercepts_ = [bias.numpy() for _, bias in layers]
        self.metrics_ = pd.DataFrame([asdict(record) for record in state.history])
        self.engine_ = engine.name
        return self

    def transform(self, X: ArrayLike) -> _Floats:
        """Return the codes of the last hidden layer, (n, units), after fine-tuning if any."""
        check_is_fitted(self, "coefs_")
        rows = self._rows(X)
        layers = [Encoder(one.weight, one.bias, torch.zeros(0)) for one in self._layers()]
        codes = np.empty((len(rows), self._n_features_out), dtype=np.float32)
        with one_thread():
            through_layers(rows, layers[: self._depth], self._saved_engine(), codes)
        return codes

    def predict_proba(self, X: ArrayLike) -> _Floats:
        """Return the probability of each class, (n, classes), in the order of `classes_`."""
        network, rows = self._network(), self._rows(X)
        with one_thread():
            scores = torch.from_numpy(score_rows(network, rows, self._saved_engine()))
        probabilities: _Floats = torch.softmax(scores, dim=1).numpy()
        return probabilities

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Return the most probable class of each row, (n,)."""
        network, rows = self._network(), self._rows(X)
        with one_thread():
            predicted = predict_rows(network, rows, self._saved_engine())
        classes: NDArray[Any] = np.asarray(self.classes_)[predicted]
        return classes

    def __sklearn_tags__(self) -> Any:
        """Declare that labels are optional and codes are float32."""
        tags = super().__sklearn_tags__()
        tags.target_tags.required = False
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags

    @property
    def _n_features_out(self) -> int:  # for get_feature_names_out
        return len(self.intercepts_[self._depth - 1])

    @property
    def _depth(self) -> int:
        """Number of hidden layers: all layers but the softmax layer."""
        return len(self.coefs_) - hasattr(self, "classes_")

    def _split(
        self,
        rows: _Floats,
        numbers: _Numbers,
        classes: NDArray[Any],
        X_valid: ArrayLike | None,
        y_valid: ArrayLike | None,
        seed: int,
    ) -> tuple[_Labelled, _Labelled]:
        """Training and validation rows with their class numbers; validation is given or drawn."""
        if (X_valid is None) != (y_valid is None):
            raise ValueError("pass both X_valid and y_valid, or neither")
        if X_valid is None:
            valid, train = self._drawn(numbers, classes, seed)
            return (rows[train], numbers[train]), (rows[valid], numbers[valid])
        given = validate_data(self, X_valid, reset=False, dtype=np.float32)
        labels = column_or_1d(y_valid)
        check_consistent_length(given, labels)
        if unknown := sorted(set(labels.tolist()) - set(classes.tolist())):
            raise ValueError(f"y_valid contains the label {unknown[0]!r}, which is not in y")
        return (rows, numbers), (given, np.searchsorted(classes, labels))

    def _drawn(self, numbers: _Numbers, classes: NDArray[Any], seed: int) -> list[_Numbers]:
        """Draw the indices of validation and training rows, class by class."""
        fraction = self.validation_fraction
        if not isinstance(fraction, Real) or not 0 < fraction < 1:
            raise ValueError(f"validation_fraction={fraction}: must be above 0 and below 1")
        try:
            rows = OwnRows("X", numbers[:, None], numbers.astype(np.str_))
            return drawn_rows(rows, [fraction], seed)
        except DataError:
            counts = np.bincount(numbers)
            raise ValueError(
                f"the class {classes.tolist()[counts.argmin()]!r} has n_samples={counts.min()}, "
                "too few for training and validation rows with "
                f"validation_fraction={fraction}; pass X_valid and y_valid, or leave the class out"
            ) from None

    def _seed(self) -> int:
        given = self.random_state
        if isinstance(given, int | np.integer):
            if not 0 <= given < 2**32:
                raise ValueError(f"random_state={given}: must be from 0 to {2**32 - 1}")
            return int(given)
        return int(check_random_state(given).randint(2**32, dtype=np.uint32))

    def _experiment(self, dataset: Dataset, seed: int) -> Experiment:
        """Build the experiment and check its settings like those of a file."""
        facts = OwnFacts(
            declared="X",
            declaration=Declaration(file="X"),
            sha256="0" * 64,
            rows=(len(dataset.train), len(dataset.valid), 0),
            image=(1, dataset.train.pixels.shape[1]),
        )
        here: dict[KeyPath, Place] = {(): Place(""), ("dataset",): Place("X")}
        document = Document({"dataset": OwnDataset(Path("X"), facts)}, here)
        found, problems = _written("settings", "", self.settings or {})
        if not isinstance(found.value, dict):
            raise ValueError(f"settings={self.settings!r}: must be a mapping of sections, or None")
        for key, name in _NOT_IN_SETTINGS.items():
            if found.has(path := tuple(key.split("."))):
                problems.append(found.problem(path, f"is set by the parameter {name}; pass that"))
        parameters = {key: name for name, keys in _KEYS.items() for key in keys}
        values = self.get_params(deep=False) | {
            "max_epochs": 1 if self.max_epochs == 0 else self.max_epochs
        }
        parts = [_written(name, key, values[name]) for key, name in parameters.items()]
        parts.append(_written("random_state", "seed", seed))
        document = merge(document, found, *(part for part, _ in parts))
        problems += [problem for _, some in parts for problem in some]
        problems += problems_with(Experiment, document)
        wrong = {error["loc"][:2] for error in errors_of(Experiment, document.value)}
        problems += [document.problem(*p) for p in contradictions(document, Experiment, wrong)]
        if problems:
            raise ValueError(str(config_error(type(self).__name__, problems)))
        return Experiment.model_validate(document.value)

    def _chosen_engine(self) -> Engine:
        try:
            if self.engine == "auto":
                return engine_for(default_engine(_CPU, warnings.warn), _CPU)
            return engine_for(self.engine, _CPU)
        except ConfigError as error:
            raise ValueError(f"engine={self.engine!r}: {error}") from error

    def _saved_engine(self) -> Engine:
        """The engine that was used, or torch if it is not available on this machine."""
        try:
            return engine_for(self.engine_, _CPU)
        except ConfigError:
            return engine_for("torch", _CPU)

    def _layers(self) -> list[Layer]:
        pairs = zip(self.coefs_, self.intercepts_, strict=True)
        return [Layer(torch.tensor(coef.T), torch.tensor(bias)) for coef, bias in pairs]

    def _network(self) -> Network:
        check_is_fitted(self, "coefs_")
        if not hasattr(self, "classes_"):
            raise NotFittedError(
                "fitted without labels or with max_epochs=0, so it can transform but not predict; "
                "call fit with y and max_epochs above 0"
            )
        *layers, top = self._layers()
        return Network(layers, top)

    def _rows(self, X: ArrayLike) -> ArrayRows:
        return ArrayRows(validate_data(self, X, reset=False, dtype=np.float32))


def _written(name: str, key: str, value: object) -> tuple[Document, list[Problem]]:
    """Make a document with the value of a parameter at a dotted key."""
    text = json.dumps(value, default=lambda v: v.tolist() if hasattr(v, "tolist") else str(v))
    written = text if len(text) <= _WIDEST else f"{text[:_WIDEST]}…"
    place = Place(f"{name}={written}" if key else name, argument_key=key)
    found, problems = read_value(text, place)
    path = tuple(filter(None, key.split(".")))
    return (found or Document({}, {(): place})).part((), under=path), problems


def _classes(y: NDArray[Any]) -> tuple[NDArray[Any], _Numbers]:
    """The sorted labels, and the class number of each row."""
    check_classification_targets(y)
    classes, numbers = np.unique(y, return_inverse=True)
    if len(classes) < 2:
        raise ValueError(f"y has one class, {classes.tolist()[0]!r}; expected at least two")
    return classes, numbers


def _dataset(train: _Labelled, valid: _Labelled | None, classes: int) -> Dataset:
    none = train[0][:0], train[1][:0]
    a, b, c = (Split(rows, labels, 1.0) for rows, labels in (train, valid or none, none))  # type: ignore[arg-type]
    return Dataset("X", classes, a, b, c, "own", "")


def _require_probabilities(rows: NDArray[Any], name: str) -> None:
    wrong = (rows < -BEYOND) | (rows > 1 + BEYOND)
    if wrong.any():
        row, column = np.argwhere(wrong)[0]
        raise ValueError(
            f"{name}[{row}, {column}] is {rows[row, column]:g} (values range from {rows.min():g} "
            f"to {rows.max():g}), but the cross-entropy loss needs values from 0 to 1; put a "
            "MinMaxScaler before the estimator in a Pipeline, or set loss='squared-error'"
        )
