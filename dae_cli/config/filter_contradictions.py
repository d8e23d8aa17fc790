"""Values that are wrong together where an autoencoder is trained for its filters alone."""

from __future__ import annotations

from dae_cli.config.entries import Layer
from dae_cli.config.problems import Problem
from dae_cli.config.schema import ModelSettings, PatchSettings, PretrainSettings
from dae_cli.config.sections import about, sound_number, valid_section
from dae_cli.data.datasets import MNIST


def inputs_of_filters(layer: Layer) -> int:
    """The components of an example of merged settings."""
    if _is_mnist(layer):
        return MNIST.n_pixels
    side = sound_number(PatchSettings, layer, "patches.side")
    return (side or PatchSettings.model_fields["side"].default) ** 2


def of_filters_alone(layer: Layer) -> list[Problem]:
    """Every contradiction that only such settings can have."""
    return [
        *_of_images(layer),
        *_of_layers(layer),
        *_of_training(layer),
        *_of_batches(layer),
    ]


def _of_images(layer: Layer) -> list[Problem]:
    dataset = layer["dataset"].place.text
    if _is_mnist(layer) and "patches" in layer:
        text = f"digits are trained on whole; remove it, or set dataset to photographs ({dataset})"
        return about(layer, "patches", text)
    if not _is_mnist(layer) and "rows" in layer:
        text = f"photographs have no rows: set patches.count (dataset: {dataset})"
        return about(layer, "rows", text)
    return []


def _of_layers(layer: Layer) -> list[Problem]:
    model = valid_section(ModelSettings, layer.get("model"))
    if model is None or len(model.hidden) == 1:
        return []
    return about(
        layer,
        "model.hidden",
        "filters are those of one layer, which sees the pixels: give the units of one layer",
    )


def _of_training(layer: Layer) -> list[Problem]:
    pretrain = valid_section(PretrainSettings, layer.get("pretrain"))
    if pretrain is None:
        return []
    problems = []
    if pretrain.epochs == 0:
        text = "must be 1 or more: there is nothing but pretraining here"
        problems += about(layer, "pretrain.epochs", text)
    if not _is_mnist(layer) and pretrain.loss == "cross-entropy":
        where = "pretrain.loss" if "loss" in layer["pretrain"].items else "pretrain"
        problems += about(
            layer,
            where,
            "patches have values below 0 and above 1, which are no probabilities: "
            "set pretrain.loss to squared-error, with which the decoder is linear",
        )
    return problems


def _of_batches(layer: Layer) -> list[Problem]:
    if _is_mnist(layer):
        rows, of = layer["rows"].value if "rows" in layer else MNIST.n_train_file, "digits"
    else:
        count = sound_number(PatchSettings, layer, "patches.count")
        rows, of = count or PatchSettings.model_fields["count"].default, "patches"
    written = sound_number(PretrainSettings, layer, "pretrain.batch_size")
    size = written or PretrainSettings.model_fields["batch_size"].default
    if not isinstance(rows, int) or size <= rows:
        return []
    text = f"must be from 1 to {rows}: a batch cannot be larger than the {rows} {of}"
    return about(layer, "pretrain.batch_size" if written else "pretrain", text)


def _is_mnist(layer: Layer) -> bool:
    return layer["dataset"].value == MNIST.name
