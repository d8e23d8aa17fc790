"""The cache: canonical arrays in .npz files, written whole or not at all.

An entry holds X, Y, Xtest, Ytest and its provenance; it is named after its content,
``convex-original-<digest>.npz`` or ``convex-regenerated-<recipe>.npz``. Small ``.json`` files
remember which entry a user's file became, so that a large text is parsed once.
Every file gets its name by ``os.replace``: two processes that write at once do no harm.
"""

from __future__ import annotations

import json
import tokenize
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any, get_args

import numpy as np
from numpy.typing import NDArray

from dae_cli.data.content import Content, check_shape, content_digest
from dae_cli.data.dataset import Origin, Trust
from dae_cli.data.datasets import DatasetSpec
from dae_cli.data.readers.zipped import DAMAGE
from dae_cli.data.temporary import sweep_cache
from dae_cli.errors import DataError
from dae_cli.files import cache_folder, part_of

_EARLIER_TRUST = {"checked": "verified", "as given": "unverified", "made here": ""}
"""What entries of earlier versions say, in today's words."""

PROVENANCE = "dae"
"""Name of the array that holds the provenance as JSON; it marks a file as a cache entry."""

_DAMAGE = (
    *DAMAGE,
    OSError,
    KeyError,
    TypeError,
    SyntaxError,
    tokenize.TokenError,
    RecursionError,
    MemoryError,  # of what a header claims
)
"""What reading an altered entry raises: of the zip, of the headers in it, of the JSON."""
_ABOUT_BYTES = 100_000
"""More than the provenance of any entry, or the header of any array in it, has."""


@dataclass(frozen=True)
class Provenance:
    """Where the content of an entry came from."""

    name: str
    origin: Origin
    sha256: str
    source: str
    trust: Trust


def save_entry(path: Path, content: Content, provenance: Provenance) -> None:
    """Write an entry under a temporary name, then rename it."""
    about = np.frombuffer(json.dumps(asdict(provenance)).encode(), dtype=np.uint8)
    with _renamed_when_whole(path) as stream:
        np.savez(
            stream,
            allow_pickle=False,
            X=content.pixels,
            Y=content.labels,
            Xtest=content.test_pixels,
            Ytest=content.test_labels,
            **{PROVENANCE: about},
        )


def read_entry(path: Path, spec: DatasetSpec) -> tuple[Content, Provenance]:
    """Read an entry; DataError when it is damaged. zip's CRC-32 covers every byte read."""
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as arrays:
            _require_sizes(arrays, max(spec.n_train_file, spec.n_test) * spec.n_pixels * 4)
            provenance = _provenance(arrays)
            content = Content(*(_array(arrays, key) for key in ("X", "Y", "Xtest", "Ytest")))
    except _DAMAGE as error:
        # numpy words a broken header as pickled data, and advises to trust it.
        why = error if isinstance(error, OSError | zipfile.BadZipFile) else "not arrays of numbers"
        raise DataError(f"{path}: damaged cache entry ({why}); delete it and try again") from error
    check_shape(spec, content)
    return content, provenance


def recorded(path: Path) -> Provenance | None:
    """What an entry says of itself, read in no time and not checked; None if it is damaged."""
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as arrays:
            _require_sizes(arrays)
            return _provenance(arrays)
    except _DAMAGE:
        return None


def _provenance(arrays: Any) -> Provenance:
    record = json.loads(_array(arrays, PROVENANCE).tobytes())
    if not isinstance(record, dict) or not all(isinstance(value, str) for value in record.values()):
        raise ValueError("not the provenance of an entry")
    trust = _EARLIER_TRUST.get(record["trust"], record["trust"])
    if record["origin"] not in get_args(Origin) or trust not in get_args(Trust):
        raise ValueError("not the provenance of an entry")
    return Provenance(**record | {"trust": trust})


def _array(arrays: Any, key: str) -> NDArray[Any]:
    array = arrays[key]
    if not isinstance(array, np.ndarray):  # a member of another format comes as its bytes
        raise ValueError("not an array")
    return array


def _require_sizes(arrays: Any, most_of_array: int | None = None) -> None:
    """Raise ValueError for members that unpack to more than can be wanted; None: not unpacked."""
    for member in arrays.zip.infolist():
        most = 0 if member.filename == f"{PROVENANCE}.npy" else most_of_array
        if most is not None and member.file_size > most + _ABOUT_BYTES:
            raise ValueError("larger than any entry of the set")


def entries(spec: DatasetSpec) -> list[Path]:
    """Every entry of a set in the cache, originals first."""
    return [
        path
        for origin in ("original", "regenerated")
        for path in sorted(cache_folder().glob(f"{spec.name}-{origin}-*.npz"))
    ]


def sound_entry(path: Path, spec: DatasetSpec, *, delete: bool = True) -> Provenance | None:
    """Provenance of an entry whose content has its digest; `delete` removes a damaged one."""
    if not path.is_file():
        return None
    try:
        content, provenance = read_entry(path, spec)
        if provenance.name == spec.name and content_digest(spec, content) == provenance.sha256:
            return provenance
    except DataError as error:
        if isinstance(error.__cause__, OSError) and path.exists():
            return None  # it cannot be read just now, which is no damage
    if delete:
        with suppress(OSError):
            path.unlink(missing_ok=True)
    return None


@dataclass(frozen=True)
class Pointer:
    """What the user's files became: the entry's name, and how far they are to be trusted."""

    entry: str
    judgement: str


def read_pointer(path: Path) -> Pointer | None:
    """What a user's file became, or None if it was never read."""
    try:
        pointer = Pointer(**json.loads(path.read_text(encoding="utf-8")))
        # A name only: an altered pointer must not lead out of the cache.
        is_name = Path(pointer.entry).name == pointer.entry and pointer.entry.endswith(".npz")
        return pointer if is_name and isinstance(pointer.judgement, str) else None
    except (OSError, ValueError, TypeError, RecursionError):
        return None


def save_pointer(path: Path, pointer: Pointer) -> None:
    """Remember what a user's file became."""
    with _renamed_when_whole(path) as stream:
        stream.write(json.dumps(asdict(pointer)).encode())


@contextmanager
def _renamed_when_whole(path: Path) -> Iterator[IO[bytes]]:
    temporary = part_of(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        sweep_cache(path.parent)
        with temporary.open("xb") as stream:
            yield stream
        temporary.replace(path)
    except OSError as error:
        raise DataError(
            f"{path}: cannot be written ({error.strerror or error}); "
            "free some space or set DAE_CACHE_DIR to another folder"
        ) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
