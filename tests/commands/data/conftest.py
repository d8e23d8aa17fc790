"""Commands on the data that lie in the test's own folder and cache."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache for each test."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("DAE_CACHE_DIR", str(folder))
    return folder


@pytest.fixture
def rect_file(data_environment: dict[str, str]) -> Path:
    """The user's file of the made-up rect."""
    return Path(data_environment["DAE_DATA_DIR"]) / "rect.npz"


@pytest.fixture
def sample(tmp_path: Path) -> Path:
    """A folder with a sample of eight rows called genuine rect: outlines 9 high and 5 wide."""
    folder = tmp_path / "genuine"
    folder.mkdir()
    image = np.zeros((28, 28))
    image[3:12, 4:9] = 1
    image[4:11, 5:8] = 0
    np.savez(
        folder / "rect.npz",
        X=np.tile(image.reshape(1, 784), (8, 1)),
        y=np.ones(8, dtype=np.int64),
        split=np.array(["train"] * 4 + ["test"] * 4),
        end=np.array(["first", "first", "last", "last"] * 2),
    )
    return folder
