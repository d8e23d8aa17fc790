"""Small valid inputs of every format: where the mutations start from."""

from __future__ import annotations

import gzip
import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dae_cli.config.experiments import dump_yaml, resolve_experiment
from dae_cli.data.cache import PROVENANCE, Provenance
from dae_cli.data.content import Content, content_digest
from dae_cli.data.registry import N_PIXELS, REGISTRY, DatasetSpec

SPEC = replace(REGISTRY["rect"], n_train=1, n_valid=1, n_test=1)
"""Two rows to train on and one to test: inputs of some kilobytes, and no reader knows."""
SHAPE = (3, 4, 5)


def _content(spec: DatasetSpec) -> Content:
    random = np.random.default_rng(0)

    def pixels(n: int) -> NDArray[np.uint8]:
        return random.integers(0, 2, (n, N_PIXELS), dtype=np.uint8)

    def labels(n: int) -> NDArray[np.uint8]:
        return random.integers(0, spec.n_classes, n, dtype=np.uint8)

    return Content(
        pixels(spec.n_train_file),
        labels(spec.n_train_file),
        pixels(spec.n_test),
        labels(spec.n_test),
    )


CONTENT = _content(SPEC)


def text_of(part: str, form: str = "%16.7e", between: str = "", newline: str = "\n") -> bytes:
    """Rows of the training or the test file, in the originals' layout or in another."""
    pixels, labels = CONTENT.pixels, CONTENT.labels
    if part == "test":
        pixels, labels = CONTENT.test_pixels, CONTENT.test_labels
    stream = io.StringIO()
    rows = np.column_stack([pixels, labels]).astype(float)
    np.savetxt(stream, rows, fmt=form, delimiter=between, newline=newline)
    return stream.getvalue().encode()


def texts() -> list[bytes]:
    """The training file in several layouts."""
    return [
        text_of("train"),
        text_of("train", newline="\r\n"),
        text_of("train", "%g", " "),
        text_of("train", "%g", ","),
        b"\xef\xbb\xbf" + text_of("train", "%.1f", "\t"),
    ]


def archives() -> list[bytes]:
    """The original archive, packed and stored, with its folders and without."""
    short = {"train": text_of("train", "%g", " "), "test": text_of("test", "%g", " ")}
    members = {SPEC.train_member: short["train"], SPEC.test_member: short["test"]}
    below = {f"a/{name}": data for name, data in members.items()}
    whole = {SPEC.train_member: text_of("train"), SPEC.test_member: text_of("test")}
    return [
        zipped(members),
        zipped(members, zipfile.ZIP_STORED),
        zipped(below | {"a/README": b"x"}),
        zipped(whole),
    ]


def zipped(members: Mapping[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """Pack members, the same bytes whenever it is done."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(zipfile.ZipInfo(name), data, compress_type=method)
    return stream.getvalue()


def _arrays() -> dict[str, NDArray[Any]]:
    return {
        "X": CONTENT.pixels,
        "Y": CONTENT.labels,
        "Xtest": CONTENT.test_pixels,
        "Ytest": CONTENT.test_labels,
    }


def arrays() -> list[bytes]:
    """Files of the four arrays, of several types, by rows and by columns."""
    return [
        _npz({key: change(array.astype(dtype)) for key, array in _arrays().items()})
        for dtype, change in (
            ("u1", np.ascontiguousarray),
            ("?", np.asfortranarray),
            (">f4", np.ascontiguousarray),
            ("<i8", np.asfortranarray),
        )
    ]


def entries() -> list[bytes]:
    """Entries of the cache."""
    digest = content_digest(SPEC, CONTENT)
    about = asdict(Provenance(SPEC.name, "original", digest, "a test", "as given"))
    told = np.frombuffer(json.dumps(about).encode(), dtype=np.uint8)
    return [_npz({**_arrays(), PROVENANCE: told})]


def pointers() -> list[bytes]:
    """What the cache remembers of a user's file."""
    return [b'{"entry": "rect-original-1.npz", "source": "a test"}']


def _npz(members: Mapping[str, NDArray[Any]]) -> bytes:
    held = {}
    for name, array in members.items():
        stream = io.BytesIO()
        np.save(stream, array, allow_pickle=False)
        held[f"{name}.npy"] = stream.getvalue()
    return zipped(held)


def images() -> list[bytes]:
    """IDX files of images, plain and packed."""
    return _idx(np.arange(60, dtype=np.uint8).reshape(SHAPE))


def labels() -> list[bytes]:
    """IDX files of labels, plain and packed."""
    return _idx(np.arange(10, dtype=np.uint8))


def _idx(array: NDArray[np.uint8]) -> list[bytes]:
    header = bytes([0, 0, 8, array.ndim]) + b"".join(n.to_bytes(4, "big") for n in array.shape)
    plain = header + array.tobytes()
    return [plain, gzip.compress(plain, mtime=0)]


def experiments() -> list[bytes]:
    """Whole experiment files: resolved ones, and one written by hand."""
    whole = [
        dump_yaml(resolve_experiment(name, overrides).experiment).encode()
        for name, overrides in (
            ("icml2008/convex-25", []),
            ("smoke/convex-0", ["corruption={kind: gaussian, sigma: 0.5}", "model.tied=false"]),
        )
    ]
    by_hand = b"""\
# comment
dataset: 'rect'
model: &m
  hidden: [30, 20]
corruption: {kind: salt-and-pepper, destruction: .25}
pretrain: {learning_rate: 1e-1, epochs: 2}
finetune:
  learning_rate: 0.1
  max_epochs: 3
  patience: 2
seed: 7
subset: ~
"""
    return [*whole, by_hand]


def studies() -> list[bytes]:
    """Files that say what the cells of a study share."""
    return [
        b"""\
title: a study
paper: "none"
shared:
  model: {hidden: [30, 20]}
  pretrain: {learning_rate: 0.1, epochs: 2}
  finetune: {learning_rate: 0.1, max_epochs: 3, patience: 2}
per_dataset:
  convex: {seed: 2, pretrain: {epochs: 7}}
"""
    ]


OVERRIDE_END = "\x1e"


def overrides() -> list[bytes]:
    """Arguments of --set, put into one input with `OVERRIDE_END` between them."""
    several = [
        ["pretrain.learning_rate=1e-3", "model.hidden=[500, 500]", "seed=3"],
        ["model={tied: false}", "corruption.destruction=.25", "dataset=convex"],
        ["subset={train: 50, valid: 5, test: 5}", 'corruption.kind="salt-and-pepper"', "seed=4"],
    ]
    return [OVERRIDE_END.join(arguments).encode() for arguments in several]
