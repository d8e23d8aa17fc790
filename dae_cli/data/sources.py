"""From the name of a set to its content: your files, the cache, the download, the recipe.

The order is that of `SOURCES`, and every command walks it. The origin is never silent: every result
says where the content came from, and regenerated content is never called original. What lies in the
cache is called original only if a published digest proves it or the user's file says so, and the
entry records how far that is to be trusted.
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
    """What the user says of where data are to come from."""

    data_dir: Path | None = None
    """The user's files; default ``DAE_DATA_DIR``."""
    origin: Origin | None = None
    """Accept nothing else; default: the original where it can be had."""
    accept_unverified: bool = False
    """Take the user's files even if nothing shows that they are the original."""
    photos: Path | None = None
    """The user's photographs; default: those that come with the dependencies."""


def _silent(_: str) -> None:
    return None


@dataclass(frozen=True)
class Offer:
    """What a source has of a set: a copy of it, or a way to have one."""

    place: Place
    origin: Origin
    source: str
    """Where it is or comes from, in words."""
    paths: tuple[Path, ...] = ()
    """The files of a copy."""
    sha256: str | None = None
    """As recorded or published; None where it is not known yet."""
    trust: Trust | None = None
    usable: bool = True
    """Whether it would be taken: not damaged, not outdated, and proven or given by the user."""
    read: Callable[[], tuple[Content, Prepared]] | None = None
    """Read a copy to its last byte and say what it is. Raises DataError when it is not sound."""
    ready: Callable[[Note], Prepared | None] = lambda _: None
    """Find it as it lies, read to the last byte; None where it is still to be had."""
    obtain: Callable[[Note], Prepared | None] = lambda _: None
    """Bring it into the cache. Raises DataError, or DownloadError where it cannot be had."""

    @property
    def n_bytes(self) -> int:
        """Size of the files."""
        return sum(path.stat().st_size for path in self.paths)


def prepare(name: str, options: DataOptions = DataOptions(), note: Note = _silent) -> Prepared:
    """Make sure that the set lies on this machine, and say where it came from.

    Raises DataError for an unknown name, files that cannot be used, or no such origin, and
    DownloadError where it can neither be fetched nor regenerated.
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
        # Looked at once more, since another process may have made it meanwhile.
        for offer in yours or _usable(spec, options, _silent):
            if failure:
                note(str(failure))
            try:
                if found := offer.ready(_silent) or offer.obtain(note):
                    return found
            except DownloadError as error:
                failure = error
    generated = ", it is generated: leave out --origin original" if spec.recipe else ""
    raise failure or DownloadError(
        f"{name}: its original is not published{generated}; give its files with --data-dir: "
        f"{what_is_looked_for(spec)}"
    )


def foresee(
    name: str, options: DataOptions = DataOptions(), note: Note = _silent
) -> Prepared | str:
    """What `prepare` would come to; nothing is fetched, generated or written.

    In words alone where its content is not known yet. Raises DataError as `prepare` does.
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
        return f"your files alone: {what_is_looked_for(spec)}"
    words = ("fetched" if offer.place == "download" else offer.source for offer in ways)
    source = f"would be {', else '.join(words)}"
    if spec.recipe and spec.recipe.uses_mnist and ways[-1].place == "recipe":
        mnist = foresee(MNIST.name, replace(options, origin=None))
        origin = mnist if isinstance(mnist, str) else mnist.source
        source += f", which {origin}" if "would" in origin else f", {origin}"
    first = ways[0]
    if len(ways) > 1 or not first.sha256:
        return source
    trust: Trust = "" if first.origin == "regenerated" else "verified"
    return Prepared(name, cache_folder(), first.origin, first.sha256, source, trust)


def check(spec: DatasetSpec, offer: Offer) -> tuple[Prepared | None, str]:
    """Read every byte of a copy: what it is, None if it is not sound; and that in words."""
    assert offer.read is not None, offer
    try:
        content, found = offer.read()
    except DataError as error:
        return None, str(error)
    published = "the published content; " if found.sha256 in spec.known_sha256 else ""
    common = content.common_rows
    more = f"; {common}" if common and common not in found.source else ""
    return found, f"sound: {published}{found.source}{more}"


def published_addresses(spec: DatasetSpec) -> tuple[str, ...]:
    """Where a set is looked for; of MNIST, which has four files, their folders."""
    if spec is MNIST:
        return addresses_of("", MNIST_ADDRESSES)
    return addresses_of(spec.archive.name, ADDRESSES) if spec.archive else ()


def offers(name: str, options: DataOptions, note: Note = _silent) -> Iterator[Offer]:
    """Every copy of a set and every way to have one, in the order in which they are taken.

    Raises DataError when the user's folder holds what can only be meant as the set, but is not.
    """
    if isinstance(name, OwnDataset):
        yield from _own_offers(name)
        return
    for source in SOURCES:
        yield from source(spec_of(name), options, note)


def _own_offers(dataset: OwnDataset) -> Iterator[Offer]:
    """The files of a user's own data set, and its entry of the cache."""
    facts = dataset.facts
    assert facts is not None, dataset
    file, entry = facts.declaration.file, entry_of(dataset, facts)

    def read() -> tuple[Content, Prepared]:
        content, now, notes = read_content(dataset.path, facts.declaration)
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
            f"{spec.name} has no recipe, there is the original alone; leave out --origin "
            f"regenerated, or leave out what is trained on {spec.name}"
        )
    for source in SOURCES:
        if wanted == "regenerated" and source is _your_files:
            continue  # what lies there need not be sound
        for offer in source(spec, options, note):
            if offer.usable and wanted in (None, offer.origin):
                yield offer


def _your_files(spec: DatasetSpec, options: DataOptions, note: Note) -> Iterator[Offer]:
    if (folder := chosen_folder(options.data_dir)) is None:
        return
    if (files := find_user_files(folder, spec)) is None:
        wanted = what_is_looked_for(spec)
        note(
            f"{folder} has no files of {spec.name}: looked for {wanted}; "
            f"found {what_lies_in(folder)}"
        )
        return
    accepted = options.accept_unverified
    yield Offer(
        "yours",
        "original",
        f"the user's {files}",
        files.paths,
        read=lambda: _read_and_judge(files, spec, accepted)[:2],
        ready=lambda _: _read_before(files, spec, accepted),
        obtain=partial(_from_user_files, files, spec, accepted),
    )


def _cache(spec: DatasetSpec, _: DataOptions, __: Note) -> Iterator[Offer]:
    for origin, path in entries(spec):
        read = partial(checked_entry, path, spec)
        if (known := recorded(path)) is None:
            source = "damaged; delete it, or have the set fetched or generated again"
            yield Offer("cache", origin, source, (path,), usable=False, read=read)
            continue
        unused, recipe = "", spec.recipe
        if origin == "original" and known.trust != "verified":
            unused = f"{known.trust}, used only while your file is given"
        elif origin == "regenerated" and not (
            recipe and path.stem.endswith(recipe.id) and known.sha256 == recipe.sha256
        ):
            unused = "an older recipe's, not used"
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
    if published_addresses(spec):  # which refuses a DAE_MIRROR that is no address
        expected = next(iter(spec.known_sha256), None)
        obtain = partial(_fetch, spec, options)
        yield Offer("download", "original", "the download", sha256=expected, obtain=obtain)


def _recipe(spec: DatasetSpec, options: DataOptions, _: Note) -> Iterator[Offer]:
    if recipe := spec.recipe:
        obtain = partial(_generate, spec, recipe, options)
        yield Offer("recipe", "regenerated", recipe.words, sha256=recipe.sha256, obtain=obtain)


SOURCES = (_your_files, _cache, _download, _recipe)
"""Each takes the facts of a set, the user's options and a receiver of notes."""


def _pointer(files: UserFiles, spec: DatasetSpec) -> Path:
    return cache_folder() / f"{spec.name}-files-{files.key}.json"


def _read_before(files: UserFiles, spec: DatasetSpec, accept_unverified: bool) -> Prepared | None:
    """The entry that the files became, if they were read before."""
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
    return replace(known, source=f"the user's {files} ({judgement})")


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
    source = f"the user's {files} ({judgement})"
    found = Prepared(spec.name, files.paths[0], "original", sha256, source, trust)
    return content, found, judgement


def _fetch(spec: DatasetSpec, options: DataOptions, note: Note) -> Prepared:
    if spec is MNIST:
        note("fetching MNIST")
        content = fetch_mnist(chosen_folder(options.data_dir))
        proven = "the four files, downloaded (verified: the published content)"
    else:
        note(f"fetching the original archive of {spec.name}")
        content = _fetch_archive(spec, options.origin == "original")
        proven = "the original archive, downloaded (verified: the published SHA-1)"
    sha256 = content_digest(spec, content)
    if spec.known_sha256 and sha256 not in spec.known_sha256:
        note(
            f"{spec.name}: the archive has the published SHA-1 but other content than was known, "
            f"{sha256[:12]}…; please report this"
        )
    found = Prepared(spec.name, cache_folder(), "original", sha256, proven, "verified")
    return _store(spec, content, found, note)


def _fetch_archive(spec: DatasetSpec, insisted: bool) -> Content:
    """The published archive; `insisted`: on the original, which nothing replaces."""
    archive = spec.archive
    assert archive is not None
    addresses = published_addresses(spec)
    try:
        with fetched(archive.name, addresses, f"sha1:{archive.sha1}") as path:
            try:
                return read_archive(path, spec)
            except DataError as error:
                raise DownloadError(
                    f"{path.name}: has the published SHA-1 but cannot be read ({error}); please "
                    "report this"
                ) from error
    except DownloadError as error:
        if spec.recipe and not insisted:
            raise
        only = "; it is regenerated only where no original is asked for, by --origin original or "
        only = f"{only}by a run that had it" if spec.recipe else ""
        raise DownloadError(f"{error}\n  supply {archive.name} with --data-dir{only}") from error


def _generate(spec: DatasetSpec, recipe: Recipe, options: DataOptions, note: Note) -> Prepared:
    def mnist() -> Content:
        return load_content(prepare(MNIST.name, replace(options, origin=None), note))

    note(f"regenerating {spec.name} from the published recipe")
    content = recipe.generate(spec, mnist)
    check_shape(spec, content, f"its recipe, {recipe.function}")
    sha256 = content_digest(spec, content)
    if sha256 != recipe.sha256:
        raise DataError(
            f"{spec.name}: this machine regenerates other bytes ({sha256[:12]}…) than the recipe "
            f"({recipe.sha256[:12]}…); please report this with the version of numpy"
        )
    source = f"{recipe.words} by the published recipe"
    if recipe.exact:
        source = "rebuilt from MNIST, pixel for pixel the original"
    source += f" (recipe {recipe.id})"
    found = Prepared(spec.name, cache_folder(), "regenerated", sha256, source, "")
    return _store(spec, content, found, note)


def _store(spec: DatasetSpec, content: Content, found: Prepared, note: Note) -> Prepared:
    """Write an entry; where the same content lies proven in the cache, that stays."""
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
