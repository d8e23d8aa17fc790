"""What a run on filters is trained on: the same patches for every cell of a seed."""

from __future__ import annotations

from functools import partial

from dae_cli.config.schema import FilterExperiment
from dae_cli.data.filter_images import FilterImages, load_images
from dae_cli.data.obtain import Prepared
from dae_cli.training.streams import Purpose, stream


def images_of(data: Prepared, experiment: FilterExperiment) -> FilterImages:
    """Read digits, or cut patches at the places that the seed gives.

    Raises:
        DataError: the files have changed meanwhile.
    """
    return load_images(data, experiment, partial(stream, experiment.seed, Purpose.PATCHES))
