"""MNIST from a folder, the cache or a download; a small set of digits stands in for it."""

from __future__ import annotations

import gzip
import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dae_cli.data.sources import mnist
from dae_cli.data.sources.mnist import find_mnist, mnist_digits, mnist_here
from dae_cli.errors import DataError, DownloadError

NAMES = tuple(mnist.MD5)
TRUE_MD5, TRUE_ADDRESSES = dict(mnist.MD5), mnist.ADDRESSES


@dataclass(frozen=True)
class SmallMnist:
    """Five training and three test digits, known by their digests as the true ones are."""

    plain: dict[str, bytes]

    def packed(self, name: str) -> bytes:
        return gzip.compress(self.plain[name], mtime=0)

    def write(self, folder: Path, *names: str, spelling: str = "{}.gz") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        for name in names or NAMES:
            data = self.packed(name) if spelling.endswith(".gz") else self.plain[name]
            (folder / spelling.format(name)).write_bytes(data)

    def serve(self, server: Any, *names: str) -> None:
        for name in names or NAMES:
            server.serve(self.packed(name), f"/{name}.gz")


def _plain(seed: int) -> dict[str, bytes]:
    random = np.random.default_rng(seed)
    files = {}
    for name, n in zip(NAMES, (5, 5, 3, 3), strict=True):
        count = n.to_bytes(4, "big")
        if "images" in name:
            data = random.integers(0, 256, n * 784, dtype=np.uint8).tobytes()
            files[name] = bytes([0, 0, 8, 3]) + count + bytes([0, 0, 0, 28] * 2) + data
        else:
            data = random.integers(0, 10, n, dtype=np.uint8).tobytes()
            files[name] = bytes([0, 0, 8, 1]) + count + data
    return files


def _content(plain: dict[str, bytes]) -> tuple[bytes, bytes]:
    train_images, train_labels, test_images, test_labels = (plain[name] for name in NAMES)
    return train_images[16:] + test_images[16:], train_labels[8:] + test_labels[8:]


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch, server: Any) -> SmallMnist:
    files = SmallMnist(_plain(seed=1))
    md5 = {name: hashlib.md5(files.packed(name)).hexdigest() for name in NAMES}
    monkeypatch.setattr(mnist, "N_TRAIN", 5)
    monkeypatch.setattr(mnist, "N_TEST", 3)
    monkeypatch.setattr(mnist, "MD5", md5)
    content = hashlib.sha256(b"".join(_content(files.plain))).hexdigest()
    monkeypatch.setattr(mnist, "CONTENT_SHA256", content)
    monkeypatch.setattr(mnist, "ADDRESSES", (server.address,))
    return files


def _digits(folder: Path | None, cache: Path) -> tuple[bytes, list[str]]:
    """The digits' bytes, which must be those of the small set, and the notes."""
    notes: list[str] = []
    digits = mnist_digits(folder, cache, notes.append)
    assert digits.images.shape == (8, 784)
    assert digits.labels.shape == (8,)
    return digits.images.tobytes() + digits.labels.tobytes(), notes


def _whole(small: SmallMnist) -> bytes:
    return b"".join(_content(small.plain))


@pytest.mark.parametrize("spelling", ["{}.gz", "{}"])
@pytest.mark.parametrize("place", ["", "mnist", "MNIST/raw"])
def test_the_users_files_are_found_packed_or_not_in_the_folder_or_below(
    spelling: str, place: str, small: SmallMnist, tmp_path: Path, cache: Path
) -> None:
    small.write(tmp_path / place, spelling=spelling)
    assert _digits(tmp_path, cache) == (_whole(small), [])
    assert mnist_here(tmp_path, cache) == f"the user's files in {tmp_path / place}"
    assert not cache.exists()


def test_the_spelling_with_a_dot_is_found_too(
    small: SmallMnist, tmp_path: Path, cache: Path
) -> None:
    for name in NAMES:
        (tmp_path / name.replace("-idx", ".idx")).write_bytes(small.plain[name])
    assert _digits(tmp_path, cache) == (_whole(small), [])


def test_another_packing_of_the_same_digits_is_mnist(
    small: SmallMnist, tmp_path: Path, cache: Path
) -> None:
    small.write(tmp_path)
    for name in NAMES:
        (tmp_path / f"{name}.gz").write_bytes(gzip.compress(small.plain[name], 1, mtime=5))
    assert _digits(tmp_path, cache)[0] == _whole(small)


def test_half_of_the_files_is_an_error_that_names_the_others(
    small: SmallMnist, tmp_path: Path, cache: Path
) -> None:
    small.write(tmp_path, NAMES[0], NAMES[2])
    message = f"{tmp_path}: has some .* but not {NAMES[1]} and {NAMES[3]}, plain or with .gz"
    for look in (find_mnist, lambda folder: mnist_here(folder, cache)):
        with pytest.raises(DataError, match=message):
            look(tmp_path)


def test_a_whole_subfolder_counts_before_half_a_folder(small: SmallMnist, tmp_path: Path) -> None:
    small.write(tmp_path, NAMES[0])
    small.write(tmp_path / "mnist")
    files = find_mnist(tmp_path)
    assert files is not None
    assert files.folder == tmp_path / "mnist"


@pytest.mark.usefixtures("small")
def test_sound_files_of_other_images_are_refused(tmp_path: Path, cache: Path) -> None:
    SmallMnist(_plain(seed=2)).write(tmp_path)
    with pytest.raises(DataError, match=r"do not hold MNIST.*Fashion-MNIST"):
        mnist_digits(tmp_path, cache, print)


def test_exchanged_training_and_test_labels_are_refused(
    small: SmallMnist, tmp_path: Path, cache: Path
) -> None:
    small.write(tmp_path)
    (tmp_path / f"{NAMES[1]}.gz").write_bytes(small.packed(NAMES[3]))
    with pytest.raises(DataError, match=rf"{NAMES[1]}.gz, offset 4: dimension 1 is 3, expected 5"):
        mnist_digits(tmp_path, cache, print)


def test_the_cache_comes_next_and_is_said_to_be_there(
    small: SmallMnist, tmp_path: Path, cache: Path, server: Any
) -> None:
    small.write(cache / "mnist")
    assert mnist_here(None, cache) == "the cache"
    assert _digits(tmp_path, cache) == (_whole(small), [f"{tmp_path} has no files of MNIST"])
    assert server.asked == []


def test_a_download_is_kept_in_the_cache_and_made_once(
    small: SmallMnist, cache: Path, server: Any
) -> None:
    small.serve(server)
    assert mnist_here(None, cache) is None
    assert _digits(None, cache) == (_whole(small), ["fetching MNIST"])
    assert sorted(path.name for path in (cache / "mnist").iterdir()) == sorted(
        f"{name}.gz" for name in NAMES
    )
    assert server.asked == [f"/{name}.gz" for name in NAMES]
    assert _digits(None, cache) == (_whole(small), [])
    assert len(server.asked) == 4


def test_only_the_damaged_file_of_the_cache_is_fetched_again(
    small: SmallMnist, cache: Path, server: Any
) -> None:
    small.write(cache / "mnist")
    small.serve(server)
    damaged = cache / "mnist" / f"{NAMES[2]}.gz"
    damaged.write_bytes(damaged.read_bytes()[:-20])
    whole, notes = _digits(None, cache)
    assert whole == _whole(small)
    assert f"the cached MNIST is damaged ({damaged}: " in notes[0]
    assert server.asked == [f"/{NAMES[2]}.gz"]


def test_wrong_bytes_at_one_address_are_passed_over_for_the_next(
    small: SmallMnist, cache: Path, server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mnist, "ADDRESSES", (f"{server.address}moved/", server.address))
    small.serve(server)
    for name in NAMES:
        server.serve(b"<html>", f"/moved/{name}.gz")
    whole, notes = _digits(None, cache)
    assert whole == _whole(small)
    assert len(notes) == 5
    assert all("moved" in note for note in notes[1:])


def test_what_was_tried_and_what_to_do_are_told_where_mnist_cannot_be_had(
    small: SmallMnist, tmp_path: Path, cache: Path, server: Any
) -> None:
    small.serve(server, NAMES[0])
    with pytest.raises(DownloadError) as caught:
        mnist_digits(tmp_path, cache, lambda _: None)
    message = str(caught.value)
    for part in (
        f"neither in {tmp_path} nor in {cache / 'mnist'}, and",
        f"{NAMES[1]}.gz cannot be fetched",
        "404 Not Found",
        *(f"{name}.gz" for name in NAMES),
        f"from {server.address}",
        "--data-dir or DAE_DATA_DIR",
    ):
        assert part in message
    assert [path.name for path in (cache / "mnist").iterdir()] == [f"{NAMES[0]}.gz"]


@pytest.mark.usefixtures("small")
def test_there_is_more_than_one_address_and_each_names_a_folder() -> None:
    assert len(TRUE_ADDRESSES) >= 2
    assert all(re.fullmatch(r"https?://\S+/", address) for address in TRUE_ADDRESSES)


def test_the_genuine_files_have_the_published_checksums_and_the_known_content(
    test_data: Path, cache: Path
) -> None:
    folder = test_data / "mnist"
    for name, md5 in TRUE_MD5.items():
        assert hashlib.md5((folder / f"{name}.gz").read_bytes()).hexdigest() == md5
    digits = mnist_digits(test_data, cache, print)
    assert digits.images.shape == (70_000, 784)
    assert digits.labels[:5].tolist() == [5, 0, 4, 1, 9]
    assert digits.labels[60_000:60_004].tolist() == [7, 2, 1, 0]
