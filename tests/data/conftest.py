"""A tiny registered set with a recipe, its files in every format, and no way to the network."""

from __future__ import annotations

import io
import socket
import zipfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dae_cli.data import registry
from dae_cli.data.content import Content, content_digest
from dae_cli.data.digits import DigitSource
from dae_cli.data.generators import recipes
from dae_cli.data.registry import DatasetSpec


def _random_content(spec: DatasetSpec, seed: int) -> Content:
    random = np.random.default_rng(seed)

    def pixels(n: int) -> np.ndarray:
        if spec.levels is None:
            return random.random((n, 784), dtype=np.float32).round(4)
        top = min(spec.levels, 255)
        return random.integers(0, top + 1, (n, 784), dtype=np.uint8)

    def labels(n: int) -> np.ndarray:
        return random.integers(0, spec.n_classes, n, dtype=np.uint8)

    return Content(
        pixels(spec.n_train_file),
        labels(spec.n_train_file),
        pixels(spec.n_test),
        labels(spec.n_test),
    )


@dataclass(frozen=True)
class Tiny:
    """A small set with known content, and ways to write it as a user would have it."""

    spec: DatasetSpec
    content: Content

    @property
    def sha256(self) -> str:
        return content_digest(self.spec, self.content)

    def with_spec(self, **changes: Any) -> Tiny:
        spec = replace(self.spec, **changes)
        return Tiny(spec, _random_content(spec, seed=3))

    def text(self, part: str) -> bytes:
        """A file of rows in the originals' format."""
        train = part == "train"
        pixels = self.content.pixels if train else self.content.test_pixels
        labels = self.content.labels if train else self.content.test_labels
        rows = np.column_stack([pixels.astype(np.float64) * self.spec.scale, labels])
        stream = io.StringIO()
        np.savetxt(stream, rows, fmt="%16.7e", delimiter="")
        return stream.getvalue().encode()

    def write_amat(self, folder: Path) -> tuple[Path, Path]:
        train, test = folder / self.spec.train_member, folder / self.spec.test_member
        for path, part in ((train, "train"), (test, "test")):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(self.text(part))
        return train, test

    def archive_bytes(self) -> bytes:
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(zipfile.ZipInfo(self.spec.train_member), self.text("train"))
            archive.writestr(zipfile.ZipInfo(self.spec.test_member), self.text("test"))
        return stream.getvalue()

    def write_zip(self, folder: Path) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / self.spec.archive
        path.write_bytes(self.archive_bytes())
        return path

    def arrays(self) -> dict[str, Any]:
        scale = self.spec.scale
        return {
            "X": self.content.pixels * scale,
            "Y": self.content.labels,
            "Xtest": self.content.test_pixels * scale,
            "Ytest": self.content.test_labels,
        }

    def write_npz(self, folder: Path, **changes: np.ndarray) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{self.spec.name}.npz"
        np.savez(path, **(self.arrays() | changes))
        return path


_SPEC = DatasetSpec(
    name="tiny",
    n_classes=3,
    n_train=6,
    n_valid=2,
    n_test=5,
    archive="tiny.zip",
    archive_sha1="0" * 40,
    train_member="tiny_train.amat",
    test_member="50k/tiny_test.amat",
    levels=255,
)


@pytest.fixture
def tiny() -> Tiny:
    """The original content of the tiny set."""
    return Tiny(_SPEC, _random_content(_SPEC, seed=1))


@pytest.fixture
def regenerated() -> Content:
    """What the recipe of the tiny set makes."""
    return _random_content(_SPEC, seed=2)


@pytest.fixture
def tiny_registered(tiny: Tiny, regenerated: Content, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Registers the tiny set and its recipe; the list grows by one at each regeneration."""
    made: list[str] = []

    def generate(_: DigitSource) -> Content:
        made.append("tiny")
        return regenerated

    recipe = recipes.Recipe(1, content_digest(tiny.spec, regenerated), generate)
    monkeypatch.setitem(registry.REGISTRY, "tiny", tiny.spec)
    monkeypatch.setitem(recipes.RECIPES, "tiny", recipe)
    return made


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """The cache folder of the test."""
    return tmp_path / "cache"


@pytest.fixture(autouse=True)
def _no_network(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An own cache, no data folder, and a download address where nothing listens."""
    monkeypatch.setenv("DAE_CACHE_DIR", str(cache))
    monkeypatch.delenv("DAE_DATA_DIR", raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    monkeypatch.setattr(registry, "BASE_ADDRESS", f"http://127.0.0.1:{port}/")
