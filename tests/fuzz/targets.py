"""What is fuzzed: a reader, the inputs to start from, how they are altered, what may be raised."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from dae_cli.config.experiments import (
    dump_yaml,
    load_resolved,
    resolve_experiment,
    resolve_study,
)
from dae_cli.config.overrides import parse_overrides
from dae_cli.config.problems import config_error
from dae_cli.config.reader import read_file
from dae_cli.data.cache import read_entry, read_pointer, recorded
from dae_cli.data.content import Content, check_shape
from dae_cli.data.readers.amat import read_amat
from dae_cli.data.readers.archive import read_archive
from dae_cli.data.readers.arrays import read_arrays
from dae_cli.data.readers.idx import read_idx, read_labels
from dae_cli.errors import ConfigError, DataError, RunFolderError
from tests.fuzz import run_folders, samples, tables
from tests.fuzz.mutations import WORDS, Mutate, bytes_and, gzip_and, zip_and
from tests.fuzz.samples import SPEC

Attempt = Callable[[bytes, Path], None]
"""Reads an input, with a folder to write it to; returns if it is accepted."""


@dataclass(frozen=True)
class Target:
    """One reader under test."""

    name: str
    attempt: Attempt
    refusal: type[Exception]
    """The one kind of exception that may be raised."""
    inputs: Callable[[], Sequence[bytes]]
    mutate: Mutate

    @property
    def file_name(self) -> str:
        """The name as the beginning of a file's name."""
        return self.name.replace(" ", "-")

    def accepts(self, data: bytes, folder: Path) -> bool:
        """Tell whether an input is accepted; any exception but a plain refusal passes through."""
        try:
            self.attempt(data, folder)
        except self.refusal as refused:
            _require_plain(str(refused))
            return False
        return True


def _require_plain(message: str) -> None:
    """No message may drive a terminal, whatever the file put into it."""
    assert message, "a refusal without words"
    for character in message.replace("\n", ""):
        assert unicodedata.category(character) != "Cc", f"{character!r} in {message!r}"


def _put(folder: Path, name: str, data: bytes) -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


def _require_sound(content: Content) -> None:
    check_shape(SPEC, content)
    for pixels in (content.pixels, content.test_pixels):
        assert pixels.max() <= 1
    for labels in (content.labels, content.test_labels):
        assert labels.max() < SPEC.n_classes


def _amat(data: bytes, folder: Path) -> None:
    test = folder / "test.amat"
    if not test.exists():
        test.write_bytes(samples.text_of("test", "%g", " "))
    _require_sound(read_amat(_put(folder, "train.amat", data), test, SPEC))


def _archive(data: bytes, folder: Path) -> None:
    _require_sound(read_archive(_put(folder, "a.zip", data), SPEC))


def _arrays(data: bytes, folder: Path) -> None:
    _require_sound(read_arrays(_put(folder, "a.npz", data), SPEC))


def _entry(data: bytes, folder: Path) -> None:
    path = _put(folder, "entry.npz", data)
    told = recorded(path)
    content, provenance = read_entry(path, SPEC)
    assert told == provenance
    check_shape(SPEC, content)  # what it holds is compared with its digest, not with the scale


def _pointer(data: bytes, folder: Path) -> None:
    pointer = read_pointer(_put(folder, "pointer.json", data))
    if pointer is None:
        raise DataError("no pointer")
    assert (folder / pointer.entry).resolve().parent == folder.resolve()


def _images(data: bytes, folder: Path) -> None:
    assert read_idx(_put(folder, "images", data), samples.SHAPE).shape == samples.SHAPE


def _labels(data: bytes, folder: Path) -> None:
    assert read_labels(_put(folder, "labels", data), 10).max() < 10


def _yaml(data: bytes, folder: Path) -> None:
    entry, problems = read_file(_put(folder, "a.yaml", data), "a.yaml")
    if problems:
        raise config_error("a", problems)
    assert entry is None or entry.written() is not None


def _overrides(data: bytes, folder: Path) -> None:
    # As the arguments of a process are decoded.
    arguments = data.decode("utf-8", "surrogateescape").split(samples.OVERRIDE_END)
    _, problems = parse_overrides(arguments)
    if problems:
        raise config_error("a", problems)
    resolve_experiment("smoke/convex-0", arguments)


def _experiment(data: bytes, folder: Path) -> None:
    resolved = resolve_experiment(str(_put(folder, "alone.yaml", data)))
    dumped = _put(folder, "dumped.yaml", dump_yaml(resolved.experiment).encode())
    assert load_resolved(dumped) == resolved.experiment


def _study(data: bytes, folder: Path) -> None:
    study = folder / "study"
    if not study.exists():
        study.mkdir()
        _put(study, "a.yaml", b"dataset: convex\n")
        _put(study, "b.yaml", b"dataset: convex\ncorruption: {destruction: 0.25}\n")
    _put(study, "study.yaml", data)
    assert len(resolve_study(f"{study}/").cells) == 2


_TEXT, _NPY, _IDX, _YAML = (bytes_and(WORDS[kind]) for kind in ("text", "npy", "idx", "yaml"))

_JSON = bytes_and(run_folders.JSON_WORDS)
_HEADER = run_folders.header_and(_JSON)


def _of_a_run(
    name: str, attempt: Attempt, inputs: Callable[[], Sequence[bytes]], mutate: Mutate
) -> Target:
    return Target(name, attempt, RunFolderError, inputs, mutate)


TARGETS = {
    target.name: target
    for target in (
        Target("amat", _amat, DataError, samples.texts, _TEXT),
        Target("archive", _archive, DataError, samples.archives, zip_and(_TEXT)),
        Target("arrays", _arrays, DataError, samples.arrays, zip_and(_NPY)),
        Target("cache entry", _entry, DataError, samples.entries, zip_and(_NPY)),
        Target("cache pointer", _pointer, DataError, samples.pointers, _NPY),
        Target("idx images", _images, DataError, samples.images, gzip_and(_IDX)),
        Target("idx labels", _labels, DataError, samples.labels, gzip_and(_IDX)),
        Target("yaml", _yaml, ConfigError, samples.experiments, _YAML),
        Target("overrides", _overrides, ConfigError, samples.overrides, _YAML),
        Target("experiment", _experiment, ConfigError, samples.experiments, _YAML),
        Target("study", _study, ConfigError, samples.studies, _YAML),
        _of_a_run("checkpoint", run_folders.read_checkpoint, run_folders.checkpoints, _HEADER),
        _of_a_run("svm checkpoint", run_folders.read_svm, run_folders.svms, _HEADER),
        _of_a_run("svm trials", run_folders.read_svm_trials, run_folders.svm_trials, _TEXT),
        _of_a_run("run status", run_folders.read_status, run_folders.statuses, _JSON),
        _of_a_run("run environment", run_folders.read_environment, run_folders.environments, _JSON),
        _of_a_run("runs.csv", run_folders.read_runs, run_folders.runs_csvs, _TEXT),
        _of_a_run("wrong rows", tables.read_wrong_rows, tables.wrong_rows, _NPY),
        _of_a_run("wrong_rows.csv", tables.read_kept, tables.kept, _TEXT),
        _of_a_run("mcnemar.csv", tables.read_mcnemar, tables.mcnemars, _TEXT),
        _of_a_run("search.csv", tables.read_search, tables.searches, _TEXT),
    )
}
