"""Find the content of a data set: user files, cache, download or recipe.

Every command tries the sources in the order of `SOURCES`. Every result records where the content
came from, and regenerated content is never labelled original. The cache labels content original
only if it matches a published digest or comes from the user's files; the entry records the trust.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal

from dae_cli.data.cache import (
    Note,
    checked_entry,
    entries,
    entry_path,
    exclusive,
    load_content,
    read_pointer,
    recorded,
    save_entry,
    save_pointer,
    sound_entry,
)
from dae_cli.data.dataset import Content, Origin, Prepared, Trust, check_shape, content_digest
from dae_cli.data.datasets import (
    ADDRESSES,
    MNIST,
    MNIST_ADDRESSES,
    PHOTOGRAPHS,
    DatasetSpec,
    OwnDataset,
    Recipe,
    spec_of,
)
from dae_cli.data.download import addresses_of, fetched
from dae_cli.data.mnist import fetch_mnist
from dae_cli.data.own.content import entry_of, files_of, prepare_own, read_content
from dae_cli.data.photographs import prepare_photographs
from dae_cli.data.readers import read_archive
from dae_cli.data.trust import judge, nothing_is_known
from dae_cli.data.user_files import (
    UserFiles,
    chosen_folder,
    find_user_files,
    what_is_looked_for,
    what_lies_in,
)
from dae_cli.errors import DataError, DownloadError
from dae_cli.files import cache_folder

Place = Literal["yours", "cache", "download", "recipe"]


@dataclass(frozen=True)
class DataOptions:
    """The user's choices of where data come from."""

    data_dir: Path | None = None
    """Folder with the user's files; default: ``DAE_DATA_DIR``."""
    origin: Origin | None = None
    """The only origin to accept; default: the original if available."""
    accept_unverified: bool = False
    """Accept the user's files even without evidence that they are the original."""
    photos: Path | None = None
    """Folder with the user's photographs; default: those shipped with the dependencies."""


def _silent(_: str) -> None:
    return None


@dataclass(frozen=True)
class Offer:
    """What a source has for a data set: a copy, or a way to get one."""

    place: Place
    origin: Origin
    source: str
    """Where it comes from, for messages."""
    paths: tuple[Path, ...] = ()
    """Files of the copy; empty if there is none yet."""
    sha256: str | None = None
    """Recorded or published digest; None if not known yet."""
    trust: Trust | None = None
    usable: bool = True
    """Whether it may be used: not damaged, not outdated, and verified or supplied by the user."""
    read: Callable[[], tuple[Content, Prepared]] | None = None
    """Read a copy completely: content and provenance. DataError if damaged or not the data set."""
    ready: Callable[[Note], Prepared | None] = lambda _: None
    """Return the copy if the cache already has it, intact; otherwise None."""
    obtain: Callable[[Note], Prepared | None] = lambda _: None
    """Write it to the cache. Raises DataError, or DownloadError if it is not available."""

    @property
    def n_bytes(self) -> int:
        """Total size of the files."""
        return sum(path.stat().st_size for path in self.paths)


def prepare(name: str, options: DataOptions = DataOptions(), note: Note = _silent) -> Prepared:
    """Make a data set available in the cache, and return its provenance.

    Raises DataError for an unknown name, unusable files or an unavailable origin, and DownloadError
    if the data set can be neither downloaded nor regenerated.
    """
    if name == PHOTOGRAPHS:
        return prepare_photographs(options.photos)
    if isinstance(name, OwnDataset):
        return prepare_own(name, note)
    spec = spec_of(name)
    yours: list[Offer] = []
    for offer in _usable(spec, options, note):
        if found := offer.ready(note):
            return found
        if offer.place == "yours":
            yours = [offer]
            break
    with exclusive(spec.name, note):
        failure: DownloadError | None = None
        # Check again: another process may have prepared it while this one waited for the lock.
        for offer in yours or _usable(spec, options, _silent):
            if failure:
                note(str(failure))
            try:
                if found := offer.ready(_silent) or offer.obtain(note):
                    return found
            except DownloadError as error:
                failure = error
    generated = "; omit --origin original to regenerate it" if spec.recipe else ""
    raise failure or DownloadError(
        f"{name}: the original is not published; put {what_is_looked_for(spec)} into a folder and "
        f"pass it with --data-dir{generated}"
    )


def foresee(
    name: str, options: DataOptions = DataOptions(), note: Note = _silent
) -> Prepared | str:
    """Predict the result of `prepare` without downloading, generating or writing anything.

    Returns a description if the content is not known yet. Raises DataError as `prepare` does.
    """
    if name == PHOTOGRAPHS or isinstance(name, OwnDataset):
        return prepare(name, options, note)
    spec = spec_of(name)
    ways: list[Offer] = []
    for offer in _usable(spec, options, note):
        if found := offer.ready(_silent):
            return found
        if offer.place == "yours" and offer.read:
            note(f"reading {offer.source}")
            return offer.read()[1]
        if offer.place in ("download", "recipe"):
            ways.append(offer)
    if not ways:
        return f"only available from your files ({what_is_looked_for(spec)})"
    words = ("downloaded" if offer.place == "download" else offer.source for offer in ways)
    source = f"would be {' or, if that fails, '.join(words)}"
    if spec.recipe and spec.recipe.uses_mnist and ways[-1].place == "recipe":
        mnist = foresee(MNIST.name, replace(options, origin=None))
        origin = mnist if isinstance(mnist, str) else mnist.source
        source += f"; MNIST {origin}" if "would" in origin else f"; MNIST: {origin}"
    first = ways[0]
    if len(ways) > 1 or not first.sha256:
        return source
    trust: Trust = "" if first.origin == "regenerated" else "verified"
    return Prepared(name, cache_folder(), first.origin, first.sha256, source, trust)


def check(spec: DatasetSpec, offer: Offer) -> tuple[Prepared | None, str]:
    """Read a copy completely. Returns its provenance, None if unusable, and a description."""
    assert offer.read is not None, offer
    try:
        content, found = offer.read()
    except DataError as error:
        return None, str(error)
    published = "matches the published content; " if found.sha256 in spec.known_sha256 else ""
    common = content.common_rows
    more = f"; {common}" if common and common not in found.source else ""
    return found, f"OK: {published}{found.source}{more}"


def published_addresses(spec: DatasetSpec) -> tuple[str, ...]:
    """Download addresses of a data set; for MNIST, which has four files, those of the folders."""
    if spec is MNIST:
        return addresses_of("", MNIST_ADDRESSES)
    return addresses_of(spec.archive.name, ADDRESSES) if spec.archive else ()


def offers(name: str, options: DataOptions, note: Note = _silent) -> Iterator[Offer]:
    """Yield every copy of a data set and every way to get one, in order of preference.

    Raises DataError if a file in the user's folder is clearly meant as the data set but is not.
    """
    if isinstance(name, OwnDataset):
        yield from _own_offers(name)
        return
    for source in SOURCES:
        yield from source(spec_of(name), options, note)


def _own_offers(dataset: OwnDataset) -> Iterator[Offer]:
    """The files of a user's own data set, and its cache entry."""
    facts = dataset.facts
    assert facts is not None, dataset
    file, entry = facts.declaration.file, entry_of(dataset, facts)

    def read() -> tuple[Content, Prepared]:
        content, now, _, notes = read_content(dataset.path, facts.declaration)
        name, source = OwnDataset(dataset.path, now), "; ".join([file, *notes])
        return content, Prepared(name, entry, "own", now.sha256, source, "")

    files = files_of(dataset.path, facts.declaration)
    yield Offer("yours", "own", file, files, facts.sha256, "", read=read)
    if entry.is_file():
        checked = partial(checked_entry, entry, spec_of(dataset))
        yield Offer("cache", "own", file, (entry,), facts.sha256, "", read=checked)


def _usable(spec: DatasetSpec, options: DataOptions, note: Note) -> Iterator[Offer]:
    wanted = options.origin
    if wanted == "regenerated" and spec.recipe is None:
        raise DataError(
            f"{spec.name} cannot be regenerated: it has no recipe; omit --origin regenerated, "
            f"or the experiments on {spec.name}"
        )
    for source in SOURCES:
        if wanted == "regenerated" and source is _your_files:
            continue  # damaged files do not matter then
        for offer in source(spec, options, note):
            if offer.usable and wanted in (None, offer.origin):
                yield offer


def _your_files(spec: DatasetSpec, options: DataOptions, note: Note) -> Iterator[Offer]:
    if (folder := chosen_folder(options.data_dir)) is None:
        return
    if (files := find_user_files(folder, spec)) is None:
        wanted = what_is_looked_for(spec)
        note(
            f"{folder} contains no files of {spec.name}: looked for {wanted}; "
            f"found {what_lies_in(folder)}"
        )
        return
    accepted = options.accept_unverified
    yield Offer(
        "yours",
        "original",
        str(files),
        files.paths,
        read=lambda: _read_and_judge(files, spec, accepted)[:2],
        ready=lambda _: _read_before(files, spec, accepted),
        obtain=partial(_from_user_files, files, spec, accepted),
    )


def _cache(spec: DatasetSpec, _: DataOptions, __: Note) -> Iterator[Offer]:
    for origin, path in entries(spec):
        read = partial(checked_entry, path, spec)
        if (known := recorded(path)) is None:
            source = "damaged; delete it, or run dae data fetch to replace it"
            yield Offer("cache", origin, source, (path,), usable=False, read=read)
            continue
        unused, recipe = "", spec.recipe
        if origin == "original" and known.trust != "verified":
            unused = f"{known.trust}, so used only if your files are given"
        elif origin == "regenerated" and not (
            recipe and path.stem.endswith(recipe.id) and known.sha256 == recipe.sha256
        ):
            unused = "not used: made by another version of the recipe"
        source = f"{known.source}; {unused}" if unused else known.source
        yield Offer(
            "cache",
            origin,
            source,
            (path,),
            known.sha256,
            known.trust,
            usable=not unused,
            read=read,
            ready=partial(sound_entry, path, spec),
        )


def _download(spec: DatasetSpec, options: DataOptions, _: Note) -> Iterator[Offer]:
    if published_addresses(spec):  # raises DataError for an invalid DAE_MIRROR
        expected = next(iter(spec.known_sha256), None)
        obtain = partial(_fetch, spec, options)
        yield Offer("download", "original", "download", sha256=expected, obtain=obtain)


def _recipe(spec: DatasetSpec, options: DataOptions, _: Note) -> Iterator[Offer]:
    if recipe := spec.recipe:
        obtain = partial(_generate, spec, recipe, options)
        yield Offer("recipe", "regenerated", recipe.words, sha256=recipe.sha256, obtain=obtain)


SOURCES = (_your_files, _cache, _download, _recipe)
"""Functions of the facts, the user's options and a callback for notes; they yield offers."""


def _pointer(files: UserFiles, spec: DatasetSpec) -> Path:
    return cache_folder() / f"{spec.name}-files-{files.key}.json"


def _read_before(files: UserFiles, spec: DatasetSpec, accept_unverified: bool) -> Prepared | None:
    """Return the cache entry made from the files, if they were read before."""
    if (pointer := read_pointer(_pointer(files, spec))) is None:
        return None
    entry, judgement = pointer
    known = sound_entry(cache_folder() / entry, spec)
    if known is None or known.origin != "original":
        return None
    is_known_meanwhile = known.trust != "verified" and known.sha256 in spec.known_sha256
    accepted = known.trust != "unverified" or accept_unverified or nothing_is_known(spec)
    if is_known_meanwhile or not accepted:
        return None
    return replace(known, source=f"{files} ({judgement})")


def _from_user_files(
    files: UserFiles, spec: DatasetSpec, accept_unverified: bool, note: Note
) -> Prepared:
    note(f"reading {files}")
    content, found, judgement = _read_and_judge(files, spec, accept_unverified)
    stored = _store(spec, content, found, note)
    save_pointer(_pointer(files, spec), stored.path.name, judgement)
    return replace(stored, source=found.source)


def _read_and_judge(
    files: UserFiles, spec: DatasetSpec, accept_unverified: bool
) -> tuple[Content, Prepared, str]:
    content = files.read()
    sha256 = content_digest(spec, content)
    trust, judgement = judge(files, content, sha256, spec, accept_unverified)
    source = f"{files} ({judgement})"
    found = Prepared(spec.name, files.paths[0], "original", sha256, source, trust)
    return content, found, judgement


def _fetch(spec: DatasetSpec, options: DataOptions, note: Note) -> Prepared:
    if spec is MNIST:
        note("downloading MNIST")
        content = fetch_mnist(chosen_folder(options.data_dir))
        source = "the four files, downloaded (verified: matches the published content)"
    else:
        note(f"downloading the original archive of {spec.name}")
        content = _fetch_archive(spec, options.origin == "original")
        source = "the original archive, downloaded (verified: matches the published SHA-1)"
    sha256 = content_digest(spec, content)
    if spec.known_sha256 and sha256 not in spec.known_sha256:
        note(
            f"{spec.name}: the archive has the published SHA-1, but its content has the unknown "
            f"SHA-256 {sha256[:12]}…; please report this"
        )
    found = Prepared(spec.name, cache_folder(), "original", sha256, source, "verified")
    return _store(spec, content, found, note)


def _fetch_archive(spec: DatasetSpec, required: bool) -> Content:
    """Download the published archive; `required` if nothing else is accepted instead."""
    archive = spec.archive
    assert archive is not None
    addresses = published_addresses(spec)
    try:
        with fetched(archive.name, addresses, f"sha1:{archive.sha1}") as path:
            try:
                return read_archive(path, spec)
            except DataError as error:
                raise DownloadError(
                    f"{path.name} has the published SHA-1 but cannot be read ({error}); please "
                    "report this"
                ) from error
    except DownloadError as error:
        if spec.recipe and not required:
            raise
        why = "not regenerated, because --origin original or the run requires the original; "
        why = why if spec.recipe else ""
        raise DownloadError(
            f"{error}\n  {why}if you have {archive.name}, pass its folder with --data-dir"
        ) from error


def _generate(spec: DatasetSpec, recipe: Recipe, options: DataOptions, note: Note) -> Prepared:
    def mnist() -> Content:
        return load_content(prepare(MNIST.name, replace(options, origin=None), note))

    note(f"regenerating {spec.name} from the published recipe")
    content = recipe.generate(spec, mnist)
    check_shape(spec, content, f"recipe {recipe.function}")
    sha256 = content_digest(spec, content)
    if sha256 != recipe.sha256:
        raise DataError(
            f"{spec.name}: the regenerated content has SHA-256 {sha256[:12]}…, expected "
            f"{recipe.sha256[:12]}…; please report this with your version of numpy"
        )
    source = f"published recipe {recipe.id}"
    if recipe.uses_mnist:
        source += " applied to MNIST"
    if recipe.exact:
        source += ", identical to the original"
    found = Prepared(spec.name, cache_folder(), "regenerated", sha256, source, "")
    return _store(spec, content, found, note)


def _store(spec: DatasetSpec, content: Content, found: Prepared, note: Note) -> Prepared:
    """Write a cache entry, unless the same content is already there and verified."""
    if common := content.common_rows:
        note(f"{spec.name}: {common}")
    generated = spec.recipe if found.origin == "regenerated" else None
    tail = generated.id if generated else found.sha256[:12]
    path = entry_path(spec.name, found.origin, tail)
    known = sound_entry(path, spec)
    if known and known.trust == "verified":
        return known
    stored = replace(found, path=path)
    save_entry(stored, content)
    return stored
