"""`dae encode`: what the layers of a run make of rows, as numbers or as a picture."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer
from numpy.typing import NDArray

from dae_cli.commands.options import DataDir, file
from dae_cli.commands.progress import Display, progress_display
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

TILES = (10, 10)
"""Rows and columns of each panel of a picture."""


def encode(
    source: Annotated[
        str,
        typer.Argument(
            metavar="RUN",
            help="A run folder, or an experiment that has a finished run under results/.",
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            metavar="FILE",
            parser=file,
            help="codes.npz or codes.csv; or a .png, .svg or .pdf: a picture of rows clean, "
            "corrupted and reconstructed.",
        ),
    ],
    data: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Other rows: an .npz, a .csv or .tsv, a folder of images, or the .yaml that "
            "declares them.  [default: the run's data]",
        ),
    ] = None,
    layer: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="1 is the lowest.  [default: the last one; to reconstruct, 1]",
        ),
    ] = None,
    pretrained: Annotated[
        bool, typer.Option("--pretrained", help="Codes as before fine-tuning.")
    ] = False,
    reconstruct: Annotated[
        bool, typer.Option("--reconstruct", help="Write reconstructions, which are pretrained.")
    ] = False,
    data_dir: DataDir = None,
) -> None:
    """Prints the file's path; what is in it: docs/python.md."""
    from dae_cli.api.output import SUFFIXES, Result, write_results
    from dae_cli.api.rows import parts_of_file, parts_of_run, width_of_rows
    from dae_cli.api.run import load_run
    from dae_cli.study.counting import finished_run
    from dae_cli.study.run.run import use_one_thread

    suffix = out.suffix.casefold()
    if suffix not in (*SUFFIXES, *PICTURES):
        endings = ", ".join((*SUFFIXES, *PICTURES))
        raise ConfigError(f"--out {out}: expected a name that ends with one of {endings}")
    if pretrained and (reconstruct or suffix in PICTURES):
        raise ConfigError("--pretrained is for codes: reconstructions are pretrained in any case")
    folder, _, experiment = finished_run(run_folder(source))
    with progress_display() as display:
        use_one_thread()
        run = load_run(folder)

        def computed(rows: Rows) -> Rows:
            if reconstruct or suffix in PICTURES:
                return run.reconstruct(rows, layer or 1)
            return run.encode(rows, layer, pretrained=pretrained)

        width = computed(np.empty((0, width_of_rows(experiment)), dtype=np.float32)).shape[1]
        if data is None:
            parts = parts_of_run(folder, data_dir, display.note)
        else:
            parts = parts_of_file(with_home(data), experiment, display.note)
        if suffix in PICTURES:
            _save_picture(out, run, as_pretrained(experiment), parts[-1], layer or 1)
        else:
            watched = _watched(parts, folder.name, display)
            results = [
                Result(part.split, part.labels, (part.count, width), map(computed, blocks))
                for part, blocks in zip(parts, watched, strict=True)
            ]
            write_results(out, results, "reconstruction" if reconstruct else "code")
    typer.echo(label(out))


def _watched(parts: Sequence[Part], run: str, display: Display) -> list[Iterator[Rows]]:
    """The blocks of each part, whose passing is shown."""
    total, passed = sum(part.count for part in parts), 0

    def blocks(part: Part) -> Iterator[Rows]:
        nonlocal passed
        for block in part.blocks():
            yield block
            passed += len(block)
            position = Position("encode", None, passed, total, fraction=passed / total)
            display.moved(run, position)

    return [blocks(part) for part in parts]


def _save_picture(
    out: Path, run: Run, experiment: PretrainedExperiment, part: Part, layer: int
) -> None:
    """Draw rows evenly spread over a part: clean, corrupted, and reconstructed from that."""
    from dae_cli.api.run import denoised, is_bounded
    from dae_cli.figures.filters import filter_sheet
    from dae_cli.figures.greys import common_limit
    from dae_cli.study.run.filters import as_shown, describe_corruption, tiles_for

    count = min(TILES[0] * TILES[1], part.count)
    clean = _spread(part, count)
    corrupted, reconstructed = denoised(run, clean, layer)
    panels = {"clean": clean, "corrupted": corrupted, "reconstructed": reconstructed}
    bounded = is_bounded(experiment.dataset)
    limit = 1.0 if bounded else common_limit([*panels.values()])
    sheet = filter_sheet(
        [
            as_shown(2 * values - 1 if bounded else values, experiment.dataset, title)
            for title, values in panels.items()
        ],
        tiles_for(count),
        limit=limit,
        scale_ends=("0", "1") if bounded else (f"−{limit:.2g}", f"+{limit:.2g}"),
        title=f"{experiment.dataset}, {describe_corruption(experiment)}",
        caption=f"{count} of {part.count} rows{part.split and f' of {part.split}'}, evenly spread "
        f"over them; reconstructed from layer {layer}, pretrained",
    )
    sheet.save(out, {"Title": "clean, corrupted and reconstructed", "Run": run.path.name})


def _spread(part: Part, count: int) -> Rows:
    """So many rows, evenly spread."""
    chosen, start, rows = np.arange(count) * part.count // count, 0, []
    for block in part.blocks():
        inside = (chosen >= start) & (chosen < start + len(block))
        rows.append(block[chosen[inside] - start])
        start += len(block)
    return np.concatenate(rows)
