"""Targets of fuzzing: a reader, the inputs to start from, and how they are altered."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.entry_points import readers
from tests.entry_points.readers import Arrays, DaeError
from tests.fuzz import samples
from tests.fuzz.mutations import WORDS, Mutate, bytes_and, gzip_and, header_and, zip_and
from tests.fuzz.samples import ROWS, SHAPE, WRONG
from tests.support.commands import dae
from tests.support.tiny import destruction_cells, write_rect, write_study

Attempt = Callable[[Path], None]
"""Read the file at a path; raise DaeError or Refused if it is not accepted."""


class Refused(Exception):
    """A command did not accept the file; its output is the message."""


@dataclass(frozen=True)
class Target:
    """One reader under test."""

    name: str
    file: str
    """Path of the input in the folder of the attempts; empty if the input is not a file."""
    attempt: Attempt
    mutate: Mutate
    samples: Sequence[bytes] = ()
    """The inputs to start from; empty for a file of results, which itself is the input."""
    short: int = 200
    """Number of inputs that the suite tries."""

    def inputs(self, folder: Path) -> Sequence[bytes]:
        """Return the inputs to start from; produce the results if necessary."""
        if self.samples:
            return self.samples
        make_results(folder, Path(self.file).parts[1])
        return [self._path(folder).read_bytes()]

    def accepts(self, data: bytes, folder: Path) -> bool:
        """Return whether an input is accepted; exceptions other than a refusal pass through.

        A refusal names the file or its run, and contains no control characters even if the
        input does. `folder` must be the current folder.
        """
        path = self._path(folder)
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)
        try:
            self.attempt(path)
        except (DaeError, Refused) as refused:
            message = str(refused)
            named = path.name in message or path.parent.name in message or not self.file
            assert named, f"{path.name} is not named: {message!r}"
            for character in message.replace("\n", ""):
                assert unicodedata.category(character) != "Cc", f"{character!r} in {message!r}"
            return False
        return True

    def _path(self, folder: Path) -> Path:
        name = self.file or "input"
        return next(folder.glob(name), folder / name)


def make_results(folder: Path, study: str) -> None:
    """Produce the results of a network, `tiny`, or of an SVM, `machines`, if missing."""
    if (folder / "results" / study).exists():
        return
    if "DAE_DATA_DIR" not in os.environ:
        os.environ.update(DAE_DATA_DIR=str(folder), DAE_CACHE_DIR=str(folder / "cache"))
        os.environ["DAE_ACCEPT_UNVERIFIED"] = "1"
        write_rect(folder)
    if study == "tiny":  # without noise, because numba cannot compile code that atheris instruments
        write_study(folder, cells=destruction_cells(0))
    else:
        svm = {"kernel": "rbf", "gammas": [0.01, 0.1], "penalties": [1, 10], "refine": False}
        shared = {"dataset": "rect", "subset": {"train": 100, "valid": 50, "test": 400}}
        write_study(folder, study, {"rect-svm-rbf": {"svm": svm}}, shared=shared)
    dae("replicate", study).succeeded()


def command(*words: str) -> None:
    """Run a command that reads the input; raise Refused if it fails."""
    ended = dae(*words)
    if "--debug" in ended.err:  # an unexpected error
        raise RuntimeError(dae("--debug", *words).err)
    if ended.code != 0:
        raise Refused(ended.out + ended.err)


def _require_sound(found: Arrays) -> None:
    assert [part.shape for part in found] == [(2, 784), (2,), (1, 784), (1,)]
    assert max(part.max() for part in found) <= 1


def _amat(path: Path) -> None:
    test = path.with_name("test.amat")
    test.write_bytes(samples.TEST_TEXT)
    _require_sound(readers.read_text_files(path, test, ROWS))


def _zip(path: Path) -> None:
    read = readers.read_zip if path.suffix == ".zip" else readers.read_npz
    _require_sound(read(path, ROWS))


def _entry(path: Path) -> None:
    found, provenance = readers.read_cache_entry(path, ROWS)
    assert found.pixels.shape == (2, 784)
    assert provenance["origin"] in ("original", "regenerated")


def _pointer(path: Path) -> None:
    entry = readers.read_cache_pointer(path)
    if entry is None:
        raise Refused(path.name)
    assert (path.parent / entry).resolve().parent == path.parent.resolve()


def _idx_file(path: Path) -> None:
    if path.name == "images":
        assert readers.read_idx(path, SHAPE).shape == SHAPE
    else:
        assert readers.read_labels(path, 10).max() < 10


def _tables(path: Path) -> None:
    readers.read_search(path.with_name("search.csv"))
    readers.read_comparisons_and_saved_rows(path.parent)


def _wrong_rows(path: Path) -> None:
    found = readers.read_wrong_rows(path.parent, len(WRONG), int(WRONG.sum()))
    assert (len(found), sum(found)) == (len(WRONG), WRONG.sum())


def _experiment(path: Path) -> None:
    command("show", f"./{path.name}")


def _study(path: Path) -> None:
    for name in ("a", "b"):
        cell = f"dataset: convex\ncorruption: {{destruction: .{ord(name)}}}\n"
        path.with_name(f"{name}.yaml").write_text(cell)
    command("show", f"./{path.parent.name}/")


def _overrides(path: Path) -> None:
    # As the arguments of a process are decoded.
    arguments = path.read_bytes().decode("utf-8", "surrogateescape").split(samples.OVERRIDE_END)
    command("show", "smoke/convex-0", *(word for a in arguments for word in ("--set", a)))


def _own(path: Path) -> None:
    declaration = path.with_name("mine.yaml")
    declaration.write_text(f"file: {path.name}\nlabel: y\nsplit: {{valid: .4, test: .3}}\n")
    command("data", "list", declaration.name)


def _streamed(path: Path) -> None:
    assert sum(map(len, readers.stream_own_rows(path))) > 0


def _evaluate(path: Path) -> None:
    command("evaluate", str(path.parent.relative_to(Path.cwd())))


def _verify(path: Path) -> None:
    command("verify", path.relative_to(Path.cwd() / "results").parts[0])


_TEXT, _NPY, _IDX, _YAML, _JSON = (
    bytes_and(WORDS[kind]) for kind in ("text", "npy", "idx", "yaml", "json")
)
_HEADER = header_and(_JSON)
_RUN, _SVM_RUN = "results/tiny/runs/*saa*", "results/machines/runs/*"

TARGETS = {
    target.name: target
    for target in (
        Target("amat", "train.amat", _amat, _TEXT, samples.TEXTS),
        Target("archive", "a.zip", _zip, zip_and(_TEXT), samples.ARCHIVES),
        Target("arrays", "a.npz", _zip, zip_and(_NPY), samples.ARRAYS),
        Target("cache entry", "entry.npz", _entry, zip_and(_NPY), samples.CACHE_ENTRIES),
        Target("cache pointer", "pointer.json", _pointer, _NPY, samples.CACHE_POINTERS),
        Target("idx images", "images", _idx_file, gzip_and(_IDX), samples.IMAGES),
        Target("idx labels", "labels", _idx_file, gzip_and(_IDX), samples.LABELS),
        Target("own table", "own.csv", _own, _TEXT, samples.OWN_TABLES, 60),
        Target("own arrays", "own.npz", _own, zip_and(_NPY), samples.OWN_ARRAYS, 60),
        Target("streamed arrays", "own.npz", _streamed, zip_and(_NPY), samples.OWN_ARRAYS),
        Target("experiment", "alone.yaml", _experiment, _YAML, samples.EXPERIMENTS, 30),
        Target("study", "study/study.yaml", _study, _YAML, samples.STUDIES, 30),
        Target("overrides", "", _overrides, _YAML, samples.OVERRIDES, 30),
        Target("search.csv", "search.csv", _tables, _TEXT, samples.SEARCHES),
        Target("mcnemar.csv", "mcnemar.csv", _tables, _TEXT, samples.COMPARISONS),
        Target("wrong_rows.csv", "wrong_rows.csv", _tables, _TEXT, samples.SAVED_ROWS),
        Target("wrong rows", "wrong_rows.npy", _wrong_rows, _NPY, samples.WRONG_ROWS),
        Target("runs.csv", "results/tiny/runs.csv", _verify, _TEXT, short=6),
        Target("run status", f"{_RUN}/status.json", _evaluate, _JSON, short=6),
        Target("run environment", f"{_RUN}/environment.json", _verify, _JSON, short=6),
        Target("run settings", f"{_RUN}/config.yaml", _evaluate, _YAML, short=6),
        Target("checkpoint", f"{_RUN}/checkpoint.safetensors", _evaluate, _HEADER, short=6),
        Target("svm trials", f"{_SVM_RUN}/trials.csv", _verify, _TEXT, short=6),
        Target("svm checkpoint", f"{_SVM_RUN}/checkpoint.safetensors", _evaluate, _HEADER, short=6),
    )
}
