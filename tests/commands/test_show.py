"""`dae show` prints resolved settings as YAML on stdout."""

from __future__ import annotations

from pathlib import Path

import pytest
import typer
import yaml
from typer.testing import CliRunner

from dae_cli.commands.show import show
from dae_cli.config.experiments import dump_yaml, load_resolved, resolve_study
from dae_cli.config.kinds import as_network
from dae_cli.errors import ConfigError

app = typer.Typer()
app.command()(show)


def test_a_cell_is_printed_as_a_config_that_reloads(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["icml2008/convex-25", "--set", "pretrain.epochs=3"])
    assert result.exit_code == 0
    path = tmp_path / "config.yaml"
    path.write_text(result.stdout)
    assert as_network(load_resolved(path)).pretrain.epochs == 3


def test_a_study_is_printed_as_one_document_per_cell_with_its_name() -> None:
    result = CliRunner().invoke(app, ["icml2008"])
    cells = resolve_study("icml2008").cells
    assert result.stdout == "".join(
        f"--- # {cell.name}\n{dump_yaml(cell.experiment)}" for cell in cells
    )
    assert len(list(yaml.safe_load_all(result.stdout))) == 7


def test_problems_are_raised_and_nothing_is_printed() -> None:
    arguments = ["icml2008/convex-25", "--set", "pretrain.lerning_rate=0.1"]
    arguments += ["--set", "corruption.destruction=1.5"]
    result = CliRunner().invoke(app, arguments)
    assert result.stdout == ""
    assert isinstance(result.exception, ConfigError)
    assert str(result.exception) == (
        "2 problems with icml2008/convex-25:\n"
        "  --set pretrain.lerning_rate=0.1    unknown key; did you mean pretrain.learning_rate?\n"
        "  --set corruption.destruction=1.5   must be from 0 up to, not including, 1: "
        "the fraction of inputs set to 0"
    )


@pytest.mark.parametrize("override", ["seed=1", "corruption.kind=salt-and-pepper"])
def test_overrides_reach_every_cell(override: str) -> None:
    result = CliRunner().invoke(app, ["smoke", "--set", override])
    key, value = override.split("=")
    assert result.stdout.count(f"{key.rpartition('.')[2]}: {value}") == 2
