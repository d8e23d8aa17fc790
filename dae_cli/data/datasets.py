"""The table of data sets: image size, classes, rows, where each comes from, its checksums.

It imports nothing that takes time, so that settings can be checked before any array is loaded.
A set comes from its published archive or, where that is gone, from a recipe that draws it again.
The eight sets are those of Larochelle et al. (ICML 2007).
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
"""Where the archives were published."""
ADDRESSES = (
    BASE_ADDRESS,
    BASE_ADDRESS.replace("http:", "https:"),
    f"https://web.archive.org/web/2016id_/{BASE_ADDRESS}",
)
"""Where the archives are looked for; the last is the Internet Archive's copy, byte for byte."""


@dataclass(frozen=True)
class Archive:
    """A published .zip with a file of training (and validation) rows and one of test rows."""

    name: str
    sha1: str
    train_member: str
    test_member: str

    @property
    def members(self) -> tuple[str, str]:
        """Both, the training file first."""
        return self.train_member, self.test_member


@dataclass(frozen=True)
class Recipe:
    """How a set is regenerated, and the digest of the content that gives on every machine."""

    version: int
    sha256: str
    function: str
    """``module:name`` within ``dae_cli.data.recipes``; imported when it is called."""
    uses_mnist: bool = False
    """The function takes MNIST after the spec, else the spec alone."""
    exact: bool = False
    """Whether the content is the original's, pixel for pixel."""
    calibrated_by: str = ""
    """The model of table 1 whose published error chose what was left open, if one did."""

    @property
    def id(self) -> str:
        """Names the cache entry: a changed recipe gets another one."""
        return f"v{self.version}-{self.sha256[:8]}"

    @property
    def words(self) -> str:
        """How its content is made, for a reader: "regenerated from MNIST"."""
        made = "rebuilt" if self.exact else "regenerated"
        return f"{made} from MNIST" if self.uses_mnist else made

    def generate(self, spec: DatasetSpec, mnist: Callable[[], Content]) -> Content:
        """Draw the set ``spec``; ``mnist`` is called only where the recipe uses its digits."""
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
    """What is known about one set before any file is opened."""

    name: str
    n_classes: int
    n_train: int
    n_valid: int
    """The last ``n_valid`` rows of the training file are the validation set."""
    n_test: int
    levels: int | None
    """A genuine pixel is k/levels for a whole k and is stored as k (uint8). None: pixels are
    continuous (rot is interpolated) or of mixed scales, and are stored as float32."""
    image: tuple[int, int] = (28, 28)
    """Height and width in pixels."""
    archive: Archive | None = None
    recipe: Recipe | None = None
    stored_transposed: bool = False
    """The original files exchange rows and columns of each image."""
    content_sha256: str | None = None
    """Digest of the canonical content (see ``dataset.py``), where the genuine one is known."""
    digest_header: bool = True
    """Whether the digest is of a header, too, or of the arrays alone."""
    common_rows: int = 0
    """Test rows of the original that are also training rows, by chance; 0: hardly any."""
    law: str = ""
    """Where the label is a function of the image, that function: ``module:name`` of recipes.

    It takes images (n, height, width) of booleans and tells which are images of the set, and which
    of these have label 1."""
    channels: int = 1
    """Numbers a pixel: 3 of colours, red, green and blue."""
    own: bool = False
    """Whether it is a user's own (`own/declaration.py`)."""
    bounded: bool = True
    """Whether all values lie in [0, 1]."""
    classes: tuple[str, ...] = ()
    """What the classes of a user's own data are called, in order."""

    @property
    def known_sha256(self) -> frozenset[str]:
        """Digests that prove content to be the original's: one seen, or one rebuilt exactly."""
        rebuilt = self.recipe.sha256 if self.recipe and self.recipe.exact else None
        return frozenset(digest for digest in (self.content_sha256, rebuilt) if digest)

    @property
    def n_pixels(self) -> int:
        """Inputs of the first layer."""
        return self.image[0] * self.image[1] * self.channels

    @property
    def tile(self) -> tuple[int, ...]:
        """Height and width of an image, and 3 of colours."""
        return (*self.image, self.channels) if self.channels > 1 else self.image

    @property
    def is_image(self) -> bool:
        """Whether a row is an image, and not a row of a table."""
        return self.image[0] > 1

    @property
    def rows(self) -> dict[str, int]:
        """Rows of each split."""
        return {"train": self.n_train, "valid": self.n_valid, "test": self.n_test}

    @property
    def n_train_file(self) -> int:
        """Rows of the training file: training and validation together."""
        return self.n_train + self.n_valid

    @property
    def scale(self) -> float:
        """Grey value of one unit of the stored pixels."""
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
"""The digits that five of the eight sets are made of; it has four files and no archive."""

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
"""The four files, and the published MD5 of each as packed (``.gz``)."""

PHOTOGRAPHS = "photographs"
"""What filters are learned from besides MNIST: patches, without labels (`photographs.py`)."""


def _of_digits(name: str, archive: Archive, function: str, sha256: str) -> DatasetSpec:
    """A set of MNIST's digits; all but basic store their images transposed."""
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
"""All that a network or an SVM can be trained on, in the order in which they are listed."""

FILTER_DATASETS = (MNIST.name, PHOTOGRAPHS)
"""What filters alone can be learned from."""


class OwnDataset(str):
    """The name of a data set of the user's own, which stands wherever names of data sets do.

    It brings along what is known of the set, so that it needs no entry in `DATASETS`.
    """

    path: Path
    """The declaration."""
    facts: OwnFacts | None
    """None until its files are read."""

    def __new__(cls, path: Path, facts: OwnFacts | None = None) -> OwnDataset:
        """Name the set that the file `path` declares: digits of digits.yaml or digits.data.yaml."""
        name = super().__new__(cls, path.stem.removesuffix(".data"))
        name.path, name.facts = path, facts
        return name

    def __reduce__(self) -> tuple[type[OwnDataset], tuple[Path, OwnFacts | None]]:
        """Take the facts along to other processes."""
        return OwnDataset, (self.path, self.facts)


def known_spec(name: object) -> DatasetSpec | None:
    """What is known of the data set of this name; None of photographs, and of no data set."""
    if isinstance(name, OwnDataset):
        return name.facts.spec(name) if name.facts else None
    return DATASETS.get(name) if isinstance(name, str) else None


def is_drawn(name: str) -> bool:
    """Whether rows of the data set of this name, and filters of them, are images."""
    spec = known_spec(name)
    return spec is None or spec.is_image


def spec_of(name: str) -> DatasetSpec:
    """The facts of a set. Raises DataError for an unknown name."""
    if (spec := known_spec(name)) is None:
        raise DataError(f"unknown data set {name!r}; expected one of {', '.join(DATASETS)}")
    return spec
