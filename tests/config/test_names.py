"""Names and paths find their files, and names cannot leave their folders."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from dae_cli.config.experiments import resolve_cells, resolve_experiment, resolve_study
from dae_cli.config.names import cell_files, find_target, shipped_experiments
from dae_cli.errors import ConfigError

WriteStudy = Callable[..., Path]


def _message(name: str) -> str:
    with pytest.raises(ConfigError) as caught:
        find_target(name)
    return str(caught.value)


def test_shipped_names_are_found_from_any_folder(here: Path) -> None:
    assert list(here.iterdir()) == []
    assert resolve_experiment("icml2008/convex-25").name == "icml2008/convex-25"
    assert resolve_study("icml2008").source == shipped_experiments() / "icml2008"


def test_a_study_of_the_current_folder_hides_the_shipped_one(write_study: WriteStudy) -> None:
    write_study(name="icml2008")
    assert resolve_study("icml2008").title == "a study"


@pytest.mark.parametrize(
    "path",
    ["experiments/mine/", "./experiments/mine", "experiments/mine", "experiments/mine/study.yaml"],
)
def test_a_study_by_path(write_study: WriteStudy, path: str) -> None:
    write_study()
    study = resolve_study(path)
    assert (study.name, [cell.name for cell in study.cells]) == (
        "mine",
        ["mine/convex-0", "mine/convex-25"],
    )


def test_a_study_by_absolute_path(write_study: WriteStudy) -> None:
    assert resolve_study(str(write_study())).name == "mine"


def test_a_cell_by_path_gets_the_shared_settings(write_study: WriteStudy) -> None:
    write_study()
    cell = resolve_experiment("experiments/mine/convex-25.yaml")
    assert (cell.name, cell.cell) == ("mine/convex-25", "convex-25")
    assert cell.experiment == resolve_experiment("mine/convex-25").experiment


def test_a_free_standing_file_is_named_by_its_stem(here: Path, whole: str) -> None:
    (here / "alone.yaml").write_text(whole)
    assert resolve_experiment("alone.yaml").name == "alone"
    assert [cell.name for cell in resolve_cells("alone.yaml")] == ["alone"]


def test_a_path_may_leave_the_folder_and_a_name_may_not(
    write_study: WriteStudy, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_study()
    deeper = here / "deeper"
    deeper.mkdir()
    monkeypatch.chdir(deeper)
    assert find_target("../experiments/mine/").name == "mine"
    assert find_target("../experiments/mine/convex-0.yaml").name == "mine/convex-0"
    for name in ("../experiments/mine", "icml2008/../mine", "icml2008/.."):
        assert "a name cannot leave the folder of the experiments" in _message(name)
        assert "To give a path, end it with / (a study) or .yaml" in _message(name)


def test_an_unknown_study_gets_the_nearest_and_the_list(here: Path) -> None:
    message = _message("icml208")
    assert message.startswith("no experiment or study is named 'icml208'; did you mean icml2008?")
    assert "icml2008/: convex-0, convex-10, convex-25, convex-50, rect-img-0" in message


def test_an_unknown_cell_gets_the_nearest_and_the_list(here: Path) -> None:
    assert _message("icml2008/convex-26") == (
        "the study icml2008 has no cell 'convex-26'; did you mean icml2008/convex-25?\n"
        "  its cells are convex-0, convex-10, convex-25, convex-50, rect-img-0, rect-img-25, "
        "rect-img-50"
    )


@pytest.mark.parametrize("name", ["", "icml2008/convex-25/x", "a\\b", "*", "study"])
def test_odd_names_are_unknown_names(here: Path, name: str) -> None:
    assert f"no experiment or study is named {name!r}" in _message(name)


def test_study_yaml_is_no_cell(here: Path) -> None:
    assert "has no cell 'study'" in _message("icml2008/study")


def test_paths_that_lead_nowhere_say_so(here: Path) -> None:
    (here / "empty").mkdir()
    assert _message("./no/") == "./no/ does not exist (read as a path, not as a name)"
    assert _message("no.yaml") == "no.yaml does not exist (read as a path, not as a name)"
    assert _message("empty/") == "empty/ is no study: the folder has no study.yaml"


def test_a_study_is_not_an_experiment_and_the_other_way_round(here: Path) -> None:
    with pytest.raises(
        ConfigError, match="is a study, not one experiment; name a cell: icml2008/c"
    ):
        resolve_experiment("icml2008")
    with pytest.raises(ConfigError, match="icml2008/convex-0 is one experiment, not a study"):
        resolve_study("icml2008/convex-0")


def test_cells_come_in_the_natural_order_of_numbers(write_study: WriteStudy) -> None:
    folder = write_study(cells={"convex-10": "", "convex-5": "", "convex-100": "", "a": ""})
    (folder / ".hidden.yaml").write_text("")
    assert list(cell_files(folder)) == ["a", "convex-5", "convex-10", "convex-100"]


@pytest.mark.parametrize("name", ["a" * 5000, "a" * 5000 + ".yaml", "a/" * 3000, "a/" * 3000 + "b"])
def test_names_longer_than_any_path_are_told_in_short(here: Path, name: str) -> None:
    assert _message(name) == f"{name[:80]}: cannot be looked up: File name too long"


@pytest.mark.parametrize(
    "name",
    ["\0", "a\0b.yaml", "a\0/", "\x1b[31m", "\x1b[31m.yaml", "icml2008/\n", "a\nb/", "\udcff/"],
)
def test_no_name_whatever_puts_a_control_character_into_the_message(here: Path, name: str) -> None:
    assert repr(name.removeprefix("icml2008/")) in _message(name)
    assert all(line.isprintable() for line in _message(name).splitlines())


def test_a_file_whose_name_would_drive_a_terminal_is_told_with_escapes(here: Path) -> None:
    (here / "\x1b[31m.yaml").write_text("dataset: convx\n")
    with pytest.raises(ConfigError) as caught:
        resolve_experiment("\x1b[31m.yaml")
    assert str(caught.value).startswith(
        "4 problems with '\\x1b[31m':\n  '\\x1b[31m.yaml':1  dataset: "
    )
    assert all(line.isprintable() for line in str(caught.value).splitlines())
