"""The cache of data sets: canonical arrays in .npz files.

An entry contains X, Y, Xtest, Ytest and their provenance. It is named after its content,
``convex-original-<digest>.npz`` or ``convex-regenerated-<recipe>.npz``. Small ``.json`` files
record which entry was made from a user's files, so large text files are parsed only once.
Files are written atomically (``os.replace``), and a lock lets only one process prepare a data set.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any, get_args

import numpy as np
from numpy.typing import NDArray

from dae_cli.data.dataset import (
    Content,
    Dataset,
    Origin,
    Prepared,
    Trust,
    as_dataset,
    check_shape,
    content_digest,
)
from dae_cli.data.datasets import DatasetSpec, OwnDataset, spec_of
from dae_cli.data.own.declaration import OwnFacts
from dae_cli.data.readers import DAMAGE, DAMAGED_HEADER, unreadable
from dae_cli.errors import DataError, OutputError
from dae_cli.files import HeldError, cache_folder, file_lock, is_stale, owner, sweep, whole_file

Note = Callable[[str], None]
"""Callback for progress and warnings, one line per call. This package never prints."""

PROVENANCE = "dae"
"""Name of the array that contains the provenance of an entry, as JSON."""
_DAMAGE = (*DAMAGE, *DAMAGED_HEADER, OSError)
"""Exceptions that reading a damaged entry can raise (zip, array headers, JSON)."""
_ABOUT_BYTES = 100_000
"""Upper bound on the size of the provenance, and of the header of an array."""
_DOWNLOAD = ".download-"


def entry_path(name: str, origin: Origin, tail: str) -> Path:
    """Path of an entry; `tail` distinguishes entries of the same origin."""
    return cache_folder() / f"{name}-{origin}-{tail}.npz"


def entries(spec: DatasetSpec) -> Iterator[tuple[Origin, Path]]:
    """Yield all cache entries of a data set, originals first."""
    origins: tuple[Origin, ...] = ("original", "regenerated")
    for origin in origins:
        pattern = entry_path(spec.name, origin, "*").name
        yield from ((origin, path) for path in sorted(cache_folder().glob(pattern)))


def save_entry(prepared: Prepared, content: Content) -> None:
    """Write an entry atomically."""
    about = asdict(prepared)
    del about["path"]
    if isinstance(prepared.name, OwnDataset) and prepared.name.facts:
        about["declared"] = str(prepared.name.path)
        about["facts"] = prepared.name.facts.model_dump_json()
    with _whole(prepared.path) as stream:
        np.savez(
            stream,
            allow_pickle=False,
            X=content.pixels,
            Y=content.labels,
            Xtest=content.test_pixels,
            Ytest=content.test_labels,
            **{PROVENANCE: np.frombuffer(json.dumps(about).encode(), dtype=np.uint8)},
        )


def read_entry(path: Path, spec: DatasetSpec) -> tuple[Content, Prepared]:
    """Read an entry; DataError if it is damaged (zip checks the CRC-32 of every byte read)."""
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as arrays:
            _require_sizes(arrays, max(spec.n_train_file, spec.n_test) * spec.n_pixels * 4)
            prepared = _provenance(arrays, path)
            content = Content(*(_array(arrays, key) for key in ("X", "Y", "Xtest", "Ytest")))
    except _DAMAGE as error:
        # For a broken header, numpy reports pickled data and advises to allow it.
        why = error if isinstance(error, OSError | zipfile.BadZipFile) else "not arrays of numbers"
        raise DataError(f"{path}: damaged cache entry ({why}); delete it") from error
    check_shape(spec, content, str(path))
    return content, prepared


def checked_entry(path: Path, spec: DatasetSpec) -> tuple[Content, Prepared]:
    """Read an entry and verify its digest; DataError if it is damaged."""
    content, prepared = read_entry(path, spec)
    if (found := content_digest(spec, content)) != prepared.sha256:
        raise DataError(
            f"{path}: damaged cache entry (SHA-256 {found[:12]}…, expected "
            f"{prepared.sha256[:12]}…); delete it"
        )
    return content, prepared


def sound_entry(path: Path, spec: DatasetSpec, note: Note | None = None) -> Prepared | None:
    """Provenance of an intact entry; None if it is missing or damaged (then `note` is called)."""
    if not path.is_file():
        return None
    try:
        _, prepared = checked_entry(path, spec)
    except DataError as error:
        if note:
            note(f"ignoring {error}")
        return None
    return prepared if prepared.name == spec.name else None


def load(prepared: Prepared) -> Dataset:
    """Read the splits of a prepared data set; fast enough for every worker process.

    Raises DataError if the entry is damaged or its content has changed since it was prepared.
    """
    content = load_content(prepared)
    return as_dataset(spec_of(prepared.name), content, prepared.origin, prepared.sha256)


def load_content(prepared: Prepared) -> Content:
    """Read training and test file of a prepared data set; raises as `load` does."""
    content, found = read_entry(prepared.path, spec_of(prepared.name))
    if (found.sha256, found.origin) != (prepared.sha256, prepared.origin):
        raise DataError(
            f"{prepared.path}: changed since the command started (SHA-256 "
            f"{found.sha256[:12]}…, expected {prepared.sha256[:12]}…); run the command again"
        )
    return content


def recorded(path: Path) -> Prepared | None:
    """Provenance of an entry, read quickly and not verified; None if it is damaged."""
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as arrays:
            _require_sizes(arrays)
            return _provenance(arrays, path)
    except _DAMAGE:
        return None


def _provenance(arrays: Any, path: Path) -> Prepared:
    record = json.loads(_array(arrays, PROVENANCE).tobytes())
    if not isinstance(record, dict) or not all(isinstance(value, str) for value in record.values()):
        raise ValueError("not the provenance of an entry")
    if record["origin"] not in get_args(Origin) or record["trust"] not in get_args(Trust):
        raise ValueError("not the provenance of an entry")
    if (facts := record.pop("facts", None)) is not None:
        declared = Path(record.pop("declared"))
        record["name"] = OwnDataset(declared, OwnFacts.model_validate_json(facts))
    return Prepared(**record, path=path)


def _array(arrays: Any, key: str) -> NDArray[Any]:
    array = arrays[key]
    if not isinstance(array, np.ndarray):  # numpy returns members of other formats as bytes
        raise ValueError("not an array")
    return array


def _require_sizes(arrays: Any, most_of_array: int | None = None) -> None:
    """Raise ValueError if a member is larger than expected; None: check the provenance only."""
    for member in arrays.zip.infolist():
        most = 0 if member.filename == f"{PROVENANCE}.npy" else most_of_array
        if most is not None and member.file_size > most + _ABOUT_BYTES:
            raise ValueError("larger than any entry of the data set")


def read_pointer(path: Path) -> tuple[str, str] | None:
    """Entry made from a user's files, and their judgement; None if they were never read."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        entry, judgement = record["entry"], record["judgement"]
        # Accept a bare name only: a tampered pointer must not lead out of the cache.
        if Path(entry).name == entry and entry.endswith(".npz") and isinstance(judgement, str):
            return entry, judgement
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        pass
    return None


def save_pointer(path: Path, entry: str, judgement: str) -> None:
    """Record which entry was made from a user's files."""
    with _whole(path) as stream:
        stream.write(json.dumps({"entry": entry, "judgement": judgement}).encode())


def save_ranges(entry: Path, low: NDArray[Any], high: NDArray[Any]) -> None:
    """Record the range of each input in the training rows, for rows that are scaled later."""
    with _whole(_ranges_path(entry)) as stream:
        stream.write(json.dumps({"low": low.tolist(), "high": high.tolist()}).encode())


def read_ranges(entry: Path, inputs: int) -> tuple[NDArray[Any], NDArray[Any]] | None:
    """Lower and upper ends recorded for an entry; None if they are missing or damaged."""
    try:
        record = json.loads(_ranges_path(entry).read_text(encoding="utf-8"))
        low, high = (np.array(record[key], dtype=np.float64) for key in ("low", "high"))
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    return (low, high) if low.shape == high.shape == (inputs,) and (low < high).all() else None


def _ranges_path(entry: Path) -> Path:
    return entry.with_suffix(".ranges.json")


@contextmanager
def _whole(path: Path) -> Iterator[IO[bytes]]:
    try:
        _open_cache()
        with whole_file(path) as stream:
            yield stream
    except (OSError, OutputError) as error:
        raise unwritable_cache(path, error) from error


@contextmanager
def exclusive(name: str, note: Note) -> Iterator[None]:
    """Hold the lock of a data set, ``.NAME.lock`` in the cache; wait if another process has it.

    Not reentrant. Raises DataError if the cache cannot be written.
    """
    path = cache_folder() / f".{name}.lock"
    with ExitStack() as held:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                held.enter_context(file_lock(path))
            except HeldError:
                note(f"another dae process is preparing {name}; waiting for it")
                held.enter_context(file_lock(path, wait=-1))  # no time limit
        except (OSError, OutputError) as error:
            raise unwritable_cache(path.parent, error) from error
        yield


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """A temporary folder in the cache; DataError if the cache cannot be written."""
    try:
        folder = _open_cache()
        temporary = tempfile.TemporaryDirectory(
            prefix=f"{_DOWNLOAD}{owner()}-", dir=folder, ignore_cleanup_errors=True
        )
    except OSError as error:
        raise unwritable_cache(cache_folder(), error) from error
    with temporary as name:
        yield Path(name)


def _open_cache() -> Path:
    """Create the cache if needed and remove what killed processes left in it."""
    folder = cache_folder()
    folder.mkdir(parents=True, exist_ok=True)
    for left in folder.glob(f"{_DOWNLOAD}*"):
        if is_stale(left, left.name.removeprefix(_DOWNLOAD)):
            shutil.rmtree(left, ignore_errors=True)
    sweep(folder)
    return folder


def unwritable_cache(path: Path, error: Exception) -> DataError:
    """Error for a path in the cache that cannot be written, with the remedy."""
    error = error.__cause__ if isinstance(error.__cause__, OSError) else error
    return DataError(
        f"{path}: cannot be written ({getattr(error, 'strerror', None) or error}); "
        "make room or set DAE_CACHE_DIR to another folder"
    )


def file_digest(path: Path, algorithm: str) -> str:
    """Digest of a file, in hexadecimal; DataError if it cannot be read."""
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, algorithm).hexdigest()
    except OSError as error:
        raise unreadable(path, error) from error
