"""Facts of the eight sets of Larochelle et al. (ICML 2007): sizes, archives, checksums.

``levels`` says how pixels are stored without loss: a genuine pixel is k/levels for a whole k.
Where the pixels are continuous or of mixed origin, it is None and float32 is kept:
rot is interpolated, bg-rand is max(digit k/256, U(0, 1)), and bg-img and rot-bg-img
mix digits (k/256, or interpolated) with backgrounds of k/255.
"""

from __future__ import annotations

from dataclasses import dataclass

from dae_cli.config.sizes import PIXELS, ROWS

N_PIXELS = PIXELS

BASE_ADDRESS = "http://www.iro.umontreal.ca/~lisa/icml2007data/"
"""Where the archives were published."""
ADDRESSES = (
    BASE_ADDRESS,
    BASE_ADDRESS.replace("http:", "https:"),
    f"https://web.archive.org/web/2016id_/{BASE_ADDRESS}",
)
"""Where the archives are looked for; the last is the Internet Archive's copy, byte for byte."""


@dataclass(frozen=True)
class DatasetSpec:
    """What is known about one set before any file is opened."""

    name: str
    n_classes: int
    n_train: int
    n_valid: int
    """The last ``n_valid`` rows of the training file are the validation set."""
    n_test: int
    archive: str
    archive_sha1: str
    train_member: str
    test_member: str
    levels: int | None
    stored_transposed: bool = False
    content_sha256: str | None = None
    """Digest of the canonical content (see ``content.py``), where the genuine one is known."""

    image: tuple[int, int] = (28, 28)
    """Height and width in pixels."""

    @property
    def n_pixels(self) -> int:
        """Inputs of the first layer."""
        return self.image[0] * self.image[1]

    @property
    def n_train_file(self) -> int:
        """Rows of the training file: training and validation together."""
        return self.n_train + self.n_valid

    @property
    def scale(self) -> float:
        """Grey value of one unit of the stored pixels."""
        return 1.0 if self.levels is None else 1.0 / self.levels


def _mnist_variant(
    name: str, archive: str, sha1: str, train_member: str, test_member: str, levels: int | None
) -> DatasetSpec:
    return DatasetSpec(
        name=name,
        n_classes=10,
        n_train=ROWS[name].train,
        n_valid=ROWS[name].valid,
        n_test=ROWS[name].test,
        archive=archive,
        archive_sha1=sha1,
        train_member=train_member,
        test_member=test_member,
        levels=levels,
        stored_transposed=name != "basic",
    )


_SPECS = (
    _mnist_variant(
        "basic",
        "mnist.zip",
        "14ac2e9135705499b80bf7efac981377940150c8",
        "mnist_train.amat",
        "mnist_test.amat",
        levels=256,
    ),
    _mnist_variant(
        "rot",
        "mnist_rotation_new.zip",
        "e67f72fa42029f62fd8eb92b0638c1b9761c9a63",
        "mnist_all_rotation_normalized_float_train_valid.amat",
        "mnist_all_rotation_normalized_float_test.amat",
        levels=None,
    ),
    _mnist_variant(
        "bg-rand",
        "mnist_background_random.zip",
        "75e11ec966459c1162979e78ab4e21f9ab7fb5cd",
        "mnist_background_random_train.amat",
        "mnist_background_random_test.amat",
        levels=None,
    ),
    _mnist_variant(
        "bg-img",
        "mnist_background_images.zip",
        "fb6fce9ed6372e0068ff7cb3e7b9e78dbda7ceae",
        "mnist_background_images_train.amat",
        "mnist_background_images_test.amat",
        levels=None,
    ),
    _mnist_variant(
        "rot-bg-img",
        "mnist_rotation_back_image_new.zip",
        "902bb7e96136dd76e9f2924d7fdb9eb832f7bc33",
        "mnist_all_background_images_rotation_normalized_train_valid.amat",
        "mnist_all_background_images_rotation_normalized_test.amat",
        levels=None,
    ),
    DatasetSpec(
        name="rect",
        n_classes=2,
        n_train=ROWS["rect"].train,
        n_valid=ROWS["rect"].valid,
        n_test=ROWS["rect"].test,
        archive="rectangles.zip",
        archive_sha1="b8d456b1f83bea5efebe76a47a9535adc4b72586",
        train_member="rectangles_train.amat",
        test_member="rectangles_test.amat",
        levels=1,
        content_sha256="e78debd8f697c01f00e519f24a1eb7f41a5f6dd01fb32add7abe39c1d3d38628",
    ),
    DatasetSpec(
        name="rect-img",
        n_classes=2,
        n_train=ROWS["rect-img"].train,
        n_valid=ROWS["rect-img"].valid,
        n_test=ROWS["rect-img"].test,
        archive="rectangles_images.zip",
        archive_sha1="2700ba92129ae195e93070d8b27f830323573a57",
        train_member="rectangles_im_train.amat",
        test_member="rectangles_im_test.amat",
        levels=255,
    ),
    DatasetSpec(
        name="convex",
        n_classes=2,
        n_train=ROWS["convex"].train,
        n_valid=ROWS["convex"].valid,
        n_test=ROWS["convex"].test,
        archive="convex.zip",
        archive_sha1="61eab3c60e0e1caeaa0b82abf827f1809cfd2ef9",
        train_member="convex_train.amat",
        test_member="50k/convex_test.amat",
        levels=1,
        content_sha256="f1736928f43fd98817ab8fa8152e50fb5f371e4fe12cc0b0a5682e2812033e01",
    ),
)

REGISTRY: dict[str, DatasetSpec] = {spec.name: spec for spec in _SPECS}


MNIST = "mnist"
"""A data set beside the eight, which has no archive of this form (`mnist.py`)."""


def classes_of(name: str) -> int:
    """How many classes a data set has, MNIST included."""
    return 10 if name == MNIST else REGISTRY[name].n_classes


def is_stored_transposed(name: str) -> bool:
    """Tell whether a set has its images transposed; those beside the benchmark have not."""
    return name in REGISTRY and REGISTRY[name].stored_transposed
