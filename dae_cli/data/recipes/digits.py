"""The sets of MNIST digits: basic, rot, bg-rand, bg-img and rot-bg-img.

The recipes are those of Larochelle et al. (ICML 2007), completed from 60 genuine rows of each set.

basic: unchanged digits; a pixel is k/256, so the brightest one is 255/256. The rows are MNIST's
training file followed by its test file, in order. Nothing is random, and the genuine rows agree in
every bit, so the result is identical to the original.

In the other sets every row is a different one of MNIST's 70 000 digits. Training and test digits
are mixed in no visible order, and images are stored transposed. The order of the digits and the
random numbers below are ours. "SVM" is the test error in percent of an RBF SVM on every fifth test
row, selected on the validation rows and trained on all 12 000 rows; "published" is the error in the
paper.

rot: the digit, k/256, rotated by an angle uniform in [0, 2π) (``rotated``), printed with six
decimals. With the right digit and angle this reproduces all genuine rows: 99.77 % of their pixels
to all six decimals, the others to one unit of the sixth. Fraction of nonzero pixels: .310 here,
.311 in the genuine rows. SVM 10.86 ± .61, published 11.11.

bg-rand: a pixel is the maximum of the digit, k/256, and a grey value uniform in [0, 1). The
originals are printed with eight digits and show no coarser grid. Our grey values have 24 bits,
which float32 represents exactly. SVM 14.71 ± .69, published 14.58.

bg-img: a pixel is the maximum of the digit, k/256, and the patch, k/255 (``patches.py``). This is
true of every pixel of the genuine rows. The SVM's error was known when the backgrounds were chosen
(21.7 ± .8, published 22.61), so rot-bg-img, with the same backgrounds, is the fairer test.

rot-bg-img: a pixel is the maximum of the rotated digit and the patch, both k/255. With the right
digit and angle this reproduces the genuine rows in every pixel that the patch does not cover, to
the eight digits printed (largest difference 1.5e-8). SVM 55.0 ± 1.0, published 55.18.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from dae_cli.data.dataset import Content
from dae_cli.data.datasets import DatasetSpec
from dae_cli.data.recipes.integers import Integers, RandomIntegers
from dae_cli.data.recipes.patches import draw_backgrounds

BLOCK = 128
"""Number of rows composed at a time, so that they stay in the processor's cache."""
NOISE_BITS = 24

VARIANCE = 0.09  # .3 squared
TAPS = 4
OUTER = 1.4945338524781451e-05
"""exp(−1 / VARIANCE): weight of the outer two of four pixels, relative to the inner two, at a place
in the middle of them."""

TAYLOR = tuple(1 / math.factorial(k) for k in range(14))
LOG2_E = 1.4426950408889634
LN2_HIGH, LN2_LOW = 0.693147180369123816490, 1.90821492927058770002e-10
"""Natural logarithm of 2 as the sum of two parts; the first ends in zero bits."""

PRINTED = np.array([float(f"{k / 255:.7e}") for k in range(256)])
"""k/255 with eight digits, as the original text files print it; 21 differ from k/255 in float32."""

Floats = NDArray[np.float64]
Images = NDArray[np.uint8]  # (n, height, width)
Greys = NDArray[np.float64]  # (n, height, width)


def generate_basic(spec: DatasetSpec, mnist: Content) -> Content:
    """Generate all rows of basic: pixels k of k/256, uint8."""
    images, labels = _digits(mnist)
    n = spec.n_train_file + spec.n_test
    return Content.from_rows(spec, images[:n], labels[:n])


def _digits(mnist: Content) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Images (n, pixels) and labels of all digits: the training file, then the test file."""
    images = np.concatenate([mnist.pixels, mnist.test_pixels])
    return images, np.concatenate([mnist.labels, mnist.test_labels])


def generate_rot(spec: DatasetSpec, mnist: Content) -> Content:
    """Generate all rows of rot: grey values in [0, 1), float32."""
    integers = RandomIntegers(20070625)
    images, labels = _draw_digits(integers, mnist, spec)
    across, down = integers.directions(len(labels))

    def turned(rows: slice) -> Greys:
        greys = rotated(images[rows], across[rows], down[rows]) / 256
        return np.asarray(np.rint(greys * 1e6) / 1e6)

    return _composed(spec, labels, turned)


def generate_bg_rand(spec: DatasetSpec, mnist: Content) -> Content:
    """Generate all rows of bg-rand: grey values in [0, 1), float32."""
    integers = RandomIntegers(20070626)
    images, labels = _draw_digits(integers, mnist, spec)

    def on_noise(rows: slice) -> Greys:
        digit = images[rows].astype(np.int64) << NOISE_BITS - 8
        noise = integers.below(1 << NOISE_BITS, digit.size).reshape(digit.shape)
        return np.asarray(np.maximum(digit, noise.swapaxes(1, 2)) * 2.0**-NOISE_BITS)

    return _composed(spec, labels, on_noise)


def generate_bg_img(spec: DatasetSpec, mnist: Content) -> Content:
    """Generate all rows of bg-img: grey values in [0, 1], float32."""
    integers = RandomIntegers(20070627)
    images, labels = _draw_digits(integers, mnist, spec)
    backgrounds = draw_backgrounds(integers, spec.image, len(labels))

    def on_patches(rows: slice) -> Greys:
        return np.asarray(np.maximum(images[rows] / 256, PRINTED[backgrounds[rows]]))

    return _composed(spec, labels, on_patches)


def generate_rot_bg_img(spec: DatasetSpec, mnist: Content) -> Content:
    """Generate all rows of rot-bg-img: grey values in [0, 1], float32."""
    integers = RandomIntegers(20070628)
    images, labels = _draw_digits(integers, mnist, spec)
    across, down = integers.directions(len(labels))
    backgrounds = draw_backgrounds(integers, spec.image, len(labels))

    def turned_on_patches(rows: slice) -> Greys:
        turned, patch = rotated(images[rows], across[rows], down[rows]), backgrounds[rows]
        return np.where(turned > patch, turned / 255, PRINTED[patch])

    return _composed(spec, labels, turned_on_patches)


def _draw_digits(
    integers: RandomIntegers, mnist: Content, spec: DatasetSpec
) -> tuple[Images, NDArray[np.uint8]]:
    """Draw one digit per row of the set, without repetition, in random order; images upright."""
    images, labels = _digits(mnist)
    order = permutation(integers, len(labels))[: spec.n_train_file + spec.n_test]
    return images[order].reshape(-1, *spec.image), labels[order]


def permutation(integers: RandomIntegers, n: int) -> Integers:
    """Return 0 … n−1 in random order: the order of ``n`` random numbers of 62 bits."""
    keys = (integers.below(1 << 31, n) << 31) + integers.below(1 << 31, n)
    return np.argsort(keys, kind="stable")


def _composed(
    spec: DatasetSpec, labels: NDArray[np.uint8], compose: Callable[[slice], Greys]
) -> Content:
    """Build a set from the upright images of ``compose``, transposed like the originals."""
    pixels = np.empty((len(labels), spec.n_pixels), dtype=np.float32)
    for start in range(0, len(labels), BLOCK):
        rows = slice(start, start + BLOCK)
        pixels[rows] = compose(rows).swapaxes(1, 2).reshape(-1, spec.n_pixels)
    return Content.from_rows(spec, pixels, labels)


def rotated(
    images: NDArray[np.uint8], across: Integers | Floats, down: Integers | Floats
) -> Floats:
    """Rotate images (n, height, width) by the angles of the directions (across, down), (n,) each.

    The rule was inferred from the genuine rows. Each pixel of the rotated image is mapped back to
    its place in the digit, by a rotation about the middle of the image. Its value is the mean of
    the digit's pixels, weighted by a Gaussian of their distance to that place with a standard
    deviation of .3 pixels. Only the nearest 4 × 4 pixels are used; the total weight of all others
    is below 1e-9. Results are the same on every machine because only + − · / and square roots are
    used, one array at a time.

    Returns float64 (n, height, width) on the scale of the images, 0 … 255.
    """
    n, height, width = images.shape
    length = np.sqrt(np.asarray(across**2 + down**2, dtype=np.float64))
    cosine, sine = ((part / length)[:, None, None] for part in (across, down))
    middle_y, middle_x = (height - 1) / 2, (width - 1) / 2
    y, x = np.arange(height)[:, None] - middle_y, np.arange(width) - middle_x
    row = cosine * y - sine * x + middle_y
    column = sine * y + cosine * x + middle_x
    top, left = _first_tap(row, height), _first_tap(column, width)
    first = (top * width + left).astype(np.int64)
    first += np.arange(n)[:, None, None] * (height * width)
    inked = _has_ink(images).take(first)  # skips most places, which are black
    turned = np.zeros(images.shape)
    turned[inked] = _weighted_mean(
        images.astype(np.float64).ravel(),
        [first[inked] + i * width for i in range(TAPS)],
        _weights((row - top)[inked]),
        _weights((column - left)[inked]),
    )
    return turned


def _first_tap(place: Floats, size: int) -> Floats:
    """The first of the four lines of the image that are nearest to each place."""
    return np.asarray(np.clip(np.floor(place) - 1, 0, size - TAPS))


def _has_ink(images: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Whether any of the 4 × 4 pixels that begin at each pixel, to the right and down, is not 0."""
    ink = images > 0
    for axis in (1, 2):
        ink = ink | np.roll(ink, -1, axis)
        ink = ink | np.roll(ink, -2, axis)
    return np.asarray(ink)


def _weights(place: Floats) -> list[Floats]:
    """Gaussian weights of the four lines 0 … 3 for each place, up to a common factor.

    With d the distance from the middle of the four and p = exp(d / VARIANCE), their ratio is
    OUTER : p : p² : OUTER · p³, because the square of d cancels.
    """
    p = exponential((place - (TAPS - 1) / 2) / VARIANCE)
    square = p * p
    return [np.full(p.shape, OUTER), p, square, OUTER * (square * p)]


def _weighted_mean(
    pixels: Floats, lines: list[Integers], rows: list[Floats], columns: list[Floats]
) -> Floats:
    """The weighted mean of four pixels on each of four lines; `lines`: their first pixels."""
    total = np.zeros(lines[0].shape)
    for first, row_weight in zip(lines, rows, strict=True):
        line = np.zeros(first.shape)
        for j, column_weight in enumerate(columns):
            line += column_weight * pixels.take(first + j)
        total += row_weight * line
    return total / (sum(rows[1:], rows[0]) * sum(columns[1:], columns[0]))


def exponential(x: Floats) -> Floats:
    """exp(x) for |x| < 700, with the same bits on every machine; relative error below 1e-15.

    x = n · ln 2 + r with |r| < .35, and the Taylor series of exp(r) up to the 13th power.
    """
    n = np.rint(x * LOG2_E)
    r = (x - n * LN2_HIGH) - n * LN2_LOW
    series = np.full(r.shape, TAYLOR[-1])
    for coefficient in TAYLOR[-2::-1]:
        series *= r
        series += coefficient
    return np.asarray(np.ldexp(series, n.astype(np.int32)))
