"""The ways into the cache: the user's files, the download, the recipe; each checks what it takes.

What lies in the cache is called original only if a published digest proves it or the user's
file says so, and the entry records how far that is to be trusted.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from dae_cli.data.cache import (
    Pointer,
    Provenance,
    read_pointer,
    save_entry,
    save_pointer,
    sound_entry,
)
from dae_cli.data.content import Content, check_shape, content_digest
from dae_cli.data.dataset import Origin, Trust, standing
from dae_cli.data.datasets import DatasetSpec, Recipe
from dae_cli.data.digits import DigitSource
from dae_cli.data.lock import alone
from dae_cli.data.misreadings import likeliest_misreading
from dae_cli.data.notes import Note
from dae_cli.data.readers.text import read_archive
from dae_cli.data.sources.download import archive_of, fetched
from dae_cli.data.sources.user_files import UserFiles, archive_is_genuine
from dae_cli.data.trust import is_plausible, known_contents, rows_in_common
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
    trust: Trust

    @classmethod
    def of(cls, path: Path, known: Provenance) -> Prepared:
        """The entry at ``path`` with its provenance."""
        return cls(known.name, path, known.origin, known.sha256, known.source, known.trust)

    @property
    def standing(self) -> str:
        """Origin and trust, in words."""
        return standing(self.origin, self.trust)


def from_user_files(
    files: UserFiles, spec: DatasetSpec, accept_unverified: bool, note: Note
) -> Prepared:
    """Read the user's files into the cache, or find what they became before.

    Raises DataError when they are damaged, or nothing shows that they are the original and the
    user does not accept them all the same.
    """
    pointer = _pointer_to(files, spec)
    if remembered := _remembered(files, pointer, spec, accept_unverified):
        return remembered
    with alone(cache_folder(), spec.name, note):  # another process may be reading them, too
        return _remembered(files, pointer, spec, accept_unverified) or _read_user_files(
            files, spec, pointer, accept_unverified, note
        )


def foreseen_user_files(
    files: UserFiles, spec: DatasetSpec, accept_unverified: bool, note: Note
) -> Prepared:
    """What `from_user_files` would return, found without writing anything; raises the same."""
    pointer = _pointer_to(files, spec)
    if remembered := _remembered(files, pointer, spec, accept_unverified, delete=False):
        return remembered
    _, provenance, _ = _judged(files, spec, accept_unverified, note)
    return Prepared.of(files.paths[0], provenance)


def _pointer_to(files: UserFiles, spec: DatasetSpec) -> Path:
    return cache_folder() / f"{spec.name}-files-{files.key}.json"


def _remembered(
    files: UserFiles,
    pointer: Path,
    spec: DatasetSpec,
    accept_unverified: bool,
    *,
    delete: bool = True,
) -> Prepared | None:
    if found := read_pointer(pointer):
        path = cache_folder() / found.entry
        known = sound_entry(path, spec, delete=delete)
        accepted = known and (known.trust != "unverified" or accept_unverified)
        if known and accepted and known.origin == "original":
            return replace(Prepared.of(path, known), source=_source(files, found.judgement))
    return None


def _read_user_files(
    files: UserFiles, spec: DatasetSpec, pointer: Path, accept_unverified: bool, note: Note
) -> Prepared:
    content, provenance, judgement = _judged(files, spec, accept_unverified, note)
    prepared = _store(spec, content, provenance, note)
    save_pointer(pointer, Pointer(prepared.path.name, judgement))
    return replace(prepared, source=provenance.source)


def _judged(
    files: UserFiles, spec: DatasetSpec, accept_unverified: bool, note: Note
) -> tuple[Content, Provenance, str]:
    note(f"reading {files}")
    content = files.read()
    sha256 = content_digest(spec, content)
    trust, judgement = judge_user_files(files, content, sha256, spec, accept_unverified)
    source = _source(files, judgement)
    return content, Provenance(spec.name, "original", sha256, source, trust), judgement


def _source(files: UserFiles, judgement: str) -> str:
    return f"the user's {files} ({judgement})"


def judge_user_files(
    files: UserFiles, content: Content, sha256: str, spec: DatasetSpec, accept_unverified: bool
) -> tuple[Trust, str]:
    """How far the user's files are to be trusted, and why.

    Raises DataError where nothing shows that they are the original and the user does not accept
    them all the same, and where they are what dae regenerates.
    """
    recipe = spec.recipe
    if recipe and sha256 == recipe.sha256 and not recipe.exact:
        raise DataError(
            f"{files}: is the set that dae regenerates, not the original; "
            "take it out of the data folder"
        )
    if sha256 in known_contents(spec):
        return "verified", "verified: the published content"
    if files.archive and archive_is_genuine(files.paths[0], spec):
        return "verified", "verified: the published archive"
    common = f"; {told}" if (told := describe_common_rows(content)) else ""
    if is_plausible(content, spec):
        why = "other bytes than the published ones, but the rows that are known stand in it"
        return "plausible", f"plausible: {why}{common}"
    found = _not_the_original(content, sha256, spec)
    if accept_unverified:
        return "unverified", f"unverified: {found}{common}"
    raise DataError(
        f"{files}: is not the original {spec.name}: {found}; supply the original file, in its "
        "original order, or take this one out of the data folder; --accept-unverified takes it "
        "as it is, and says so beside every verdict"
    )


def _not_the_original(content: Content, sha256: str, spec: DatasetSpec) -> str:
    misreading = likeliest_misreading(content, spec)
    if not (known := known_contents(spec)):
        return misreading
    expected = " or ".join(f"{digest[:12]}…" for digest in sorted(known))
    return f"{misreading}; its content has SHA-256 {sha256[:12]}…, expected {expected}"


def describe_common_rows(content: Content) -> str:
    """How many test rows are also training rows; empty where none is."""
    if not (common := rows_in_common(content)):
        return ""
    return f"{common} of its {len(content.test_labels)} test rows are also training rows"


def from_download(spec: DatasetSpec, note: Note) -> Prepared:
    """Fetch the published archive into the cache; DownloadError when no address has it."""
    assert spec.archive is not None, f"{spec.name} has no archive"
    proven = f"{spec.archive.name}: has the published SHA-1"
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
    source = "the original archive, downloaded (verified: the published SHA-1)"
    provenance = Provenance(spec.name, "original", sha256, source, "verified")
    return _store(spec, content, provenance, note)


def from_recipe(spec: DatasetSpec, digits: DigitSource, note: Note) -> Prepared:
    """Regenerate the set into the cache; DataError where its ingredients cannot be had."""
    recipe = spec.recipe
    assert recipe is not None, f"{spec.name} has no recipe"
    note(f"regenerating {spec.name} from the published recipe")
    content = recipe.generate(spec, digits)
    sha256 = content_digest(spec, content)
    if sha256 != recipe.sha256:
        raise DataError(
            f"{spec.name}: this machine regenerates other bytes ({sha256[:12]}…) than the recipe "
            f"({recipe.sha256[:12]}…); please report this with the version of numpy"
        )
    source = f"{_in_words(recipe)} (recipe {recipe.id})"
    return _store(spec, content, Provenance(spec.name, "regenerated", sha256, source, ""), note)


def _in_words(recipe: Recipe) -> str:
    if recipe.exact:
        return "rebuilt from MNIST, pixel for pixel the original"
    return f"regenerated{' from MNIST' if recipe.uses_mnist else ''} by the published recipe"


def _store(spec: DatasetSpec, content: Content, provenance: Provenance, note: Note) -> Prepared:
    check_shape(spec, content)
    if common := describe_common_rows(content):
        note(f"{spec.name}: {common}")
    made_here = spec.recipe if provenance.origin == "regenerated" else None
    tail = made_here.id if made_here else provenance.sha256[:12]
    path = cache_folder() / f"{spec.name}-{provenance.origin}-{tail}.npz"
    known = sound_entry(path, spec)
    if known and known.trust == "verified":  # the same content, proven by its archive before
        return Prepared.of(path, known)
    save_entry(path, content, provenance)
    return Prepared.of(path, provenance)
