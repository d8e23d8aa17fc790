"""The search section: what it may say, and every way to get it wrong."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from dae_cli.config.domains import Choices, Range
from dae_cli.config.experiments import resolve_study
from dae_cli.config.search_cells import resolve_search
from dae_cli.config.search_space import PruneSettings
from dae_cli.errors import ConfigError
from tests.config.conftest import CELLS, STUDY

WriteStudy = Callable[..., Path]


def _section(space: str, cells: str = "convex-*", more: str = "") -> str:
    return f"{STUDY}search:\n  - cells: {cells}\n    space:\n      {space}\n{more}"


def _message(folder: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        resolve_search(f"{folder}/")
    assert caught.value.exit_code == 2
    return str(caught.value)


def test_a_section_gives_each_cell_its_space(write_study: WriteStudy) -> None:
    section = """\
search:
  - cells: convex-0
    space:
      units: {low: 10, high: 40, step: 10}
      layers: {choices: [1, 3]}
      pretrain.learning_rate: {low: 0.01, high: 1, log: true}
      model.init: {choices: [glorot, tutorial]}
    prune: {after_trials: 3, from_epoch: 7}
  - cells: [convex-25]
    space:
      pretrain.epochs: {low: 5, high: 50, log: true}
"""
    first, second = resolve_search(f"{write_study(STUDY + section)}/")[1]
    assert first.cell == "convex-0"
    assert first.space == {
        "units": Range(10, 40, step=10),
        "layers": Choices((1, 3)),
        "pretrain.learning_rate": Range(0.01, 1.0, log=True),
        "model.init": Choices(("glorot", "tutorial")),
    }
    assert isinstance(first.space["pretrain.learning_rate"].ends[1], float)
    assert first.prune == PruneSettings(after_trials=3, from_epoch=7)
    assert second.space == {"pretrain.epochs": Range(5, 50, log=True)}
    assert second.prune == PruneSettings()


def test_units_and_layers_make_hidden_layers_of_one_size(write_study: WriteStudy) -> None:
    space = "units: {low: 10, high: 40}\n      layers: {low: 1, high: 3}"
    (cell, _) = resolve_search(f"{write_study(_section(space))}/")[1]
    assert cell.with_values({"units": 20, "layers": 3}).model.hidden == (20, 20, 20)
    assert cell.with_values({"units": 20}).model.hidden == (20, 20)  # as many as the cell has
    assert cell.with_values({"layers": 1}).model.hidden == (30,)  # as its first layer
    changed = cell.with_values({"pretrain.learning_rate": 0.5})
    assert changed.pretrain.learning_rate == 0.5
    assert changed.model == cell.experiment.model


@pytest.mark.parametrize(
    ("space", "where", "text"),
    [
        ("pretrain.rate: {low: 1, high: 2}", ":9", "unknown key; did you mean"),
        ("unit: {low: 1, high: 2}", ":9", "unknown key; did you mean units?"),
        ("seed: {low: 1, high: 2}", ":9", "cannot be searched: a seed is no setting"),
        ("dataset: {choices: [rect]}", ":9", "cannot be searched: a cell is of one data set"),
        ("subset.train: {low: 1, high: 2}", ":9", "cannot be searched: all rows count"),
        ("model.hidden: {choices: [3]}", ":9", "cannot be searched: search units (of each"),
        ("units: 5", "units: 5", "must be a range: {low: …, high: …}"),
        ("units: {low: 5}", "units", "has no high; write {low: …, high: …}"),
        ("units: {low: 5, high: 6, hihg: 6}", "hihg", "unknown key; did you mean high?"),
        ("units: {low: 6, high: 6}", "units", "low must be below high"),
        ("units: {low: 0, high: 6}", "units: 0", "must be a whole number from 1 to 100000"),
        ("units: {low: 1.5, high: 6}", "units: 1.5", "must be a whole number from 1 to 100000"),
        ("layers: {low: 1, high: 21}", "layers: 21", "must be a whole number from 1 to 20"),
        ("layers: {choices: [1, two]}", "layers: two", "must be a whole number from 1 to 20"),
        ("layers: {choices: []}", "choices", "must be a list of values"),
        ("layers: {choices: [1, 1]}", "choices", "has the same value twice"),
        ("layers: {choices: [1], low: 1}", "low: 1", "unknown key; the keys are choices"),
        ("units: {low: 1, high: 6, step: 2}", "units", "high must be low and a whole number of"),
        ("units: {low: 1, high: 6, step: 0}", "step: 0", "must be a whole number above 0"),
        ("units: {low: 1, high: 6, log: yes}", "log: yes", "must be true or false"),
        ("units: {low: 1, high: 6, log: true, step: 5}", "units", "has both log and step"),
        ("model.init: {low: 1, high: 2}", "model.init", "is one of glorot, tutorial, no range"),
        ("model.init: {choices: [glorott]}", "glorott", "did you mean glorot?"),
        ("pretrain.learning_rate: {low: 0, high: 1}", "rate: 0", "must be above 0 and at most"),
        ("pretrain.epochs: {low: 0, high: 9, log: true}", "epochs", "low must be above 0 on a"),
        ("pretrain.epochs: {low: 0.5, high: 9}", "epochs: 0.5", "must be a whole number from 0"),
    ],
)
def test_a_wrong_range_is_told_with_file_and_line(
    write_study: WriteStudy, space: str, where: str, text: str
) -> None:
    message = _message(write_study(_section(space)))
    (line,) = [line for line in message.splitlines() if "study.yaml:9" in line]
    assert where in line
    assert text in message


@pytest.mark.parametrize(
    ("section", "text"),
    [
        ("search: convex\n", "must be a list of items with cells and space"),
        ("search: []\n", "must be a list of items with cells and space"),
        ("search: [convex]\n", "search item 1: convex   must be a mapping with the keys cells"),
        ("search: [{cells: convex-0}]\n", "space must be given"),
        ("search: [{cells: 3, space: {units: {low: 1, high: 2}}}]\n", "must be a cell's name or"),
        ("search: [{cells: convex-0, space: {}}]\n", "must be a mapping of dotted keys to ranges"),
        ("search: [{cell: convex-0, space: {}}]\n", "unknown key; did you mean cells?"),
        (
            "search:\n- {cells: convex-0, space: {units: {low: 1, high: 2}}, "
            "prune: {from_epch: 1}}\n",
            "unknown key; did you mean from_epoch?",
        ),
        (
            "search: [{cells: convex-0, space: {units: {low: 1, high: 2}}, prune: 3}]\n",
            "must be a mapping with the keys after_trials, from_epoch",
        ),
        (
            "search:\n- {cells: convex-0, space: {units: {low: 1, high: 2}}, "
            "prune: {from_epoch: 0}}\n",
            "must be a whole number, 1 or more",
        ),
    ],
)
def test_a_wrong_section_is_told(write_study: WriteStudy, section: str, text: str) -> None:
    assert text in _message(write_study(STUDY + section)).replace("\n      ", "   ")


def test_every_command_refuses_a_wrong_section(write_study: WriteStudy) -> None:
    folder = write_study(_section("units: {low: 5}"))
    with pytest.raises(ConfigError, match="has no high"):
        resolve_study(f"{folder}/")


def test_a_name_that_no_cell_has_is_told_with_the_nearest(write_study: WriteStudy) -> None:
    folder = write_study(_section("units: {low: 1, high: 2}", cells="[convex-0, convx-25]"))
    assert "no cell of the study has this name; did you mean convex-25?" in _message(folder)


def test_a_cell_of_two_items_is_refused(write_study: WriteStudy) -> None:
    again = "  - {cells: convex-25, space: {layers: {low: 1, high: 2}}}\n"
    folder = write_study(_section("units: {low: 10, high: 20}", more=again))
    message = _message(folder)
    assert "study.yaml:10" in message
    assert "names convex-25, which experiments/mine/study.yaml:7 names as well" in message


def test_values_that_contradict_the_cells_others_are_refused(write_study: WriteStudy) -> None:
    cells = {**CELLS, "convex-noise": "dataset: convex\ncorruption: {kind: gaussian, sigma: 1}\n"}
    space = "corruption.destruction: {choices: [0, 0.25]}"
    message = _message(write_study(_section(space, cells="convex-noise"), cells))
    assert "study.yaml:9" in message
    assert "makes no experiment of convex-noise with corruption.destruction 0.25: gaussian" in (
        message
    )


def test_only_names_cells_that_are_searched(write_study: WriteStudy) -> None:
    folder = write_study(_section("units: {low: 10, high: 20}", cells="convex-0"))
    assert [cell.cell for cell in resolve_search(f"{folder}/")[1]] == ["convex-0"]
    with pytest.raises(ConfigError, match=r"no search of mine has a cell 'convex-25'; did you"):
        resolve_search(f"{folder}/", ["convex-25"])
