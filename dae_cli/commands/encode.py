"""`dae encode`: codes or reconstructions of rows, as numbers or as a picture."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer
from numpy.typing import NDArray

from dae_cli.commands import completion
from dae_cli.commands.options import DataDir, file
from dae_cli.commands.progress import progress_display
from dae_cli.commands.sources import run_folder
from dae_cli.config.names import label
from dae_cli.config.schema import PretrainedExperiment, as_pretrained
from dae_cli.errors import ConfigError
from dae_cli.figures.saving import SUFFIXES as PICTURES
from dae_cli.files import with_home
from dae_cli.study.progress import Position

if TYPE_CHECKING:
    from dae_cli.api.rows import Part
    from dae_cli.api.run import Run

Rows = NDArray[np.float32]

FILES = (".npz", ".csv")
MOST_ROWS = 100
"""Maximum number of rows in a picture."""


def encode(
    source: Annotated[
        str,
        typer.Argument(
            metavar="RUN",
            help="A run folder, FOLDER/CELL or experiment with a finished run.",
            autocompletion=completion.experiments,
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            metavar="FILE",
            parser=file,
            help="An .npz or .csv file, or a picture (.png, .svg, .pdf) of reconstructed rows.",
        ),
    ],
    data: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Other rows: an .npz, .csv or .tsv file, a folder of images, or a declaration.  "
            "[default: the run's data]",
        ),
    ] = None,
    layer: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="Layer; 1 is the lowest.  [default: the last; with --reconstruct 1]",
        ),
    ] = None,
    pretrained: Annotated[
        bool, typer.Option("--pretrained", help="Use the weights before fine-tuning.")
    ] = False,
    reconstruct: Annotated[
        bool,
        typer.Option(
            "--reconstruct", help="Write reconstructions, made with the pretrained weights."
        ),
    ] = False,
    rows: Annotated[
        int | None,
        typer.Option(
            "--rows",
            min=1,
            max=MOST_ROWS,
            metavar="N",
            help=f"Number of rows in a picture.  [default: {MOST_ROWS}]",
        ),
    ] = None,
    data_dir: DataDir = None,
) -> None:
    """Prints the path of the file; docs/python.md describes its contents."""
    from dae_cli.api.rows import parts_of_file, parts_of_run, width_of_rows, write_parts
    from dae_cli.api.run import Run
    from dae_cli.study.counting import finished_run
    from dae_cli.study.run.run import use_one_thread

    suffix = out.suffix.casefold()
    if suffix not in (*FILES, *PICTURES):
        endings = ", ".join((*FILES, *PICTURES))
        raise ConfigError(f"--out {out}: expected a name that ends with one of {endings}")
    if rows is not None and suffix not in PICTURES:
        raise ConfigError(f"--rows is only for pictures: {', '.join(PICTURES)}")
    if pretrained and (reconstruct or suffix in PICTURES):
        raise ConfigError(
            "--pretrained is only for codes; reconstructions always use the pretrained weights"
        )
    folder, status, experiment = finished_run(run_folder(source))
    with progress_display() as display:
        use_one_thread()
        run = Run(folder, status, experiment)

        def computed(values: Rows) -> Rows:
            if reconstruct or suffix in PICTURES:
                return run.reconstruct(values, layer or 1)
            return run.encode(values, layer, pretrained=pretrained)

        width = computed(np.empty((0, width_of_rows(experiment)), dtype=np.float32)).shape[1]
        if data is None:
            parts = parts_of_run(folder, status, experiment, data_dir, display.note)
        else:
            parts = parts_of_file(with_home(data), experiment, display.note)
        if suffix in PICTURES:
            count = min(rows or MOST_ROWS, parts[-1].count)
            _save_picture(out, run, as_pretrained(experiment), parts[-1], count, layer or 1)
        else:
            total, passed = sum(part.count for part in parts), 0

            def computed_blocks(part: Part) -> Iterator[Rows]:
                nonlocal passed
                for block in part.blocks:
                    yield computed(block)
                    passed += len(block)
                    position = Position("encode", None, passed, total, fraction=passed / total)
                    display.moved(folder.name, position)

            results = [replace(part, blocks=computed_blocks(part)) for part in parts]
            write_parts(out, results, width, "reconstruction" if reconstruct else "code")
    typer.echo(label(out))


def _save_picture(
    out: Path, run: Run, experiment: PretrainedExperiment, part: Part, count: int, layer: int
) -> None:
    """Draw `count` evenly spaced rows: clean, corrupted, and reconstructed from these."""
    from dae_cli.api.run import denoised, is_bounded
    from dae_cli.figures.filters import filter_sheet
    from dae_cli.figures.greys import common_limit
    from dae_cli.study.run.filters import as_shown, describe_corruption, tiles_for

    clean = _spread(part, count)
    corrupted, reconstructed = denoised(run, clean, layer)
    panels = {"clean": clean, "corrupted": corrupted, "reconstructed": reconstructed}
    down, across = tiles_for(count)
    bounded = is_bounded(experiment.dataset)
    limit = 1.0 if bounded else common_limit([*panels.values()])
    sheet = filter_sheet(
        [
            as_shown(2 * values - 1 if bounded else values, experiment.dataset, title)
            for title, values in panels.items()
        ],
        (down, min(across, count)),
        limit=limit,
        scale_ends=("0", "1") if bounded else (f"−{limit:.2g}", f"+{limit:.2g}"),
        title=f"{experiment.dataset}, {describe_corruption(experiment)}",
        caption=f"{count} of {part.count} rows{part.split and f' of {part.split}'}, evenly "
        f"spaced; reconstructed from layer {layer}, pretrained",
    )
    sheet.save(out, {"Title": "clean, corrupted and reconstructed", "Run": run.path.name})


def _spread(part: Part, count: int) -> Rows:
    """Return `count` evenly spaced rows."""
    chosen, start, rows = np.arange(count) * part.count // count, 0, []
    for block in part.blocks:
        inside = (chosen >= start) & (chosen < start + len(block))
        rows.append(block[chosen[inside] - start])
        start += len(block)
    return np.concatenate(rows)
