"""The studies that come with the program."""

from __future__ import annotations

import re
from typing import get_args

import pytest

from dae_cli.config.experiments import dump_yaml, list_studies, resolve_study
from dae_cli.config.names import STUDY_FILE, cell_files, shipped_experiments
from dae_cli.config.schema import DatasetName
from dae_cli.config.search_cells import resolve_search
from dae_cli.study.run.folder import model_name


@pytest.fixture(autouse=True)
def _nowhere(here: object) -> None:
    """Away from the checkout's ./experiments."""


def test_icml2008_has_the_seven_cells_of_the_table() -> None:
    study = resolve_study("icml2008")
    cells = {
        cell.cell: (cell.network.dataset, cell.network.corruption.destruction)
        for cell in study.cells
    }
    assert cells == {
        "convex-0": ("convex", 0.0),
        "convex-10": ("convex", 0.1),
        "convex-25": ("convex", 0.25),
        "convex-50": ("convex", 0.5),
        "rect-img-0": ("rect-img", 0.0),
        "rect-img-25": ("rect-img", 0.25),
        "rect-img-50": ("rect-img", 0.5),
    }
    assert "ICML 2008" in study.title
    assert "Vincent" in study.paper


def test_icml2008_is_the_papers_model_on_all_rows() -> None:
    for cell in resolve_study("icml2008").cells:
        assert len(cell.network.model.hidden) == 3
        assert cell.network.model.tied
        assert cell.network.corruption.kind == "masking"
        assert cell.network.pretrain.loss == "cross-entropy"
        assert cell.network.subset is None
        assert cell.network.seed == 0


def test_cells_of_a_dataset_differ_only_in_what_their_files_say() -> None:
    for study in ("icml2008", "smoke"):
        first: dict[str, object] = {}
        for cell in resolve_study(study).cells:
            stated = set(re.findall(r"^(\w+):", cell.source.read_text("utf-8"), re.MULTILINE))
            assert "corruption" in stated
            rest = cell.network.model_dump(exclude={"corruption"})
            if stated <= {"dataset", "corruption"}:
                assert first.setdefault(cell.network.dataset, rest) == rest


def test_table1_has_every_model_of_the_paper_and_nnet_on_every_data_set() -> None:
    study = resolve_study("table1")
    models = ("SVM_rbf", "SVM_poly", "DBN-1", "SAA-3", "DBN-3", "SdA-3", "NNet-1")
    assert study.reference == "model"  # ν was selected, by the paper and here
    found = {(cell.experiment.dataset, model_name(cell.experiment)) for cell in study.cells}
    assert found == {(name, model) for name in get_args(DatasetName) for model in models}
    assert len(study.cells) == len(found)
    assert not any("subset" in dump_yaml(cell.experiment) for cell in study.cells)


def test_every_network_of_table1_is_searched() -> None:
    study, cells = resolve_search("table1")
    networks = [cell.cell for cell in study.all_cells if "-svm-" not in cell.cell]
    assert sorted(cell.cell for cell in cells) == sorted(networks)
    for cell in cells:
        searched = "corruption.destruction" in cell.space
        destroyed = searched or cell.experiment.corruption.destruction > 0
        assert destroyed == cell.cell.endswith("-sda-3")  # at 0 it would be an SAA


def test_smoke_is_tiny() -> None:
    study = resolve_study("smoke")
    assert len(study.cells) == 2
    for cell in study.cells:
        assert cell.network.subset is not None
        assert cell.network.subset.train <= 2000
        assert max(cell.network.model.hidden) <= 100


def test_each_file_opens_with_what_it_reproduces_and_its_command() -> None:
    for listing in list_studies():
        files = cell_files(shipped_experiments() / listing.name)
        commands = {f"dae train {listing.name}/{cell}": file for cell, file in files.items()}
        commands[f"dae replicate {listing.name}"] = listing.source / STUDY_FILE
        for command, file in commands.items():
            what, how = file.read_text("utf-8").splitlines()[:2]
            assert what.startswith("# ")
            assert len(what) > 20
            assert how == f"#   {command}"


def test_the_shipped_studies_are_listed_with_titles_and_cells() -> None:
    listings = {listing.name: listing for listing in list_studies()}
    assert list(listings) == ["filters-mnist", "icml2008", "natural-images", "smoke", "table1"]
    assert all(listing.title and len(listing.cells) > 1 for listing in listings.values())
    assert all(len(listing.reproduces) == len(listing.cells) for listing in listings.values())
    assert all(all(listing.reproduces) for listing in listings.values())


def test_dataset_names_are_those_of_the_registry() -> None:
    from dae_cli.data.registry import REGISTRY

    assert set(get_args(DatasetName)) == set(REGISTRY)
