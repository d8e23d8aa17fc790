"""`dae new`: a study of the user's own data that runs at once."""

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
    """`8x8` or `32x32x3`; BadParameter for anything else."""
    if match := re.fullmatch(r"([1-9]\d{0,4})x([1-9]\d{0,4})(x3)?", text.strip().lower()):
        return [int(match[1]), int(match[2]), *([3] if match[3] else [])]
    raise typer.BadParameter(f"{text!r} is not HEIGHTxWIDTH, such as 28x28, or 32x32x3 of colours")


def new(
    study: Annotated[
        Path,
        typer.Argument(
            metavar="FOLDER", parser=folder, help="The study's, whose name its results will have."
        ),
    ],
    data: Annotated[
        Path,
        typer.Option(
            metavar="FILE",
            parser=existing,
            help="A .csv or .tsv, an .npz, or a folder of images by class.",
        ),
    ],
    label_name: Annotated[
        str | None,
        typer.Option(
            "--label",
            metavar="NAME",
            help="Column or key with the labels.  [default: label, target, class or y; the last "
            "column if no other is text]",
        ),
    ] = None,
    unlabelled: Annotated[
        bool,
        typer.Option("--unlabelled", help="There are no labels: learn filters and codes alone."),
    ] = False,
    image: Annotated[
        Any,
        typer.Option(
            metavar="HEIGHTxWIDTH",
            parser=image_shape,
            help="The image that each row is, such as 28x28 or 32x32x3; a folder's are resized.",
        ),
    ] = None,
) -> None:
    """The cells: a stacked autoencoder, denoising ones at 25 and 50 % destruction, the same network
    without pretraining and an SVM; without labels, autoencoders alone. Each file says why it is as
    it is, and is yours to change. Nothing is ever overwritten.
    """
    if label_name is not None and unlabelled:
        raise typer.BadParameter("contradicts --unlabelled", param_hint="--label")
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
    typer.echo(f"{contents(spec)}; {label(declared)} and {label(study / STUDY_FILE)} say the rest")
    first = "saa" if spec.n_classes else "ae"
    steps = [
        (f"dae replicate {command}", "trains every cell, then writes the report"),
        (f"dae encode {command}{first} --out codes.npz", "the codes of a cell's last layer"),
        (f"dae search {command}", "selects better settings"),
    ]
    if not spec.n_classes:
        steps.pop()
    if spec.is_image:
        look = f"dae data show {shlex.quote(str(declared))}"
        steps.insert(0, (look, "the images, as they are read"))
    typer.echo("\n".join(["next:", *(f"  {line}" for line in columns(steps))]))


def _require_free(study: Path, data: Path) -> None:
    """A folder without settings, whose results mix with those of no other study."""
    if data.is_dir() and study.resolve().is_relative_to(data.resolve()):
        raise ConfigError(f"{study}: lies in the folder of the data; choose one outside {data}")
    if there := sorted(path.name for path in study.glob("*.y*ml")):
        raise ConfigError(
            f"{study}: has settings already ({some(there)}), and nothing is overwritten; give "
            "another folder, or move them away"
        )
    results = default_out(study.resolve().name, ())
    if results.exists() or results.name in study_folders():
        raise ConfigError(f"{study}: {results} belongs to another study; choose another name")
