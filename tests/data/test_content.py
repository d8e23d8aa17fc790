from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from dae_cli.data.content import (
    canonical_labels,
    canonical_pixels,
    check_shape,
    content_digest,
)
from dae_cli.data.registry import REGISTRY
from dae_cli.errors import DataError


@pytest.mark.parametrize("name", ["basic", "rect-img", "rect", "convex"])
def test_every_level_comes_back_from_eight_printed_digits_and_from_float32(name: str) -> None:
    spec = REGISTRY[name]
    assert spec.levels is not None
    whole = np.arange(min(spec.levels, 255) + 1, dtype=np.uint8)
    greys = whole[None, :] * spec.scale
    printed = np.array([[float(f"{grey:.7e}") for grey in greys[0]]])
    np.testing.assert_array_equal(canonical_pixels(printed, spec, "f")[0], whole)
    as_float32 = greys.astype(np.float32).astype(np.float64)
    np.testing.assert_array_equal(canonical_pixels(as_float32, spec, "f")[0], whole)


@pytest.mark.parametrize("name", ["rot", "bg-rand", "bg-img", "rot-bg-img"])
def test_sets_of_continuous_or_mixed_pixels_stay_float32(name: str) -> None:
    values = np.array([[0.1234567, 3.6478849e-06, 128 / 256, 77 / 255]])
    pixels = canonical_pixels(values, REGISTRY[name], "f")
    assert pixels.dtype == np.float32
    np.testing.assert_array_equal(pixels, values.astype(np.float32))


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (np.nan, "nan found, expected a grey value from 0 to 1"),
        (np.inf, "inf found"),
        (-0.1, "-0.1 found"),
        (255.0, "255 found.*seems to be 0 to 255, divide it by 255"),
        (0.5, r"0.5 found, expected a multiple of 1/255 .*original rect-img"),
    ],
)
def test_a_pixel_off_the_scale_is_refused_with_its_place(value: float, message: str) -> None:
    values = np.zeros((3, 784))
    values[1, 6] = value
    with pytest.raises(DataError, match=f"some.amat, row 102, pixel 7: {message}"):
        canonical_pixels(values, REGISTRY["rect-img"], "some.amat", first_row=100)


@pytest.mark.parametrize("label", [2.0, -1.0, 0.5, np.nan])
def test_a_label_out_of_range_is_refused_with_its_row(label: float) -> None:
    with pytest.raises(DataError, match=f"row 2: label {label:g} found, expected .* 0 to 1"):
        canonical_labels(np.array([0.0, label]), REGISTRY["convex"], "f")


def test_the_digest_sees_every_array_and_the_name(tiny: Any) -> None:
    content = tiny.content
    digests = {tiny.sha256, content_digest(replace(tiny.spec, name="other"), content)}
    for field in ("pixels", "labels", "test_pixels", "test_labels"):
        changed = getattr(content, field).copy()
        changed.flat[-1] ^= 1
        digests.add(content_digest(tiny.spec, replace(content, **{field: changed})))
    assert len(digests) == 6


def test_rows_moved_from_train_to_test_change_the_digest(tiny: Any) -> None:
    content = tiny.content
    both = np.concatenate([content.pixels, content.test_pixels])
    moved = replace(content, pixels=both[:7], test_pixels=both[7:])
    assert content_digest(tiny.spec, moved) != tiny.sha256


def test_a_content_of_other_size_or_type_is_refused(tiny: Any) -> None:
    with pytest.raises(DataError, match=r"tiny: the test rows have shape \(4, 784\)"):
        check_shape(tiny.spec, replace(tiny.content, test_pixels=tiny.content.test_pixels[:4]))
    with pytest.raises(DataError, match="pixels are float32, expected uint8"):
        check_shape(tiny.spec, replace(tiny.content, pixels=tiny.content.pixels.astype(np.float32)))


@pytest.mark.parametrize(("name", "scale"), [("basic", 256), ("rect-img", 255), ("rect", 255)])
def test_the_remedy_for_values_up_to_255_works(name: str, scale: int) -> None:
    spec = REGISTRY[name]
    values = np.array([[0, 255.0]]) if name == "rect" else np.array([[0.0, 1, 128, 255]])
    with pytest.raises(DataError, match=f"it seems to be 0 to 255, divide it by {scale}$"):
        canonical_pixels(values, spec, "file")
    canonical_pixels(values / scale, spec, "file")


def test_where_pixels_have_no_scale_none_is_advised() -> None:
    with pytest.raises(DataError, match="supply the original, rot is not of one scale"):
        canonical_pixels(np.array([[0, 255.0]]), REGISTRY["rot"], "file")
