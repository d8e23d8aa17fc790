"""What there is of each set on this machine, and where it would come from."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from dae_cli.data.cache import entries, read_entry, recorded
from dae_cli.data.content import content_digest
from dae_cli.data.dataset import Origin, Trust
from dae_cli.data.datasets import DatasetSpec
from dae_cli.data.obtain import describe_common_rows, judge_user_files
from dae_cli.data.sources.mnist import (
    CONTENT_SHA256,
    MnistFiles,
    cached_mnist,
    find_mnist,
    read_mnist,
)
from dae_cli.data.sources.user_files import UserFiles, find_user_files
from dae_cli.data.trust import known_contents
from dae_cli.errors import DataError


@dataclass(frozen=True)
class Copy:
    """One copy of a set: the user's files, or an entry of the cache."""

    place: str
    """"yours" or "cache"."""
    paths: tuple[Path, ...]
    origin: Origin
    sha256: str | None
    """As recorded, like `trust`; None for the user's files, which are not read for a listing."""
    source: str
    n_bytes: int
    usable: bool
    """Whether it would be used: not damaged, not outdated, and proven or given by the user."""
    trust: Trust | None = None


@dataclass(frozen=True)
class Check:
    """What became of a copy that was read to its last byte."""

    copy: Copy
    sound: bool
    found: str
    """What it was found to be, in words."""


def copies(spec: DatasetSpec, folder: Path | None) -> list[Copy]:
    """The copies of a set, in the order in which they would be used.

    Entries of other recipes than the present one are named as such in ``source``.
    Raises DataError when the user's folder holds half of a pair of files.
    """
    found = []
    if folder is not None and (files := find_user_files(folder, spec)):
        found.append(_users_copy(files))
    return found + [_cached_copy(spec, path) for path in entries(spec)]


def comes_from(spec: DatasetSpec, found: list[Copy]) -> str:
    """Where the set would be taken from now, given its copies, in a few words."""
    if here := at_hand(found):
        return here
    if (recipe := spec.recipe) is None:
        return "the download" if spec.archive else "your files alone"
    made = "rebuilt" if recipe.exact else "regenerated"
    made += " from MNIST" if recipe.uses_mnist else ""
    return f"the download, else {made}" if spec.archive else made


def at_hand(found: list[Copy]) -> str | None:
    """Which of the copies would be used, in a few words; None where none can be."""
    for copy in found:
        if copy.usable:
            return "your files" if copy.place == "yours" else f"the cache ({copy.origin})"
    return None


def mnist_copies(folder: Path | None) -> list[Copy]:
    """The copies of MNIST, in the order in which they would be used; they are not read.

    Raises DataError when the user's folder holds some but not all of its four files.
    """
    places = [("yours", find_mnist(folder) if folder else None), ("cache", cached_mnist())]
    return [
        Copy(
            place,
            files.paths,
            "original",
            None,
            f"{'the user' if place == 'yours' else 'downloaded'}: {files.folder}",
            sum(path.stat().st_size for path in files.paths),
            usable=True,
        )
        for place, files in places
        if files is not None
    ]


def check_mnist(copy: Copy) -> Check:
    """Read all of a copy of MNIST and compare its content with the known digest."""
    try:
        read_mnist(MnistFiles(copy.paths[0].parent, *copy.paths))
    except DataError as error:
        return Check(copy, False, str(error))
    known = replace(copy, sha256=CONTENT_SHA256, trust="verified")
    return Check(known, True, f"sound: MNIST; {copy.source}")


def check(spec: DatasetSpec, copy: Copy, folder: Path | None, accept_unverified: bool) -> Check:
    """Read every byte of a copy and compare its content with its digest, or judge the user's."""
    try:
        if copy.place == "yours":
            files = find_user_files(folder, spec) if folder else None
            if files is None:
                raise DataError(f"{copy.paths[0]}: was there a moment ago and is gone")
            content = files.read()
            sha256 = content_digest(spec, content)
            trust, judgement = judge_user_files(files, content, sha256, spec, accept_unverified)
            return Check(replace(copy, sha256=sha256, trust=trust), True, judgement)
        content, provenance = read_entry(copy.paths[0], spec)
        sha256 = content_digest(spec, content)
    except DataError as error:
        return Check(copy, False, str(error))
    if sha256 != provenance.sha256:
        expected = f"{provenance.sha256[:12]}…, found {sha256[:12]}…"
        return Check(copy, False, f"damaged: its content should have SHA-256 {expected}; delete it")
    published = "the published content" if sha256 in known_contents(spec) else "as recorded"
    told = ("sound: " + published, provenance.source, describe_common_rows(content))
    found = "; ".join(part for part in told if part)
    return Check(replace(copy, sha256=sha256), True, found)


def _users_copy(files: UserFiles) -> Copy:
    size = sum(path.stat().st_size for path in files.paths)
    return Copy("yours", files.paths, "original", None, f"the user's {files}", size, usable=True)


def _cached_copy(spec: DatasetSpec, path: Path) -> Copy:
    size = path.stat().st_size
    origin: Origin = "original" if path.name.startswith(f"{spec.name}-original-") else "regenerated"
    if (known := recorded(path)) is None:
        told = "damaged; dae replaces it when needed"
        return Copy("cache", (path,), origin, None, told, size, usable=False)
    if origin == "original":
        usable = known.trust == "verified"
        why_not = f"{known.trust}, used only while your file is given"
    else:
        usable = spec.recipe is not None and path.stem.endswith(spec.recipe.id)
        why_not = "an older recipe's, not used"
    source = known.source if usable else f"{known.source}; {why_not}"
    return Copy("cache", (path,), origin, known.sha256, source, size, usable, known.trust)
