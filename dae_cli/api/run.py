"""Codes, reconstructions, predictions and filters of a finished run, for notebooks.

run = dae_cli.load_run("results/icml2008/runs/convex-sda3-25-s0-1a2b3c4d")
codes = run.encode(X)
"""

from __future__ import annotations

import io
import math
import os
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from dae_cli.api.rows import class_labels, width_of_rows
from dae_cli.config.schema import AnyExperiment, SvmExperiment, as_pretrained
from dae_cli.data.dataset import BEYOND
from dae_cli.data.datasets import PHOTOGRAPHS, OwnDataset, known_spec, spec_of
from dae_cli.data.own.files import OwnRows
from dae_cli.data.own.further import columns_trained_on, scaling_of
from dae_cli.errors import ConfigError, DataError, RunFolderError
from dae_cli.models.corruption import corruption_of
from dae_cli.models.layers import Encoder
from dae_cli.study.counting import RecordedData, finished_run, load_network
from dae_cli.study.named_runs import run_folder
from dae_cli.study.run.engine_choice import engine_for_counting
from dae_cli.study.run.filters import as_shown
from dae_cli.study.run.job import CHECKPOINT, model_name
from dae_cli.study.run.record import Status
from dae_cli.study.run.run import one_thread
from dae_cli.svm.files import load_svm
from dae_cli.svm.svm import Svm
from dae_cli.training.evaluation import predict_rows, through_layers
from dae_cli.training.inputs import ArrayRows
from dae_cli.training.state import TrainingState, metrics_csv
from dae_cli.training.streams import Purpose, stream

if TYPE_CHECKING:
    import pandas as pd

PathLike = str | os.PathLike[str]
Rows = NDArray[np.float32]


def load_run(path: PathLike, *, data_dir: PathLike | None = None) -> Run:
    """Read a finished run.

    `path` is the run's folder, or an experiment whose newest finished run is read. `data_dir`
    contains your copies of the data sets (DAE_DATA_DIR); only runs of SVMs need it, for their
    support vectors.

    Raises:
        DaeError: the run does not exist, is not finished, or is damaged.
    """
    folder = run_folder(os.fspath(path), _silent)
    return Run(*finished_run(folder), None if data_dir is None else Path(data_dir))


class Run:
    """A finished run, read by `load_run`.

    `X` is an array (n, inputs) of numbers in the scale of the training data: grey values in [0, 1]
    for the data sets of the benchmark. All methods compute in float32 with one thread and the run's
    engine (torch if that is not available here), so results have the bits of the commands.

    Methods raise DataError if `X` has another shape or values that are not finite or out of range.
    They raise RunFolderError if the run cannot give the result: an SVM has no layers, and an
    autoencoder trained for its filters has no classes.
    """

    def __init__(
        self, path: Path, status: Status, experiment: AnyExperiment, data_dir: Path | None = None
    ) -> None:
        self.path, self._data_dir = path, data_dir
        self._status, self._experiment = status, experiment
        self._inputs, self._engine = width_of_rows(experiment), engine_for_counting(path)
        self._spec = known_spec(experiment.dataset)
        self._state: TrainingState | None = None
        if not isinstance(experiment, SvmExperiment):
            self._state = load_network(path, experiment, status.data_sha256)
            if self._state.best is not None:
                self._engine.prepare(self._state.best)

    def __repr__(self) -> str:
        """Show the run's name, model and data set."""
        about = f"{model_name(self._experiment)} on {self._experiment.dataset}"
        return f"<run {self.path.absolute().name}: {about}>"

    def scale(self, X: ArrayLike) -> Rows:
        """Scale rows as the run's data were: (n, inputs) in the units of its files.

        With `scale: minmax`, values outside the range of the training rows are clipped. Raises
        DataError if a value is outside a declared range, or if that of the training rows is lost.
        """
        rows = OwnRows("X", self._checked(X, is_scaled=False), None)
        return scaling_of(self._experiment.dataset, rows, _silent).applied(rows)

    def encode(self, X: ArrayLike, layer: int | None = None, *, pretrained: bool = False) -> Rows:
        """Return the codes of a layer, (n, units). Layer 1 is the lowest; default: the last.

        By default the codes are those of the fine-tuned network, from which it predicts; with
        `pretrained`, those learned without labels. A run trained for its filters has only
        pretrained codes; a run without pretraining has none.
        """
        state, last = self._network_state, self._depth if layer is None else layer
        if pretrained or state.best is None:
            layers = self._pretrained(last)
        else:
            below = state.best.layers[: self._checked_layer(last)]
            layers = [Encoder(one.weight, one.bias, torch.zeros(0)) for one in below]
        return self._computed(self._checked(X), layers)

    def reconstruct(self, X: ArrayLike, layer: int = 1) -> Rows:
        """Return the reconstructions, (n, inputs), of the codes of a layer.

        The encoders and decoders are those of pretraining, which trains them together. Fine-tuning
        trains only encoders, so fine-tuned codes have no decoder. An RBM gives P(v|h), h = P(h|v).
        """
        return self._computed(self._checked(X), self._pretrained(layer), and_back=True)

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Return the class of each row, (n,): class numbers, or the labels of your own data."""
        values = self._checked(X)
        if self._state and self._state.best is None:
            raise RunFolderError(
                f"{self.path}: was trained for its filters, without labels, so it has no classes"
            )
        with one_thread():
            if self._state and self._state.best:
                numbers = predict_rows(self._state.best, ArrayRows(values), self._engine)
            else:
                numbers = self._svm.predict(np.asarray(values, dtype=np.float32))
        predicted: NDArray[Any] = self._classes[numbers]
        return predicted

    def filters(self) -> Rows:
        """Return the filters of the first layer, one per unit, as `dae filters` draws them.

        They are the rows of W after pretraining (without pretraining: after fine-tuning). The shape
        is (units, height, width) for grey images and (units, height, width, 3) for colours, all
        upright; (units, inputs) if rows are not images.
        """
        state, spec = self._network_state, self._spec
        layer = state.layers[0] if self._is_pretrained or not state.best else state.best.layers[0]
        weights = np.array(layer.weight.numpy(), order="C")
        if spec and not spec.is_image:
            return weights
        shown = as_shown(weights, self._experiment.dataset)
        return shown.weights.reshape(-1, *shown.image)

    @property
    def metrics(self) -> pd.DataFrame:
        """A new copy of metrics.csv, with one row per epoch."""
        import pandas as pd

        return pd.read_csv(io.StringIO(metrics_csv(self._network_state.history)))

    def to_torch(self) -> torch.nn.Sequential:
        """Return a copy of the network in plain torch.

        It maps x (n, inputs) to the inputs of the softmax, (n, classes); the largest is the
        prediction, up to rounding in float32. Without fine-tuning, it maps to codes, (n, units).
        """
        state, best = self._network_state, self._network_state.best
        layers = [(layer.weight, layer.hidden_bias) for layer in state.layers]
        if best is not None:
            layers = [(layer.weight, layer.bias) for layer in best.layers]
        modules = [m for pair in layers for m in (_linear(*pair), torch.nn.Sigmoid())]
        if best is not None:
            modules.append(_linear(best.top.weight, best.top.bias))
        return torch.nn.Sequential(*modules)

    @property
    def _network_state(self) -> TrainingState:
        if self._state is None:
            raise RunFolderError(
                f"{self.path}: is an SVM, which has no layers and no epochs; pass a network"
            )
        return self._state

    @property
    def _depth(self) -> int:
        return len(self._network_state.layers)

    @property
    def _is_pretrained(self) -> bool:
        return as_pretrained(self._experiment).pretrain.epochs > 0

    @cached_property
    def _columns(self) -> tuple[str, ...]:
        """Names of the inputs, if the run was trained on a user's table that is still available."""
        dataset = self._experiment.dataset
        return columns_trained_on(dataset, _silent) if isinstance(dataset, OwnDataset) else ()

    @cached_property
    def _classes(self) -> NDArray[Any]:
        return class_labels(spec_of(self._experiment.dataset))

    @cached_property
    def _svm(self) -> Svm:
        experiment, status = self._experiment, self._status
        assert isinstance(experiment, SvmExperiment)
        dataset = RecordedData(self._data_dir, _silent).dataset_for(self.path, experiment, status)
        return load_svm(self.path / CHECKPOINT, experiment, status.data_sha256, dataset)

    def _checked_layer(self, layer: int) -> int:
        if not 1 <= layer <= self._depth:
            raise ConfigError(f"layer {layer}: the run has layers 1 to {self._depth}")
        return layer

    def _pretrained(self, layer: int) -> list[Encoder]:
        layers = self._network_state.layers[: self._checked_layer(layer)]
        if not self._is_pretrained:
            raise RunFolderError(
                f"{self.path}: was not pretrained, so it has neither pretrained codes nor "
                "reconstructions; encode gives the codes of its fine-tuned layers"
            )
        return layers

    def _computed(
        self, values: NDArray[Any], layers: Sequence[Encoder], *, and_back: bool = False
    ) -> Rows:
        width = self._inputs if and_back else len(layers[-1].hidden_bias)
        out = np.empty((len(values), width), dtype=np.float32)
        with one_thread():
            through_layers(ArrayRows(values), layers, self._engine, out, and_back=and_back)
        return out

    def _checked(self, X: ArrayLike, *, is_scaled: bool = True) -> NDArray[Any]:
        """Check `X`, and put the columns of a DataFrame into the run's order. Raises DataError."""
        if (names := getattr(X, "columns", None)) is not None and self._columns:
            if missing := [name for name in self._columns if name not in names]:
                raise DataError(f"X has no column {missing[0]}, which the run was trained on")
            X = X[list(self._columns)]  # type: ignore[call-overload, index]
        values = np.asarray(X)
        inputs = self._inputs
        if values.ndim != 2 or values.shape[1] != inputs:
            images = values.ndim > 2 and math.prod(values.shape[1:]) == inputs
            remedy = "; pass X.reshape(len(X), -1)" if images else ""
            raise DataError(f"X has shape {values.shape}, expected (n, {inputs}){remedy}")
        if values.dtype.kind not in "fiub":
            raise DataError(f"X has dtype {values.dtype}, expected numbers")
        bounded = is_scaled and is_bounded(self._experiment.dataset)
        low, high = (-BEYOND, 1 + BEYOND) if bounded else (-math.inf, math.inf)
        least, most = values.min(initial=0), values.max(initial=0)  # NaN if X contains NaN
        if low <= least and most <= high and np.isfinite([least, most]).all():
            return values
        sound = np.isfinite(values) & (values >= low) & (values <= high)
        row, column = np.argwhere(~sound)[0]
        what = "a value from 0 to 1 as in the run's training data" if bounded else "a number"
        raise DataError(f"X[{row}, {column}] is {values[row, column]}, expected {what}")


def denoised(run: Run, clean: Rows, layer: int) -> tuple[Rows, Rows]:
    """Corrupt rows (n, inputs) as in pretraining of the first layer, and reconstruct them.

    The noise is that of the epoch after the last one of pretraining, so it is always the same.
    """
    experiment, layers = as_pretrained(run._experiment), run._pretrained(layer)
    corruption = corruption_of(experiment.corruption.kind, experiment.corruption.model_dump())
    corrupted = np.empty_like(clean)
    noise = stream(experiment.seed, Purpose.CORRUPTION, 0, experiment.pretrain.epochs)
    corruption.corrupt(clean, noise, corrupted)
    return corrupted, run._computed(corrupted, layers, and_back=True)


def is_bounded(dataset: str) -> bool:
    """Whether all values of the training data had to be in [0, 1]."""
    if isinstance(dataset, OwnDataset) and dataset.facts:
        return dataset.facts.bounded and dataset.facts.declaration.scale != "none"
    return dataset != PHOTOGRAPHS


def _linear(weight: torch.Tensor, bias: torch.Tensor) -> torch.nn.Module:
    units, inputs = weight.shape
    linear = torch.nn.Linear(inputs, units, device="meta").to_empty(device="cpu")
    with torch.no_grad():
        linear.weight.copy_(weight)
        linear.bias.copy_(bias)
    return linear


def _silent(_: str) -> None:
    return None
