"""From the name of a set to its content: user's files, cache, download, regeneration.

The order is fixed, and the origin is never silent: every result says where the content came
from, and regenerated content is never called original. ``origin`` insists on one of the two.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

from dae_cli.data.cache import read_entry, sound_entry
from dae_cli.data.content import as_dataset
from dae_cli.data.dataset import Dataset, Origin
from dae_cli.data.datasets import DATASETS, MNIST, DatasetSpec
from dae_cli.data.lock import alone
from dae_cli.data.mnist import foresee_mnist, load_mnist, prepare_mnist
from dae_cli.data.notes import Note
from dae_cli.data.obtain import (
    Prepared,
    foreseen_user_files,
    from_download,
    from_recipe,
    from_user_files,
)
from dae_cli.data.sources.download import archive_of
from dae_cli.data.sources.mnist import mnist_digits, mnist_here
from dae_cli.data.sources.user_files import (
    UserFiles,
    chosen_folder,
    find_user_files,
    what_is_looked_for,
    what_lies_in,
)
from dae_cli.errors import DataError, DownloadError
from dae_cli.files import cache_folder


def _silent(_: str) -> None:
    return None


def spec_of(name: str) -> DatasetSpec:
    """The facts of a set; DataError for an unknown name."""
    if (spec := DATASETS.get(name)) is None:
        raise DataError(f"unknown data set {name!r}; expected one of {', '.join(DATASETS)}")
    return spec


def prepare(
    name: str,
    *,
    data_dir: Path | None = None,
    origin: Origin | None = None,
    accept_unverified: bool = False,
    note: Note = _silent,
) -> Prepared:
    """Make sure that the set lies in the cache, and say where it came from.

    Args:
        name: one of the eight, or mnist.
        data_dir: the user's files; default ``DAE_DATA_DIR``.
        origin: accept nothing else; default: the original where it can be had.
        accept_unverified: take the user's files even if nothing shows that they are the original.
        note: receives a line whenever something slow begins or a source fails.

    Raises:
        DataError: an unknown name, files that cannot be used, or a set that can neither be
            fetched nor, for want of MNIST, regenerated.
        DownloadError: the original is insisted on and cannot be fetched.
    """
    folder = chosen_folder(data_dir)
    if name == MNIST.name:
        _require_original(origin)
        return prepare_mnist(folder, note)
    spec = spec_of(name)
    if files := _user_files(folder, spec, origin, note):
        return from_user_files(files, spec, accept_unverified, note)
    if found := _from_cache(spec, origin):
        return found
    with alone(cache_folder(), spec.name, note):  # another process may have made it meanwhile
        return _from_cache(spec, origin) or _obtain(spec, origin, folder, note)


@dataclass(frozen=True)
class Foreseen:
    """What `prepare` would come to, as far as can be told before anything is fetched or made."""

    told: str
    """Where the set is, or how it would be had."""
    prepared: Prepared | None
    """None where its content is not known yet."""


def foresee(
    name: str,
    *,
    data_dir: Path | None = None,
    origin: Origin | None = None,
    accept_unverified: bool = False,
    note: Note = _silent,
) -> Foreseen:
    """Say what `prepare` would do; nothing is fetched, regenerated or written.

    Raises:
        DataError: as `prepare` does, of the user's files.
    """
    folder = chosen_folder(data_dir)
    if name == MNIST.name:
        _require_original(origin)
        mnist = foresee_mnist(folder)
        return Foreseen(mnist.source, mnist)
    spec = spec_of(name)
    if files := _user_files(folder, spec, origin, note):
        found = foreseen_user_files(files, spec, accept_unverified, note)
        return Foreseen(found.source, found)
    if here := _from_cache(spec, origin, delete=False):
        return Foreseen(here.source, here)
    recipe = spec.recipe
    assert recipe is not None, f"{name} has no recipe"
    made = "regenerated"
    if recipe.uses_mnist:
        made += f" from MNIST, {mnist_here(folder, cache_folder()) or 'which would be fetched'}"
    if origin == "regenerated":
        told = f"would be {made}"
        return Foreseen(told, Prepared(name, cache_folder(), origin, recipe.sha256, told, ""))
    otherwise = "" if origin == "original" else f", else {made}"
    return Foreseen(f"would be fetched{otherwise}", None)


def load(prepared: Prepared) -> Dataset:
    """Read a prepared set; fast, for worker processes. DataError when the entry is damaged."""
    if prepared.name == MNIST.name:
        return load_mnist(prepared)
    spec = DATASETS[prepared.name]
    content, provenance = read_entry(prepared.path, spec)
    if provenance.sha256 != prepared.sha256 or provenance.origin != prepared.origin:
        raise DataError(
            f"{prepared.path}: holds other content than was prepared "
            f"({provenance.sha256[:12]}, expected {prepared.sha256[:12]}); start again"
        )
    return as_dataset(spec, content, provenance.origin, provenance.sha256)


def _user_files(
    folder: Path | None, spec: DatasetSpec, origin: Origin | None, note: Note
) -> UserFiles | None:
    """The user's files where they may be used; what there is instead is told."""
    if folder is None or origin == "regenerated":
        return None
    if not (files := find_user_files(folder, spec)):
        wanted, here = what_is_looked_for(spec), what_lies_in(folder)
        note(f"{folder} has no files of {spec.name}: looked for {wanted}; found {here}")
    return files


def _require_original(origin: Origin | None) -> None:
    if origin == "regenerated":
        raise DataError(
            f"{MNIST.name} is not regenerated, there is the original alone; leave out --origin "
            f"regenerated, or leave out what is trained on {MNIST.name}"
        )


def _from_cache(
    spec: DatasetSpec, origin: Origin | None, *, delete: bool = True
) -> Prepared | None:
    """An original that was proven, else what the present recipe made.

    Content that is only the user's word stays out: it counts while its file is given.
    """
    if origin != "regenerated":
        for path in sorted(cache_folder().glob(f"{spec.name}-original-*.npz")):
            known = sound_entry(path, spec, delete=delete)
            if known and known.trust == "verified":
                return Prepared.of(path, known)
    if origin != "original" and (recipe := spec.recipe):
        path = cache_folder() / f"{spec.name}-regenerated-{recipe.id}.npz"
        known = sound_entry(path, spec, delete=delete)
        if known and known.sha256 == recipe.sha256:
            return Prepared.of(path, known)
    return None


def _obtain(spec: DatasetSpec, origin: Origin | None, folder: Path | None, note: Note) -> Prepared:
    digits = partial(mnist_digits, folder, cache_folder(), note)
    if origin == "regenerated":
        return from_recipe(spec, digits, note)
    note(f"fetching the original archive of {spec.name}")
    try:
        return from_download(spec, note)
    except DownloadError as error:
        if origin == "original":
            raise DownloadError(
                f"{error}\n  supply {archive_of(spec).name} with --data-dir; it is regenerated "
                "only where no original is asked for, by --origin original or by a run that had it"
            ) from error
        return from_recipe(spec, digits, note)
