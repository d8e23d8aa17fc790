"""MNIST's four files: how they are read and, where they are not here, fetched.

They circulate packed in different ways and under slightly different names, so the content decides:
its SHA-256 is known. The cache keeps what was fetched as it was published, beside the entry.
"""

from __future__ import annotations

from pathlib import Path

from dae_cli.data.cache import Note, file_digest, unwritable_cache
from dae_cli.data.content import Content, content_digest
from dae_cli.data.datasets import MNIST, MNIST_ADDRESSES, MNIST_FILES, DatasetSpec
from dae_cli.data.download import RemoteFile, addresses_of, fetched
from dae_cli.data.readers.idx import read_idx, read_labels
from dae_cli.errors import DataError, DownloadError
from dae_cli.files import cache_folder


def read_mnist(
    train_images: Path, train_labels: Path, test_images: Path, test_labels: Path, spec: DatasetSpec
) -> Content:
    """Read the four files; DataError for a defect, or sound files that are not MNIST's."""
    content = Content(
        read_idx(train_images, (spec.n_train_file, *spec.image)).reshape(-1, spec.n_pixels),
        read_labels(train_labels, spec.n_train_file),
        read_idx(test_images, (spec.n_test, *spec.image)).reshape(-1, spec.n_pixels),
        read_labels(test_labels, spec.n_test),
    )
    if (found := content_digest(spec, content)) not in spec.known_sha256:
        (known,) = spec.known_sha256
        raise DataError(
            f"{train_images.parent}: the four files are sound but do not hold MNIST: their content "
            f"has SHA-256 {found[:12]}…, expected {known[:12]}…; other sets (Fashion-MNIST, for "
            "one) use the same names"
        )
    return content


def fetch_mnist(looked_in: Path | None, note: Note) -> Content:
    """Fetch the files that the cache does not have yet, and read them.

    Raises DownloadError, with what to do, where a file cannot be had.
    """
    folder = cache_folder() / MNIST.name
    for name, md5 in MNIST_FILES.items():
        path = folder / f"{name}.gz"
        if path.is_file() and file_digest(path, "md5") == md5:
            continue
        file = RemoteFile(path.name, addresses_of(path.name, MNIST_ADDRESSES), f"md5:{md5}")
        try:
            with fetched(file, note) as temporary:
                folder.mkdir(exist_ok=True)
                temporary.replace(path)
        except OSError as error:
            raise unwritable_cache(path, error) from error
        except DownloadError as error:
            where = f"neither in {looked_in} nor in {folder}" if looked_in else f"not in {folder}"
            *first, last = (f"{name}.gz" for name in MNIST_FILES)
            raise DownloadError(
                f"MNIST cannot be had: its files are {where}, and {error}. Put "
                f"{', '.join(first)} and {last} (from {' or '.join(MNIST_ADDRESSES)}) into a "
                "folder, and name it with --data-dir or DAE_DATA_DIR"
            ) from error
    images, labels, test_images, test_labels = (folder / f"{name}.gz" for name in MNIST_FILES)
    return read_mnist(images, labels, test_images, test_labels, MNIST)
