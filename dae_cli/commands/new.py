"""`dae new`: write a study of the user's own data."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Annotated, Any

import typer

from dae_cli.commands.options import existing, folder
from dae_cli.commands.tables import columns
from dae_cli.config.names import DATA_SUFFIX, STUDY_FILE, label, study_folders
from dae_cli.config.new_study import NewStudy, contents, name_of_data
from dae_cli.data.datasets import spec_of
from dae_cli.errors import ConfigError, shown, some
from dae_cli.files import write_text
from dae_cli.study.run.job import default_out


def image_shape(text: str) -> list[int]:
    """Parse `8x8` or `32x32x3`; raise BadParameter for anything else."""
    if match := re.fullmatch(r"([1-9]\d{0,4})x([1-9]\d{0,4})(x3)?", text.strip().lower()):
        return [int(match[1]), int(match[2]), *([3] if match[3] else [])]
    raise typer.BadParameter(
        f"{text!r} is not HEIGHTxWIDTH, such as 28x28, or 32x32x3 for colour images"
    )


def new(
    study: Annotated[
        Path,
        typer.Argument(
            metavar="FOLDER",
            parser=folder,
            help="Folder to write; its name becomes the name of the study.",
        ),
    ],
    data: Annotated[
        Path,
        typer.Option(
            metavar="FILE",
            parser=existing,
            help="A .csv, .tsv or .npz file, or a folder with a subfolder of images per class.",
        ),
    ],
    label_name: Annotated[
        str | None,
        typer.Option(
            "--label",
            metavar="NAME",
            help="Column or key of the labels.  [default: label, target, class or y, else the last "
            "column if no other is text]",
        ),
    ] = None,
    unlabelled: Annotated[
        bool,
        typer.Option("--unlabelled", help="The data have no labels: train autoencoders only."),
    ] = False,
    image: Annotated[
        Any,
        typer.Option(
            metavar="HEIGHTxWIDTH",
            parser=image_shape,
            help="Image size of a row, such as 28x28 or 32x32x3; files in a folder are resized.",
        ),
    ] = None,
) -> None:
    """The cells are a stacked autoencoder, stacked denoising autoencoders at 25 and 50 %
    destruction, the same network without pretraining, and an SVM; without labels only autoencoders.
    Comments in the files explain the settings, which you can change. Nothing is overwritten.
    """
    if label_name is not None and unlabelled:
        raise typer.BadParameter("cannot be combined with --unlabelled", param_hint="--label")
    _require_free(study, data)

    from dae_cli.data.own.content import note_if_large, read_own  # numpy and pandas
    from dae_cli.data.own.files import sources_of
    from dae_cli.data.own.inference import infer_declaration

    note_if_large([*sources_of(data)], lambda text: typer.echo(text, err=True))
    declaration, why = infer_declaration(data, study, label_name, unlabelled, image or [])
    declared = study / f"{name_of_data(data.resolve().stem)}{DATA_SUFFIX}"
    spec = spec_of(read_own(declared, declaration, lambda _: None).name)
    command = shown(shlex.quote(f"{study}/"))
    for name, text in NewStudy(command, declaration, why, spec).files().items():
        write_text(study / name, text)
    if declaration.ignore:
        typer.echo(f"left out, {why['ignore']}: {some(declaration.ignore)}", err=True)
    typer.echo(f"{contents(spec)}; details in {label(declared)} and {label(study / STUDY_FILE)}")
    first = "saa" if spec.n_classes else "ae"
    steps = [
        (f"dae replicate {command}", "trains every cell, then writes the report"),
        (f"dae encode {command}{first} --out codes.npz", "writes the codes of a cell's last layer"),
        (f"dae search {command}", "selects better settings"),
    ]
    if not spec.n_classes:
        steps.pop()
    if spec.is_image:
        look = f"dae data show {shlex.quote(str(declared))}"
        steps.insert(0, (look, "draws the images"))
    typer.echo(label(study))
    typer.echo("\n".join(["next:", *(f"  {line}" for line in columns(steps))]), err=True)


def _require_free(study: Path, data: Path) -> None:
    """Raise ConfigError if the folder has settings, or if another study uses its results folder."""
    if data.is_dir() and study.resolve().is_relative_to(data.resolve()):
        raise ConfigError(f"{study}: is inside the data folder; choose a folder outside {data}")
    if there := sorted(path.name for path in study.glob("*.y*ml")):
        raise ConfigError(
            f"{study}: already has settings ({some(there)}), which are not overwritten; choose "
            "another folder or move them"
        )
    results = default_out(study.resolve().name, ())
    if results.exists() or results.name in study_folders():
        raise ConfigError(f"{study}: {results} belongs to another study; choose another name")
