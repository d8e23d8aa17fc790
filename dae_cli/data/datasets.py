"""Table of data sets: image size, classes, rows, sources and checksums.

The module imports nothing slow, so settings can be checked before numpy is loaded. A data set comes
from its published archive or, if that is gone, from a recipe that regenerates it. The eight data
sets are those of Larochelle et al. (ICML 2007).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dae_cli.errors import DataError

if TYPE_CHECKING:
    from dae_cli.data.dataset import Content
    from dae_cli.data.own.declaration import OwnFacts

BASE_ADDRESS = "http://www.iro.umontreal.ca/~lisa/icml2007data/"
"""Address at which the archives were published."""
ADDRESSES = (
    BASE_ADDRESS,
    BASE_ADDRESS.replace("http:", "https:"),
    f"https://web.archive.org/web/2016id_/{BASE_ADDRESS}",
)
"""Download addresses, tried in order; the last is the Internet Archive's unmodified copy."""


@dataclass(frozen=True)
class Archive:
    """A published .zip: one text file of training and validation rows, one of test rows."""

    name: str
    sha1: str
    train_member: str
    test_member: str

    @property
    def members(self) -> tuple[str, str]:
        """Training and test member."""
        return self.train_member, self.test_member


@dataclass(frozen=True)
class Recipe:
    """How to regenerate a data set, and the digest of the result (the same on every machine)."""

    version: int
    sha256: str
    function: str
    """``module:name`` in ``dae_cli.data.recipes``; imported when needed."""
    uses_mnist: bool = False
    """Whether the function takes MNIST as a second argument, after the spec."""
    exact: bool = False
    """Whether the result is identical to the original."""
    calibrated_by: str = ""
    """Model of Table 1 whose published error was used to tune unspecified details, if any."""

    @property
    def id(self) -> str:
        """Part of the cache entry's name, so a changed recipe gets a new entry."""
        return f"v{self.version}-{self.sha256[:8]}"

    @property
    def words(self) -> str:
        """How the content is made, for messages: "regenerated from MNIST"."""
        made = "rebuilt" if self.exact else "regenerated"
        return f"{made} from MNIST" if self.uses_mnist else made

    def generate(self, spec: DatasetSpec, mnist: Callable[[], Content]) -> Content:
        """Generate the data set; calls ``mnist`` only if the recipe uses its digits."""
        given = (spec, mnist()) if self.uses_mnist else (spec,)
        content: Content = recipe_function(self.function)(*given)
        return content


def recipe_function(place: str) -> Callable[..., Any]:
    """Import the function ``module:name`` of ``dae_cli.data.recipes``."""
    module, name = place.split(":")
    found: Callable[..., Any] = getattr(import_module(f"dae_cli.data.recipes.{module}"), name)
    return found


@dataclass(frozen=True)
class DatasetSpec:
    """Facts about a data set that are known before any file is opened."""

    name: str
    n_classes: int
    n_train: int
    n_valid: int
    """Number of validation rows: the last rows of the training file."""
    n_test: int
    levels: int | None
    """Pixels of the original are k/levels with integer k, and are stored as k (uint8). None: pixels
    are continuous (rot is interpolated) or have mixed scales, and are stored as float32."""
    image: tuple[int, int] = (28, 28)
    """Height and width in pixels."""
    archive: Archive | None = None
    recipe: Recipe | None = None
    stored_transposed: bool = False
    """Whether the original files store each image transposed."""
    content_sha256: str | None = None
    """Digest of the original's canonical content (see ``dataset.py``), if known."""
    digest_header: bool = True
    """Whether the digest includes a header (otherwise the arrays only)."""
    common_rows: int = 0
    """Number of the original's test rows that happen to be training rows too; 0: few or none."""
    law: str = ""
    """``module:name`` in recipes of the function that gives the label of an image; empty if none.

    It takes boolean images (n, height, width) and returns two masks, (n,): which are images of the
    data set, and which have label 1."""
    channels: int = 1
    """Values per pixel: 1 (grey) or 3 (red, green, blue)."""
    own: bool = False
    """Whether this is a user's own data set (`own/declaration.py`)."""
    bounded: bool = True
    """Whether all values are in [0, 1]."""
    classes: tuple[str, ...] = ()
    """Class names of a user's own data set, in label order."""

    @property
    def known_sha256(self) -> frozenset[str]:
        """Digests that prove content to be the original: published, or of an exact recipe."""
        rebuilt = self.recipe.sha256 if self.recipe and self.recipe.exact else None
        return frozenset(digest for digest in (self.content_sha256, rebuilt) if digest)

    @property
    def n_pixels(self) -> int:
        """Number of inputs of the first layer."""
        return self.image[0] * self.image[1] * self.channels

    @property
    def tile(self) -> tuple[int, ...]:
        """Shape of an image: height and width, and 3 for colours."""
        return (*self.image, self.channels) if self.channels > 1 else self.image

    @property
    def is_image(self) -> bool:
        """Whether rows are images (otherwise rows of a table)."""
        return self.image[0] > 1

    @property
    def rows(self) -> dict[str, int]:
        """Number of rows of each split."""
        return {"train": self.n_train, "valid": self.n_valid, "test": self.n_test}

    @property
    def n_train_file(self) -> int:
        """Number of rows of the training file (training and validation)."""
        return self.n_train + self.n_valid

    @property
    def scale(self) -> float:
        """Factor from stored pixels to grey values."""
        return 1.0 if self.levels is None else 1.0 / self.levels


MNIST = DatasetSpec(
    "mnist",
    n_classes=10,
    n_train=50_000,
    n_valid=10_000,
    n_test=10_000,
    levels=255,
    content_sha256="c2069063c1105f2bf96266aef1ff68c6e13bdda7a54e37bf19c16f1db24efc83",
    digest_header=False,
)
"""The digits that five of the eight data sets are made from: four files, no archive."""

MNIST_ADDRESSES = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
    "http://yann.lecun.com/exdb/mnist/",
)
MNIST_FILES = {
    "train-images-idx3-ubyte": "f68b3c2dcbeaaa9fbdd348bbdeb94873",
    "train-labels-idx1-ubyte": "d53e105ee54ea40749a09fcbcd1e9432",
    "t10k-images-idx3-ubyte": "9fb629c4189551a2d022fa330f9573f3",
    "t10k-labels-idx1-ubyte": "ec29112dd5afa0611ce80d1b7f02629c",
}
"""The four files and the published MD5 of each (compressed, ``.gz``)."""

PHOTOGRAPHS = "photographs"
"""Name of the data from which filter studies cut patches, without labels (`photographs.py`)."""


def _of_digits(name: str, archive: Archive, function: str, sha256: str) -> DatasetSpec:
    """A data set made from MNIST digits; all except basic store their images transposed."""
    exact = name == "basic"
    return DatasetSpec(
        name,
        n_classes=10,
        n_train=10_000,
        n_valid=2_000,
        n_test=50_000,
        levels=256 if exact else None,
        archive=archive,
        recipe=Recipe(1, sha256, f"digits:{function}", uses_mnist=True, exact=exact),
        stored_transposed=not exact,
    )


_BENCHMARK = (
    _of_digits(
        "basic",
        Archive(
            "mnist.zip",
            "14ac2e9135705499b80bf7efac981377940150c8",
            "mnist_train.amat",
            "mnist_test.amat",
        ),
        "generate_basic",
        "0160063fe7b9598c556ea2c9cf7d571cf9aa654670e54313ff1089a11579ed52",
    ),
    _of_digits(
        "rot",
        Archive(
            "mnist_rotation_new.zip",
            "e67f72fa42029f62fd8eb92b0638c1b9761c9a63",
            "mnist_all_rotation_normalized_float_train_valid.amat",
            "mnist_all_rotation_normalized_float_test.amat",
        ),
        "generate_rot",
        "b78ee959b86652a0c569a6ede70495ab8edb54a91b0ecf430783570d3c8cc9a1",
    ),
    _of_digits(
        "bg-rand",
        Archive(
            "mnist_background_random.zip",
            "75e11ec966459c1162979e78ab4e21f9ab7fb5cd",
            "mnist_background_random_train.amat",
            "mnist_background_random_test.amat",
        ),
        "generate_bg_rand",
        "78350c3dcee69a5932f51974d9a53d4d4805cfdceb94a07fc0967d80cc7a90fe",
    ),
    _of_digits(
        "bg-img",
        Archive(
            "mnist_background_images.zip",
            "fb6fce9ed6372e0068ff7cb3e7b9e78dbda7ceae",
            "mnist_background_images_train.amat",
            "mnist_background_images_test.amat",
        ),
        "generate_bg_img",
        "c6dadef861387080ae294b80e3370240c9c5700cea1a02b7840552897ea8d69a",
    ),
    _of_digits(
        "rot-bg-img",
        Archive(
            "mnist_rotation_back_image_new.zip",
            "902bb7e96136dd76e9f2924d7fdb9eb832f7bc33",
            "mnist_all_background_images_rotation_normalized_train_valid.amat",
            "mnist_all_background_images_rotation_normalized_test.amat",
        ),
        "generate_rot_bg_img",
        "da2c595c654339257d2c81908eebcde1258891a2b0b642f78e72b550027676d3",
    ),
    DatasetSpec(
        "rect",
        n_classes=2,
        n_train=1_000,
        n_valid=200,
        n_test=50_000,
        levels=1,
        archive=Archive(
            "rectangles.zip",
            "b8d456b1f83bea5efebe76a47a9535adc4b72586",
            "rectangles_train.amat",
            "rectangles_test.amat",
        ),
        recipe=Recipe(
            2,
            "137a11ac69be027bb202de4a7a413ee60d3037a3ebc0138874ce38ec002cf598",
            "shapes:generate_rect",
        ),
        content_sha256="e78debd8f697c01f00e519f24a1eb7f41a5f6dd01fb32add7abe39c1d3d38628",
        common_rows=2076,
        law="shapes:outlines",
    ),
    DatasetSpec(
        "rect-img",
        n_classes=2,
        n_train=10_000,
        n_valid=2_000,
        n_test=50_000,
        levels=255,
        archive=Archive(
            "rectangles_images.zip",
            "2700ba92129ae195e93070d8b27f830323573a57",
            "rectangles_im_train.amat",
            "rectangles_im_test.amat",
        ),
        recipe=Recipe(
            2,
            "76d4939515f4383dc8fc3fbaab3b5e64412cf277b772ddd9de2bdcc5a66cc051",
            "patches:generate_rect_img",
            calibrated_by="SVM_rbf",
        ),
    ),
    DatasetSpec(
        "convex",
        n_classes=2,
        n_train=6_000,
        n_valid=2_000,
        n_test=50_000,
        levels=1,
        archive=Archive(
            "convex.zip",
            "61eab3c60e0e1caeaa0b82abf827f1809cfd2ef9",
            "convex_train.amat",
            "50k/convex_test.amat",
        ),
        recipe=Recipe(
            2,
            "17e21309807955ce013ff1d43995ee7dad052089bae57c0b2a9e86f9b6a0466e",
            "shapes:generate_convex",
        ),
        content_sha256="f1736928f43fd98817ab8fa8152e50fb5f371e4fe12cc0b0a5682e2812033e01",
        common_rows=481,
        law="shapes:convex_regions",
    ),
)

DATASETS: dict[str, DatasetSpec] = {spec.name: spec for spec in (*_BENCHMARK, MNIST)}
"""Data sets that networks and SVMs can be trained on, in listing order."""

FILTER_DATASETS = (MNIST.name, PHOTOGRAPHS)
"""Data that filter studies can use."""


class OwnDataset(str):
    """The name of a user's own data set, usable wherever the name of a data set is expected.

    It carries the facts about the data set, so it needs no entry in `DATASETS`.
    """

    path: Path
    """The declaration file."""
    facts: OwnFacts | None
    """None until the files are read."""

    def __new__(cls, path: Path, facts: OwnFacts | None = None) -> OwnDataset:
        """Name it after its declaration: both digits.yaml and digits.data.yaml give "digits"."""
        name = super().__new__(cls, path.stem.removesuffix(".data"))
        name.path, name.facts = path, facts
        return name

    def __reduce__(self) -> tuple[type[OwnDataset], tuple[Path, OwnFacts | None]]:
        """Pickle the facts, too, for worker processes."""
        return OwnDataset, (self.path, self.facts)


def known_spec(name: object) -> DatasetSpec | None:
    """Return the facts about a data set; None for photographs and unknown names."""
    if isinstance(name, OwnDataset):
        return name.facts.spec(name) if name.facts else None
    return DATASETS.get(name) if isinstance(name, str) else None


def is_drawn(name: str) -> bool:
    """Whether rows of the data set, and filters learned from them, are images."""
    spec = known_spec(name)
    return spec is None or spec.is_image


def spec_of(name: str) -> DatasetSpec:
    """Return the facts about a data set; DataError for an unknown name."""
    if (spec := known_spec(name)) is None:
        raise DataError(f"unknown data set {name!r}; expected one of {', '.join(DATASETS)}")
    return spec
