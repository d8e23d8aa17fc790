"""A tiny registered set with a recipe, its files in every format, and no way to the network."""

from __future__ import annotations

import io
import os
import socket
import threading
import zipfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
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


@dataclass
class Server:
    """A server on the loopback interface: what it does at each path, and what it was asked for."""

    address: str = ""
    at: dict[str, Callable[[BaseHTTPRequestHandler], None]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    closing: threading.Event = field(default_factory=threading.Event)

    def do(self, behaviour: Callable[[BaseHTTPRequestHandler], None], path: str) -> str:
        """Have any behaviour at ``path``; returns the whole address."""
        self.at[path] = behaviour
        return self.address + path[1:]

    def serve(
        self,
        body: bytes,
        path: str = "/tiny.zip",
        status: int = 200,
        length: int | None = None,
        **headers: str,
    ) -> str:
        """Send ``body`` at ``path``; ``length`` is what is promised, where that is a lie."""

        def behave(handler: BaseHTTPRequestHandler) -> None:
            handler.send_response(status)
            handler.send_header("Content-Length", str(len(body) if length is None else length))
            for name, value in headers.items():
                handler.send_header(name, value)
            handler.end_headers()
            handler.wfile.write(body)

        return self.do(behave, path)


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


@pytest.fixture(scope="session")
def published() -> tuple[str, ...]:
    """The true addresses of the archives, to look at."""
    return registry.ADDRESSES


@pytest.fixture(autouse=True)
def _no_network(cache: Path, closed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An own cache, no data folder, and a download address where nothing listens."""
    monkeypatch.setenv("DAE_CACHE_DIR", str(cache))
    for name in ("DAE_DATA_DIR", "DAE_MIRROR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(registry, "ADDRESSES", (closed,))


class _Unprivileged:
    """Inside the block, tests run by the administrator have nobody's permissions."""

    def __enter__(self) -> None:
        if os.geteuid() == 0:
            os.seteuid(65534)

    def __exit__(self, *_: object) -> None:
        if os.getuid() == 0:
            os.seteuid(0)


@pytest.fixture
def unprivileged() -> AbstractContextManager[None]:
    """A block in which permissions count, whoever runs the tests."""
    if os.name == "nt":
        pytest.skip("permissions are another thing on Windows")
    return _Unprivileged()


@pytest.fixture
def closed() -> str:
    """An address on the loopback interface where nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}/"


@pytest.fixture
def server() -> Iterator[Server]:
    """A server on the loopback interface that has nothing yet: it answers 404."""
    state = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            state.asked.append(self.path)
            with suppress(OSError):  # the client may hang up at any time
                if behave := state.at.get(self.path):
                    behave(self)
                else:
                    self.send_error(404)

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        state.address = f"http://127.0.0.1:{http.server_port}/"
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield state
        state.closing.set()
        http.shutdown()
        thread.join()
