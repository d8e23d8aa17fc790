"""Studies: merge order, problems of all files at once, cells chosen with `only`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from dae_cli.config.experiments import list_studies, resolve_experiment, resolve_study
from dae_cli.errors import ConfigError

WriteStudy = Callable[..., Path]


def _message(*overrides: str, only: tuple[str, ...] = ()) -> str:
    with pytest.raises(ConfigError) as caught:
        resolve_study("mine", overrides, only)
    return str(caught.value)


def test_later_layers_win_shared_dataset_cell_override(
    write_study: WriteStudy, shared_study: str
) -> None:
    write_study(
        shared_study
        + "  seed: 1\n"
        + "per_dataset:\n"
        + "  convex: {seed: 2, pretrain: {epochs: 7}}\n"
        + "  rect: {seed: 3}\n",
        {
            "a": "dataset: convex\n",
            "b": "dataset: convex\nseed: 4\n",
            "c": "dataset: rect\nmodel: {hidden: [9]}\n",
        },
    )
    cells = {cell.cell: cell.network for cell in resolve_study("mine").cells}
    assert {name: cell.seed for name, cell in cells.items()} == {"a": 2, "b": 4, "c": 3}
    assert {name: cell.pretrain.epochs for name, cell in cells.items()} == {"a": 7, "b": 7, "c": 2}
    assert cells["a"].pretrain.learning_rate == 0.1  # the rest of the section stays
    assert cells["c"].model.hidden == (9,)  # a list is replaced whole
    assert resolve_experiment("mine/b", ["seed=5"]).experiment.seed == 5
    # The data set's settings follow an override of the data set.
    assert resolve_experiment("mine/a", ["dataset=rect"]).experiment.seed == 3


def test_null_takes_a_shared_section_away(write_study: WriteStudy, shared_study: str) -> None:
    write_study(shared_study + "  subset: {train: 90, valid: 9, test: 9}\n")
    assert resolve_experiment("mine/convex-0").network.subset is not None
    assert resolve_experiment("mine/convex-0", ["subset=null"]).network.subset is None


def test_problems_of_all_files_and_overrides_are_in_one_message(write_study: WriteStudy) -> None:
    folder = write_study(
        "titel: a study\n"
        "shared:\n"
        "  model: {hidden: [30]}\n"
        "  pretrain: {learning_rate: 0.1, epochs: -1}\n"
        "per_dataset:\n"
        "  convx: {seed: 1}\n"
        "  rect: {seed: 1}\n"
        "  convex: {dataset: rect}\n",
        {
            "a": "dataset: convex\n",
            "b": "dataset: convex\ncorruption: {destruction: 2}\n",
            "c": "dataset: [\n",
        },
    )
    (folder / "d.yml").write_text("dataset: convex\n")
    message = _message("seed=x")
    for words in (
        "experiments/mine/study.yaml:1  titel: a study",
        "unknown key; did you mean title?",
        "title is missing: one line that names the study",
        "study.yaml:4  shared.pretrain.epochs: -1",
        "must be from 0 to 100000: epochs per layer",
        "study.yaml:6  per_dataset.convx: {seed: 1}",
        "unknown data set; did you mean convex?",
        "study.yaml:8  per_dataset.convex.dataset: rect",
        "is given by the key above it",
        "mine/b.yaml:2  corruption.destruction: 2",
        "mine/c.yaml:2",
        "not valid YAML",
        "mine/d.yml\n      would be passed over; name it .yaml",
        "--set seed=x",
        "mine/study.yaml\n      finetune is missing for a, b: a mapping with the keys",
    ):
        assert words in message
    assert message.count("shared.pretrain.epochs") == 1


def test_per_dataset_settings_that_no_cell_uses_are_told(
    write_study: WriteStudy, shared_study: str
) -> None:
    write_study(shared_study + "per_dataset:\n  rect: {seed: 1}\n")
    message = _message()
    assert "experiments/mine/study.yaml:7  per_dataset.rect" in message
    assert "no cell uses this data set; remove it or add a cell" in message
    # An override of the data set does not make them used, nor the others unused.
    assert "no cell uses this data set" in _message("dataset=rect")


def test_two_cells_that_say_the_same_are_told(write_study: WriteStudy) -> None:
    write_study(cells={"a": "dataset: rect\n", "b": "dataset: rect\nseed: 0\n"})
    assert _message() == (
        "1 problem with mine:\n"
        "  experiments/mine/b.yaml   "
        "resolves to the same experiment as a; a study needs each one once"
    )


def test_an_override_that_makes_cells_equal_is_told_unless_one_is_chosen(
    write_study: WriteStudy,
) -> None:
    write_study()
    assert "the same experiment as convex-0" in _message("corruption.destruction=.5")
    chosen = resolve_study("mine", ["corruption.destruction=.5"], ["convex-25"])
    assert [cell.cell for cell in chosen.cells] == ["convex-25"]


def test_only_chooses_cells_by_short_or_full_name(write_study: WriteStudy) -> None:
    write_study()
    for name in ("convex-25", "mine/convex-25"):
        assert [cell.cell for cell in resolve_study("mine", only=[name]).cells] == ["convex-25"]
    both = resolve_study("mine", only=["convex-25", "convex-0"])
    assert [cell.cell for cell in both.cells] == ["convex-0", "convex-25"]


def test_only_takes_globs_and_each_cell_once(write_study: WriteStudy) -> None:
    folder = write_study()
    (folder / "rect-0.yaml").write_text("dataset: rect\n", encoding="utf-8")
    asked = resolve_study("mine", only=["convex-*", "convex-0", "mine/rect*"])
    assert [cell.cell for cell in asked.cells] == ["convex-0", "convex-25", "rect-0"]
    assert _message(only=("rot-*",)).startswith("the study mine has no cell 'rot-*'")


def test_an_unknown_cell_in_only_gets_the_nearest_and_the_list(write_study: WriteStudy) -> None:
    write_study()
    assert _message(only=("convex-26",)) == (
        "the study mine has no cell 'convex-26'; did you mean convex-25?\n"
        "  its cells are convex-0, convex-25"
    )


@pytest.mark.parametrize(
    ("study", "words"),
    [
        (
            "",
            "must be a mapping with the keys title, paper, reference, shared, per_dataset, search",
        ),
        ("- title\n", "must be a mapping with the keys title, paper, reference, shared"),
        ("title: 3\n", "must be text"),
        ("title: t\nreference: models\n", "must be destruction (the paper's number at a cell's"),
        ("title: t\nreference: models\n", "did you mean model?"),
        ("title: t\nreference: 3\n", "or model (the paper's number of a cell's model"),
        ("title: t\nshared: 3\n", "must be a mapping of settings"),
        ("title: t\nper_dataset: [convex]\n", "must be a mapping of settings"),
        ("title: t\nper_dataset: {convex: 3}\n", "must be a mapping of settings"),
        ("title: t\nseed: 3\n", "unknown key; did you mean shared.seed?"),
        ("title: t\nxyz: 3\n", "unknown key; the keys are title, paper, reference, shared"),
        ("title: t\nshared: {epochs: 3}\n", "did you mean shared.pretrain.epochs?"),
    ],
)
def test_a_wrong_study_file_is_told(write_study: WriteStudy, study: str, words: str) -> None:
    write_study(study)
    assert words in _message()


@pytest.mark.parametrize("rule", ["destruction", "model"])
def test_the_reference_of_a_study_reaches_its_cells(
    write_study: WriteStudy, shared_study: str, rule: str
) -> None:
    write_study(f"reference: {rule}\n{shared_study}")
    study = resolve_study("mine")
    assert study.reference == rule
    assert {cell.reference for cell in study.all_cells} == {rule}
    assert resolve_experiment("mine/convex-25").reference == rule


def test_without_a_word_cells_are_compared_at_their_own_destruction(
    write_study: WriteStudy, shared_study: str
) -> None:
    write_study(shared_study)
    assert resolve_study("mine").reference == "destruction"


def test_a_study_without_cells_is_told(write_study: WriteStudy) -> None:
    write_study(cells={})
    assert "the study has no cells: add a .yaml file per cell" in _message()


def test_one_broken_cell_does_not_stop_another(write_study: WriteStudy) -> None:
    write_study(cells={"a": "dataset: convex\n", "b": "dataset: convx\n"})
    assert resolve_experiment("mine/a").experiment.dataset == "convex"


def test_listing_survives_a_broken_study(write_study: WriteStudy) -> None:
    write_study("title: [\n", {"a": "# What it reproduces.\n", "b": ""})
    listing = next(study for study in list_studies() if study.name == "mine")
    assert (listing.title, listing.cells) == ("", ("a", "b"))
    assert listing.reproduces == ("What it reproduces.", "")


def test_names_of_cells_are_told_with_escapes(write_study: WriteStudy) -> None:
    write_study("title: t\n", {"\x1b[31m": "dataset: rect\n", "\x1b[32m": "dataset: rect\n"})
    messages = [_message(), _message(only=("\x1b[33m",))]
    for name in ("mine", "mine/\x1b[33m", "\x1b"):
        with pytest.raises(ConfigError) as caught:
            resolve_experiment(name)
        messages.append(str(caught.value))
    for message in messages:
        assert r"\x1b[31m" in message
        assert all(line.isprintable() for line in message.splitlines())
