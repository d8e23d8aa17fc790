"""A trained SVM as a file: tensors in safetensors, the rest as JSON in its header.

Nothing in it executes. Support vectors are kept as numbers of rows, so that the file is small and
says nothing that the data do not: whoever reads it has the data. It may come from a stranger, and
what it holds is held against the experiment and the data before any of it is computed with.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import safetensors
import safetensors.numpy
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from dae_cli.baselines.kernels import Kernel
from dae_cli.baselines.machines import training_images
from dae_cli.baselines.svm import Svm
from dae_cli.config.schema import SvmExperiment, SvmKernel
from dae_cli.data.dataset import Dataset
from dae_cli.errors import RunFolderError, plain
from dae_cli.files import is_text, write_whole

FORMAT: Literal[1] = 1
_Positive = Annotated[float, Field(gt=0)]


class _Header(BaseModel):
    """The header's JSON. Plain values, checked one by one."""

    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)

    format: Literal[1]
    experiment: SvmExperiment
    data_sha256: str
    kernel: SvmKernel
    gamma: _Positive
    degree: Annotated[int, Field(ge=1, le=20)]
    coef0: Annotated[float, Field(ge=0)]
    destruction: Annotated[float, Field(ge=0, lt=1)] = 0.0
    penalty: _Positive
    classes: Annotated[list[Annotated[int, Field(ge=0, le=255)]], Field(min_length=2)]
    converged: bool


@dataclass(frozen=True)
class ExpectedSvm:
    """What a file must have been made of and for.

    Attributes:
        experiment: the resolved config.
        data_sha256: digest of the data set's content.
        dataset: the rows that the experiment uses; support vectors are rows of train + valid.
    """

    experiment: SvmExperiment
    data_sha256: str
    dataset: Dataset


def save_svm(path: Path, svm: Svm, experiment: SvmExperiment, data_sha256: str) -> None:
    """Write a machine whole or not at all.

    Raises:
        OutputError: it cannot be written; what was there before stays.
    """
    header = _Header(
        format=FORMAT,
        experiment=experiment,
        data_sha256=data_sha256,
        kernel=svm.kernel.kind,
        gamma=svm.kernel.gamma,
        degree=svm.kernel.degree,
        coef0=svm.kernel.coef0,
        destruction=svm.kernel.destruction,
        penalty=svm.penalty,
        classes=[int(label) for label in svm.classes],
        converged=svm.converged,
    )
    tensors = {
        "support": np.ascontiguousarray(svm.support, dtype=np.int64),
        "weights": np.ascontiguousarray(svm.weights, dtype=np.float64),
        "biases": np.ascontiguousarray(svm.biases, dtype=np.float64),
    }
    content = safetensors.numpy.save(tensors, metadata={"dae": header.model_dump_json()})
    write_whole(path, content, make_folder=False)


def load_svm(path: Path, expected: ExpectedSvm) -> Svm:
    """Read a machine back; its support vectors are taken from the data.

    Raises:
        RunFolderError: the file is missing, damaged, or not a checkpoint of this run.
    """
    if not is_text(path):
        raise RunFolderError(f"{path}: is not UTF-8, which checkpoints need; rename its folder")
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            header = _Header.model_validate_json((file.metadata() or {})["dae"])
            _refuse_another_run(header, expected)
            names = sorted(file.keys())
            _refuse_other_shapes({name: file.get_slice(name) for name in names}, header)
            tensors = {name: np.array(file.get_tensor(name)) for name in names}
        return _assemble(header, tensors, expected.dataset)
    except FileNotFoundError:
        raise RunFolderError(f"{path}: no such checkpoint") from None
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"])) or "its header"
        raise _unfit(path, f"{place}: {first['msg']}") from error
    except (safetensors.SafetensorError, KeyError, TypeError, ValueError, OSError) as error:
        raise _unfit(path, str(error)) from error


def _unfit(path: Path, why: str) -> RunFolderError:
    return RunFolderError(
        f"{path}: not a checkpoint of this run ({plain(why)}); "
        "remove the run's folder to have it made anew"
    )


def _refuse_another_run(header: _Header, expected: ExpectedSvm) -> None:
    told = (header.experiment, header.data_sha256)
    if told != (expected.experiment, expected.data_sha256):
        raise ValueError("it was made with other settings or on other data")
    if header.kernel != expected.experiment.svm.kernel:
        raise ValueError(f"its kernel is {header.kernel}")
    classes = header.classes
    if classes != sorted(set(classes)) or classes[-1] >= expected.dataset.n_classes:
        raise ValueError(f"its classes are {classes}")


def _refuse_other_shapes(found: dict[str, Any], header: _Header) -> None:
    pairs = len(header.classes) * (len(header.classes) - 1) // 2
    if sorted(found) != ["biases", "support", "weights"]:
        raise ValueError("it has other tensors than support, weights and biases")
    shapes = {name: tuple(piece.get_shape()) for name, piece in found.items()}
    types = {name: piece.get_dtype() for name, piece in found.items()}
    n_support = shapes["support"][0] if len(shapes["support"]) == 1 else 0
    wanted = {"support": (n_support,), "weights": (n_support, pairs), "biases": (pairs,)}
    if n_support < 1 or shapes != wanted:
        raise ValueError(f"its tensors are {shapes}, expected {wanted}")
    if types != {"support": "I64", "weights": "F64", "biases": "F64"}:
        raise ValueError(f"its numbers are {types}")


def _assemble(header: _Header, tensors: dict[str, NDArray[Any]], dataset: Dataset) -> Svm:
    support = tensors["support"]
    n_rows = len(dataset.train) + len(dataset.valid)
    if support.min() < 0 or support.max() >= n_rows or len(np.unique(support)) < len(support):
        raise ValueError(f"its support vectors are not different rows from 0 to {n_rows - 1}")
    if not (np.isfinite(tensors["weights"]).all() and np.isfinite(tensors["biases"]).all()):
        raise ValueError("a weight or bias is not finite")
    kernel = Kernel(header.kernel, header.gamma, header.degree, header.coef0, header.destruction)
    images = training_images(dataset, kernel.destruction, header.experiment.seed)
    return Svm(
        kernel=kernel,
        penalty=header.penalty,
        classes=np.array(header.classes, dtype=np.uint8),
        support=support,
        vectors=images[support],
        weights=tensors["weights"],
        biases=tensors["biases"],
        converged=header.converged,
    )
