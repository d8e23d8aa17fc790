"""A user's own data set in the cache: read once, found again as long as its files are the same."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from dae_cli.data.cache import (
    entry_path,
    exclusive,
    read_pointer,
    recorded,
    save_entry,
    save_pointer,
    sound_entry,
)
from dae_cli.data.dataset import Prepared
from dae_cli.data.datasets import OwnDataset, spec_of
from dae_cli.data.own.content import read_content
from dae_cli.data.own.declaration import Declaration, OwnFacts
from dae_cli.data.own.files import named_file, sources_of
from dae_cli.errors import DataError
from dae_cli.files import cache_folder

ORIGIN: Final = "own"
_READING = 1
"""Version of the way from files to content: another one reads files anew."""
_LARGE, _MANY = 20_000_000, 2000
"""Bytes and files that take seconds to read."""


def prepare_own(dataset: OwnDataset, note: Callable[[str], None]) -> Prepared:
    """Make sure of a set whose facts are known; its files are read where the cache has it not.

    Raises DataError: the files are gone, or cannot be used any more.
    """
    facts = dataset.facts
    assert facts is not None, dataset
    known = sound_entry(entry_of(dataset, facts), spec_of(dataset), note)
    if known and known.sha256 == facts.sha256:
        return _as_declared(known, dataset.path, facts.declaration)
    return read_own(dataset.path, facts.declaration, note)


def read_own(path: Path, declaration: Declaration, note: Callable[[str], None]) -> Prepared:
    """Read the set that the file `path` declares, unless the cache has it.

    Raises DataError: files that cannot be used.
    """
    name = OwnDataset(path)
    pointer = cache_folder() / f"{name}-files-{_key(path, declaration)}.json"
    found = read_pointer(pointer)
    known = recorded(cache_folder() / found[0]) if found else None
    if known and known.origin == ORIGIN:
        return _as_declared(known, path, declaration)
    with exclusive(name, note):
        note_if_large(files_of(path, declaration), note)
        content, facts, notes = read_content(path, declaration)
        dataset = OwnDataset(path, facts)
        rows = f"{' + '.join(map(str, facts.rows))} rows of {spec_of(dataset).n_pixels} values"
        classes = f"{len(facts.classes)} classes" if facts.classes else "no labels"
        source, entry = "; ".join([f"{rows}, {classes}", *notes]), entry_of(dataset, facts)
        prepared = Prepared(dataset, entry, ORIGIN, facts.sha256, source, "")
        save_entry(prepared, content)
        save_pointer(pointer, entry.name, "")
    return _as_declared(prepared, path, declaration)


def note_if_large(files: Sequence[Path], note: Callable[[str], None]) -> None:
    """Say that files are read where that takes a while."""
    size = sum(file.stat().st_size for file in files if file.is_file())
    if size > _LARGE or len(files) > _MANY:
        what = str(files[0]) if len(files) == 1 else f"{len(files)} files, {files[0]} and so on"
        note(f"reading {what} ({size / 1e6:.0f} MB), which is done once")


def entry_of(dataset: OwnDataset, facts: OwnFacts) -> Path:
    """Where the cache has a set."""
    return entry_path(dataset, ORIGIN, facts.sha256[:12])


def _as_declared(known: Prepared, path: Path, declaration: Declaration) -> Prepared:
    """An entry by the declaration at hand: the same content may be declared elsewhere, too."""
    assert isinstance(known.name, OwnDataset) and known.name.facts is not None
    here = {"declared": str(path), "declaration": declaration}
    dataset = OwnDataset(path, known.name.facts.model_copy(update=here))
    return replace(known, name=dataset, source=f"{declaration.file}, {known.source}")


def files_of(path: Path, declaration: Declaration) -> tuple[Path, ...]:
    """Every file that is read of the set that the file `path` declares."""
    split = declaration.split
    named = [declaration.file, *(p for p in (split.valid, split.test) if isinstance(p, str))]
    return tuple(
        file for root in named for file in sorted(sources_of(named_file(path.parent, root)))
    )


def _key(path: Path, declaration: Declaration) -> str:
    """Tells whether the declaration or one of its files has changed, without reading them."""
    about: list[object] = [_READING, str(path), declaration.model_dump(mode="json")]
    try:
        for file in files_of(path, declaration):
            status = file.stat()
            about.append([str(file.absolute()), status.st_size, status.st_mtime_ns])
    except FileNotFoundError as error:
        raise DataError(
            f"{error.filename}: does not exist; {path} names it, relative to its own folder"
        ) from error
    except OSError as error:
        raise DataError(f"{error.filename}: cannot be read ({error.strerror or error})") from error
    return hashlib.sha256(json.dumps(about).encode()).hexdigest()[:16]
