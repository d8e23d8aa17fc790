"""`dae new`: a study of the user's own data that runs at once."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dae_cli.commands.options import folder
from dae_cli.commands.tables import columns
from dae_cli.config.names import DATA_SUFFIX, STUDY_FILE, label, study_folders
from dae_cli.config.new_study import NewStudy, contents, name_of_data
from dae_cli.data.datasets import DatasetSpec, spec_of
from dae_cli.errors import ConfigError, shown, some
from dae_cli.files import with_home, write_text

if TYPE_CHECKING:
    from dae_cli.data.own.declaration import Declaration


def new(
    where: Annotated[
        str,
        typer.Argument(
            metavar="FOLDER",
            help="The folder of the study, whose name its results will have.",
            show_default=False,
        ),
    ],
    data: Annotated[
        Path,
        typer.Option(
            metavar="FILE",
            parser=with_home,
            help="A .csv or .tsv, an .npz, or a folder of images by class.",
            show_default=False,
        ),
    ],
    label_name: Annotated[
        str | None,
        typer.Option(
            "--label",
            metavar="NAME",
            help="The column of a table, or the key of an .npz, with the labels.  [default: one "
            "that is called label, target, class or y; the last column if no other is text]",
            show_default=False,
        ),
    ] = None,
    unlabelled: Annotated[
        bool,
        typer.Option("--unlabelled", help="There are no labels: learn filters and codes alone."),
    ] = False,
    image: Annotated[
        str | None,
        typer.Option(
            metavar="HEIGHTxWIDTH",
            help="The image that each row is, such as 28x28, or 32x32x3 of colours; images of a "
            "folder are brought to it.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """The folder gets a declaration of the data, the settings that all cells share, and a file for
    each cell: a stacked autoencoder, denoising ones at 25 and 50 % destruction, the same network
    without pretraining and an SVM; without labels, autoencoders alone. Each says why it is as it
    is, and is yours to change. Nothing is ever overwritten.
    """
    if label_name is not None and unlabelled:
        raise typer.BadParameter("contradicts --unlabelled", param_hint="--label")
    study = folder(where)
    if not data.exists():
        raise typer.BadParameter(f"{str(data)!r} does not exist.", param_hint="--data")
    _require_free(study, data)
    shape = _image_shape(image) if image else []
    declared = study / f"{name_of_data(data.resolve().stem)}{DATA_SUFFIX}"
    spec, declaration, why = _read(data, declared, label_name, unlabelled, shape)
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
    look = [(f"dae data show {shlex.quote(str(declared))}", "the images, as they are read")]
    rows = [*(look if spec.is_image else []), *(steps if spec.n_classes else steps[:2])]
    typer.echo("\n".join(["next:", *(f"  {line}" for line in columns(rows))]))


def _read(
    data: Path, declared: Path, label_name: str | None, unlabelled: bool, image: list[int]
) -> tuple[DatasetSpec, Declaration, Mapping[str, str]]:
    """What the data are, as far as they say it, and that they can be read so."""
    from dae_cli.data.own.content import note_if_large, read_own
    from dae_cli.data.own.files import sources_of  # numpy and pandas
    from dae_cli.data.own.inference import infer_declaration

    note_if_large([*sources_of(data)], lambda text: typer.echo(text, err=True))
    declaration, why = infer_declaration(data, declared.parent, label_name, unlabelled, image)
    prepared = read_own(declared, declaration, lambda _: None)
    return spec_of(prepared.name), declaration, why


def _require_free(study: Path, data: Path) -> None:
    """A folder without settings, whose results mix with those of no other study."""
    if data.is_dir() and study.resolve().is_relative_to(data.resolve()):
        raise ConfigError(f"{study}: lies in the folder of the data; choose one outside {data}")
    if there := sorted(path.name for path in study.glob("*.y*ml")):
        raise ConfigError(
            f"{study}: has settings already ({some(there)}), and nothing is overwritten; give "
            "another folder, or move them away"
        )
    if (other := study_folders().get(name := study.resolve().name)) is not None:
        raise ConfigError(
            f"{study}: results/{name} belongs to the study {label(other)}; choose another name"
        )
    if (results := Path("results") / name).exists():
        raise ConfigError(
            f"{study}: {results} has other results; choose another name, or move them"
        )


def _image_shape(text: str) -> list[int]:
    """`8x8` or `32x32x3`; BadParameter for anything else."""
    if match := re.fullmatch(r"([1-9]\d{0,4})x([1-9]\d{0,4})(x3)?", text.strip().lower()):
        return [int(match[1]), int(match[2]), *([3] if match[3] else [])]
    raise typer.BadParameter(
        f"{text!r} is not HEIGHTxWIDTH, such as 28x28, or 32x32x3 of colours", param_hint="--image"
    )
