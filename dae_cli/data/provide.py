"""From the name of a set to its content: user's files, cache, download, regeneration.

The order is fixed, and the origin is never silent: every result says where the content came
from, and regenerated content is never called original.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from dae_cli.data.cache import (
    Pointer,
    Provenance,
    Trust,
    cache_folder,
    read_entry,
    read_pointer,
    save_entry,
    save_pointer,
    sound_entry,
)
from dae_cli.data.content import Content, as_dataset, check_shape, content_digest
from dae_cli.data.dataset import Dataset, Origin
from dae_cli.data.digits import Digits
from dae_cli.data.generators.recipes import RECIPES
from dae_cli.data.readers.archive import read_archive
from dae_cli.data.registry import REGISTRY, DatasetSpec
from dae_cli.data.sources.download import WrongArchiveError, downloaded_archive
from dae_cli.data.sources.user_files import (
    UserFiles,
    archive_is_genuine,
    chosen_folder,
    find_user_files,
)
from dae_cli.errors import DataError, DownloadError

Note = Callable[[str], None]


@dataclass(frozen=True)
class Prepared:
    """A set that lies whole and checked in the cache; small enough to send to a worker."""

    name: str
    path: Path
    origin: Origin
    sha256: str
    source: str
    """A sentence for the reader of a report: where the content came from."""


def _no_digits() -> Digits:
    raise DataError("MNIST is not at hand")


def _silent(_: str) -> None:
    return None


def prepare(name: str, *, data_dir: Path | None = None, note: Note = _silent) -> Prepared:
    """Make sure that the set lies in the cache, and say where it came from.

    ``data_dir`` (default: ``DAE_DATA_DIR``) holds the user's files; ``note`` receives a line
    whenever something slow begins or a source fails.
    Raises DataError for an unknown name, files that cannot be used, or a set that can neither
    be fetched nor regenerated.
    """
    if (spec := REGISTRY.get(name)) is None:
        raise DataError(f"unknown data set {name!r}; expected one of {', '.join(REGISTRY)}")
    if (folder := chosen_folder(data_dir)) is not None:
        if files := find_user_files(folder, spec):
            return _from_user_files(files, spec, note)
        note(f"{folder} has no files of {name}")
    return _from_cache(spec) or _from_download_or_recipe(spec, note)


def load(prepared: Prepared) -> Dataset:
    """Read a prepared set; fast, for worker processes. DataError when the entry is damaged."""
    spec = REGISTRY[prepared.name]
    content, provenance = read_entry(prepared.path, spec)
    if provenance.sha256 != prepared.sha256 or provenance.origin != prepared.origin:
        raise DataError(
            f"{prepared.path}: holds other content than was prepared "
            f"({provenance.sha256[:12]}, expected {prepared.sha256[:12]}); start again"
        )
    return as_dataset(spec, content, provenance.origin, provenance.sha256)


def _from_user_files(files: UserFiles, spec: DatasetSpec, note: Note) -> Prepared:
    pointer = cache_folder() / f"{spec.name}-files-{files.key}.json"
    if remembered := read_pointer(pointer):
        path = cache_folder() / remembered.entry
        if (known := sound_entry(path, spec)) and known.origin == "original":
            return replace(_prepared(path, known), source=remembered.source)
    note(f"reading {files}")
    content = files.read()
    sha256 = content_digest(spec, content)
    recipe = RECIPES.get(spec.name)
    if recipe and sha256 == recipe.sha256:
        raise DataError(
            f"{files}: is the set that dae regenerates, not the original; "
            "take it out of the data folder"
        )
    source, trust = f"the user's {files}", _trust_in(files, sha256, spec)
    if trust == "as given" and spec.content_sha256 is not None:
        raise DataError(
            f"{files}: is not the original {spec.name}: its content has SHA-256 {sha256[:12]}…, "
            f"expected {spec.content_sha256[:12]}…; supply the original file, "
            "in its original order, or take this one out of the data folder"
        )
    if trust == "checked":
        source += " (checked: the published content)"
    elif files.archive:
        source += " (taken as original, though it has not the SHA-1 of the published archive)"
    else:
        source += " (taken as original)"
    prepared = _store(spec, content, Provenance(spec.name, "original", sha256, source, trust))
    save_pointer(pointer, Pointer(prepared.path.name, source))
    return replace(prepared, source=source)


def _trust_in(files: UserFiles, sha256: str, spec: DatasetSpec) -> Trust:
    if spec.content_sha256 is not None:
        return "checked" if sha256 == spec.content_sha256 else "as given"
    if files.archive and archive_is_genuine(files.paths[0], spec):
        return "checked"
    return "as given"


def _from_cache(spec: DatasetSpec) -> Prepared | None:
    """An original that was proven, else what the present recipe made.

    Content that is only the user's word stays out: it counts while its file is given.
    """
    for path in sorted(cache_folder().glob(f"{spec.name}-original-*.npz")):
        if (known := sound_entry(path, spec)) and known.trust == "checked":
            return _prepared(path, known)
    if recipe := RECIPES.get(spec.name):
        path = cache_folder() / f"{spec.name}-regenerated-{recipe.id}.npz"
        if (known := sound_entry(path, spec)) and known.sha256 == recipe.sha256:
            return _prepared(path, known)
    return None


def _from_download_or_recipe(spec: DatasetSpec, note: Note) -> Prepared:
    note(f"fetching the original archive of {spec.name}")
    try:
        return _from_download(spec)
    except DownloadError as error:
        note(str(error))
        if spec.name not in RECIPES:
            raise DataError(
                f"{spec.name}: the original archive cannot be fetched ({error}), and there is no "
                f"recipe yet to regenerate it; supply {spec.archive} with --data-dir"
            ) from error
        wrong = isinstance(error, WrongArchiveError)
        return _from_recipe(
            spec, "was replaced by other bytes" if wrong else "was not reachable", note
        )


def _from_download(spec: DatasetSpec) -> Prepared:
    with downloaded_archive(spec, cache_folder()) as archive:
        content = read_archive(archive, spec)
    sha256 = content_digest(spec, content)
    if spec.content_sha256 not in (None, sha256):
        raise DataError(
            f"{spec.name}: the archive has the published SHA-1 but its content has SHA-256 "
            f"{sha256[:12]}…, expected {spec.content_sha256}; please report this"
        )
    source = "the original archive, downloaded (checked: the published SHA-1)"
    return _store(spec, content, Provenance(spec.name, "original", sha256, source, "checked"))


def _from_recipe(spec: DatasetSpec, why: str, note: Note) -> Prepared:
    recipe = RECIPES[spec.name]
    note(f"regenerating {spec.name} from the published recipe")
    content = recipe.generate(_no_digits)
    sha256 = content_digest(spec, content)
    if sha256 != recipe.sha256:
        raise DataError(
            f"{spec.name}: this machine regenerates other bytes ({sha256[:12]}…) than the recipe "
            f"({recipe.sha256[:12]}…); please report this with the version of numpy"
        )
    source = f"regenerated from the published recipe (the original archive {why})"
    return _store(spec, content, Provenance(spec.name, "regenerated", sha256, source, "made here"))


def _store(spec: DatasetSpec, content: Content, provenance: Provenance) -> Prepared:
    check_shape(spec, content)
    made_here = provenance.origin == "regenerated"
    tail = RECIPES[spec.name].id if made_here else provenance.sha256[:12]
    path = cache_folder() / f"{spec.name}-{provenance.origin}-{tail}.npz"
    if provenance.trust == "as given" and (known := sound_entry(path, spec)):
        return _prepared(path, known)  # the same content, perhaps proven by its archive
    save_entry(path, content, provenance)
    return _prepared(path, provenance)


def _prepared(path: Path, known: Provenance) -> Prepared:
    return Prepared(known.name, path, known.origin, known.sha256, known.source)
