"""The run of what is trained for its filters alone: no labels, no test; numbers for the eye."""

from __future__ import annotations

from functools import partial

import numpy as np
from numpy.typing import NDArray

from dae_cli.config.schema import FilterExperiment
from dae_cli.csvfile import write_rows
from dae_cli.data.dataset import Prepared
from dae_cli.data.datasets import known_spec
from dae_cli.data.natural import FilterImages, PatchSettings, load_images
from dae_cli.engines.engine import chosen_device, engine_for
from dae_cli.filters.measures import UnitMeasures, measure, without_shape
from dae_cli.stopping import Stop
from dae_cli.study.run.filters import save_run_filters
from dae_cli.study.run.folder import FILTERS_CSV, Job
from dae_cli.study.run.keeper import Keeper
from dae_cli.study.run.records import FilterResult
from dae_cli.training.inputs import inputs_of
from dae_cli.training.run import TrainingRun
from dae_cli.training.streams import Purpose, stream


def train_for_filters(
    job: Job, experiment: FilterExperiment, keeper: Keeper, stop: Stop
) -> FilterResult:
    """Train, write the last checkpoint, measure the filters and draw them.

    Raises:
        Stopped: it was asked to stop. DataError: the images have changed. DivergedError.
    """
    engine = engine_for(job.engine, chosen_device(job.device))
    images = images_of(job.data, experiment)
    inputs = inputs_of(images, experiment.pretrain.batch_size, engine)
    state = keeper.begin()
    with stop.deferred():
        TrainingRun(experiment, state, engine, keeper).pretrain(inputs)
    keeper.tell(state, phase="measure")
    keeper.save(state)
    weights = state.layers[0].weight.cpu().numpy()
    measures = measures_of(weights, experiment.dataset)
    write_rows(job.partial / FILTERS_CSV, measures, UnitMeasures, make_folder=False)
    save_run_filters(job.partial, experiment.dataset, f"{job.cell}: filters")
    return FilterResult(units=len(weights))


def measures_of(weights: NDArray[np.float32], dataset: str) -> list[UnitMeasures]:
    """Measure filters of grey images, of colours their mean; a row of a table has no shapes."""
    if (spec := known_spec(dataset)) is None:
        return measure(weights)
    if not spec.is_image:
        return [without_shape(unit, row) for unit, row in enumerate(weights)]
    greys = weights.reshape(len(weights), -1, spec.channels).mean(axis=2)
    return measure(greys if spec.channels > 1 else weights, spec.image)


def images_of(data: Prepared, experiment: FilterExperiment) -> FilterImages:
    """Read digits, or cut patches at the places that the seed gives.

    Raises:
        DataError: the files have changed meanwhile.
    """
    asked = experiment.patches
    patches = PatchSettings(**asked.model_dump()) if asked else None
    random = partial(stream, experiment.seed, Purpose.PATCHES)
    return load_images(data, random, rows=experiment.rows, patches=patches)
