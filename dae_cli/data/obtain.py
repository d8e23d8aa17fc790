"""The ways into the cache: the user's files, the download, the recipe; each checks what it takes.

What lies in the cache is called original only if a published digest proves it or the user's
file says so, and the entry keeps which of the two.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from dae_cli.data.cache import (
    Pointer,
    Provenance,
    Trust,
    read_pointer,
    save_entry,
    save_pointer,
    sound_entry,
)
from dae_cli.data.content import Content, check_shape, content_digest
from dae_cli.data.dataset import Origin
from dae_cli.data.digits import DigitSource
from dae_cli.data.generators.recipes import RECIPES, Recipe
from dae_cli.data.lock import alone
from dae_cli.data.notes import Note
from dae_cli.data.readers.archive import read_archive
from dae_cli.data.registry import DatasetSpec
from dae_cli.data.sources.download import archive_of, fetched
from dae_cli.data.sources.user_files import UserFiles, archive_is_genuine
from dae_cli.errors import DataError, DownloadError
from dae_cli.files import cache_folder


@dataclass(frozen=True)
class Prepared:
    """A set that lies whole and checked in the cache; small enough to send to a worker."""

    name: str
    path: Path
    origin: Origin
    sha256: str
    source: str
    """A sentence for the reader of a report: where the content came from."""

    @classmethod
    def of(cls, path: Path, known: Provenance) -> Prepared:
        """The entry at ``path`` with its provenance."""
        return cls(known.name, path, known.origin, known.sha256, known.source)


def from_user_files(files: UserFiles, spec: DatasetSpec, note: Note) -> Prepared:
    """Read the user's files into the cache, or find what they became before.

    Raises DataError when they are damaged, or proven not to be the original.
    """
    pointer = _pointer_to(files, spec)
    if remembered := _remembered(pointer, spec):
        return remembered
    with alone(cache_folder(), spec.name, note):  # another process may be reading them, too
        return _remembered(pointer, spec) or _read_user_files(files, spec, pointer, note)


def foreseen_user_files(files: UserFiles, spec: DatasetSpec, note: Note) -> Prepared:
    """What `from_user_files` would return, found without writing anything; raises the same."""
    if remembered := _remembered(_pointer_to(files, spec), spec, delete=False):
        return remembered
    return Prepared.of(files.paths[0], _judged(files, spec, note)[1])


def _pointer_to(files: UserFiles, spec: DatasetSpec) -> Path:
    return cache_folder() / f"{spec.name}-files-{files.key}.json"


def _remembered(pointer: Path, spec: DatasetSpec, *, delete: bool = True) -> Prepared | None:
    if found := read_pointer(pointer):
        path = cache_folder() / found.entry
        if (known := sound_entry(path, spec, delete=delete)) and known.origin == "original":
            return replace(Prepared.of(path, known), source=found.source)
    return None


def _read_user_files(files: UserFiles, spec: DatasetSpec, pointer: Path, note: Note) -> Prepared:
    content, provenance = _judged(files, spec, note)
    prepared = _store(spec, content, provenance)
    save_pointer(pointer, Pointer(prepared.path.name, provenance.source))
    return replace(prepared, source=provenance.source)


def _judged(files: UserFiles, spec: DatasetSpec, note: Note) -> tuple[Content, Provenance]:
    note(f"reading {files}")
    content = files.read()
    sha256 = content_digest(spec, content)
    source, trust = judge_user_files(files, sha256, spec)
    return content, Provenance(spec.name, "original", sha256, source, trust)


def judge_user_files(files: UserFiles, sha256: str, spec: DatasetSpec) -> tuple[str, Trust]:
    """What the user's files are, as a sentence, and how far that is proven.

    Raises DataError when their content is known not to be the original's.
    """
    recipe = RECIPES[spec.name]
    if sha256 == recipe.sha256 and not recipe.exact:
        raise DataError(
            f"{files}: is the set that dae regenerates, not the original; "
            "take it out of the data folder"
        )
    if sha256 in known_contents(spec) or (
        files.archive and archive_is_genuine(files.paths[0], spec)
    ):
        return f"the user's {files} (checked: the published content)", "checked"
    if known := known_contents(spec):
        expected = " or ".join(f"{digest[:12]}…" for digest in sorted(known))
        raise DataError(
            f"{files}: is not the original {spec.name}: its content has SHA-256 {sha256[:12]}…, "
            f"expected {expected}; supply the original file, in its original order, "
            "or take this one out of the data folder"
        )
    but = ", though it has not the SHA-1 of the published archive" if files.archive else ""
    return f"the user's {files} (taken as original{but})", "as given"


def known_contents(spec: DatasetSpec) -> set[str]:
    """Digests that prove content to be the original's: one seen, or one rebuilt exactly."""
    recipe = RECIPES[spec.name]
    rebuilt = {recipe.sha256} if recipe.exact else set()
    return rebuilt | ({spec.content_sha256} if spec.content_sha256 else set())


def from_download(spec: DatasetSpec, note: Note) -> Prepared:
    """Fetch the published archive into the cache; DownloadError when no address has it."""
    proven = f"{spec.archive}: has the published SHA-1"
    with fetched(archive_of(spec), cache_folder(), note) as archive:
        try:
            content = read_archive(archive, spec)
        except DataError as error:
            told = f"{proven} but cannot be read ({error}); please report this"
            note(told)
            raise DownloadError(told) from error
    sha256 = content_digest(spec, content)
    if (known := known_contents(spec)) and sha256 not in known:
        note(f"{proven} but other content than was known, {sha256[:12]}…; please report this")
    source = "the original archive, downloaded (checked: the published SHA-1)"
    return _store(spec, content, Provenance(spec.name, "original", sha256, source, "checked"))


def from_recipe(spec: DatasetSpec, digits: DigitSource, note: Note) -> Prepared:
    """Regenerate the set into the cache; DataError where its ingredients cannot be had."""
    recipe = RECIPES[spec.name]
    note(f"regenerating {spec.name} from the published recipe")
    content = recipe.generate(digits)
    sha256 = content_digest(spec, content)
    if sha256 != recipe.sha256:
        raise DataError(
            f"{spec.name}: this machine regenerates other bytes ({sha256[:12]}…) than the recipe "
            f"({recipe.sha256[:12]}…); please report this with the version of numpy"
        )
    source = f"{_in_words(recipe)} (recipe {recipe.id})"
    return _store(spec, content, Provenance(spec.name, "regenerated", sha256, source, "made here"))


def _in_words(recipe: Recipe) -> str:
    if recipe.exact:
        return "rebuilt from MNIST, pixel for pixel the original"
    return f"regenerated{' from MNIST' if recipe.uses_mnist else ''} by the published recipe"


def _store(spec: DatasetSpec, content: Content, provenance: Provenance) -> Prepared:
    check_shape(spec, content)
    made_here = provenance.origin == "regenerated"
    tail = RECIPES[spec.name].id if made_here else provenance.sha256[:12]
    path = cache_folder() / f"{spec.name}-{provenance.origin}-{tail}.npz"
    if provenance.trust == "as given" and (known := sound_entry(path, spec)):
        return Prepared.of(path, known)  # the same content, perhaps proven by its archive
    save_entry(path, content, provenance)
    return Prepared.of(path, provenance)
