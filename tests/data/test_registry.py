from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dae_cli.data.content import canonical_labels, canonical_pixels
from dae_cli.data.generators.recipes import RECIPES
from dae_cli.data.registry import REGISTRY

NAMES = {"basic", "rot", "bg-rand", "bg-img", "rot-bg-img", "rect", "rect-img", "convex"}


def test_the_eight_sets_of_the_benchmark_are_registered() -> None:
    assert set(REGISTRY) == NAMES


def test_splits_are_the_papers() -> None:
    sizes = {name: (s.n_train, s.n_valid, s.n_test) for name, s in REGISTRY.items()}
    assert sizes.pop("rect") == (1000, 200, 50_000)
    assert sizes.pop("convex") == (6000, 2000, 50_000)
    assert set(sizes.values()) == {(10_000, 2000, 50_000)}


def test_the_mnist_sets_but_basic_are_stored_transposed() -> None:
    transposed = {name for name, spec in REGISTRY.items() if spec.stored_transposed}
    assert transposed == {"rot", "bg-rand", "bg-img", "rot-bg-img"}


def test_two_class_sets_have_two_classes() -> None:
    two = {name for name, spec in REGISTRY.items() if spec.n_classes == 2}
    assert two == {"rect", "rect-img", "convex"}


def test_the_rotated_sets_use_the_corrected_archives() -> None:
    assert REGISTRY["rot"].archive.endswith("_new.zip")
    assert REGISTRY["rot-bg-img"].archive.endswith("_new.zip")


@pytest.mark.parametrize("name", sorted(NAMES))
def test_genuine_rows_survive_the_stored_type(name: str, test_data: Path) -> None:
    with np.load(test_data / "genuine_rows" / f"{name}.npz") as rows:
        greys, labels = rows["X"], rows["y"]
    spec = REGISTRY[name]
    pixels = canonical_pixels(greys, spec, name)
    assert np.abs(pixels * spec.scale - greys).max() < 1e-7
    np.testing.assert_array_equal(canonical_labels(labels.astype(float), spec, name), labels)


def test_every_set_has_a_recipe_and_those_of_digits_say_what_they_are_made_of() -> None:
    assert set(RECIPES) == NAMES
    of_mnist = {name for name, recipe in RECIPES.items() if recipe.uses_mnist}
    assert of_mnist == {name for name, spec in REGISTRY.items() if spec.n_classes == 10}


def test_only_what_is_rebuilt_exactly_counts_as_proof_of_an_original() -> None:
    assert [name for name, recipe in RECIPES.items() if recipe.exact] == ["basic"]
