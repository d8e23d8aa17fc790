"""Checkpoint files: tensors in safetensors, everything else as JSON in its header.

Reading executes no code. A file may come from a stranger, so before use its header is checked
against a schema, and the names and shapes of its tensors against the expected ones. safetensors
limits the size of the header and refuses offsets beyond the file.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
import safetensors
import safetensors.numpy
from numpy.typing import NDArray
from pydantic import BaseModel, ValidationError

from dae_cli.errors import RUN_REMEDY, RunFolderError, plain
from dae_cli.files import write_whole

Header = TypeVar("Header", bound=BaseModel)
Spec = tuple[str, Sequence[int]]
"""Type as named by safetensors ("F32"), and shape."""


class TensorFile(Generic[Header]):
    """A file with a valid header, whose tensors are not read yet."""

    def __init__(self, header: Header, file: Any) -> None:
        self.header = header
        self._file = file
        pieces = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118
        self.specs: dict[str, Spec] = {
            name: (piece.get_dtype(), piece.get_shape()) for name, piece in pieces.items()
        }

    def read(self, expected: Mapping[str, Spec]) -> Iterator[tuple[str, NDArray[Any]]]:
        """Yield the tensors, one at a time.

        Raises ValueError if there are other tensors than expected, or a number is not finite.
        """
        if unknown := [name for name in self.specs if name not in expected]:
            raise ValueError(f"unexpected tensor {unknown[0][:80]!r}")
        for name, (wanted, sizes) in expected.items():
            if name not in self.specs:
                raise ValueError(f"missing tensor {name}")
            dtype, shape = self.specs[name]
            if (dtype, shape) != (wanted, list(sizes)):
                raise ValueError(f"{name} is {dtype} {shape}, expected {wanted} {list(sizes)}")
        for name in expected:
            # Copied because the alignment in the mapped file may change the last bit of a matrix
            # product.
            tensor = np.array(self._file.get_tensor(name))
            if not np.isfinite(tensor).all():
                raise ValueError(f"{name} contains a number that is not finite")
            yield name, tensor


@contextmanager
def open_tensors(path: Path, schema: type[Header]) -> Iterator[TensorFile[Header]]:
    """Open a checkpoint and check its header.

    A ValueError that the caller raises within the context becomes a RunFolderError.

    Raises:
        RunFolderError: the file is missing, damaged, or not a checkpoint of this run.
    """
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            header = schema.model_validate_json((file.metadata() or {})["dae"])
            yield TensorFile(header, file)
    except FileNotFoundError:
        raise RunFolderError(f"{path}: no such checkpoint") from None
    except (safetensors.SafetensorError, KeyError, TypeError, ValueError, OSError) as error:
        why = str(error)
        if isinstance(error, ValidationError):
            first = error.errors(include_url=False, include_input=False)[0]
            why = f"{'.'.join(map(str, first['loc'])) or 'its header'}: {first['msg']}"
        raise RunFolderError(
            f"{path}: not a checkpoint of this run ({plain(why)}); {RUN_REMEDY}"
        ) from error


def save_tensors(path: Path, header: BaseModel, tensors: Mapping[str, NDArray[Any]]) -> None:
    """Write a checkpoint atomically; raise OutputError if that fails."""
    arrays = {name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}
    content = safetensors.numpy.save(arrays, metadata={"dae": header.model_dump_json()})
    write_whole(path, content, make_folder=False)
