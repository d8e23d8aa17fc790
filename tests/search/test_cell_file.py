"""A cell's file with other settings in it: only what was searched changes."""

from __future__ import annotations

from pathlib import Path

import pytest

from dae_cli.search.cell_file import MARK, recorded, with_settings

SETTINGS = {"pretrain.learning_rate": 0.03, "model.hidden": (500, 500)}
COMMENT = f"{MARK}mine: trial 1 of 1"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", "{mark}\npretrain: {learning_rate: 0.03}\nmodel: {hidden: [500, 500]}\n"),
        (
            "# What it is.\n#   dae train x\ndataset: convex\npretrain: {epochs: 5}\n# The end.\n",
            "# What it is.\n#   dae train x\n{mark}\ndataset: convex\n"
            "pretrain: {epochs: 5, learning_rate: 0.03}\n# The end.\n"
            "model: {hidden: [500, 500]}\n",
        ),
        (
            "# Head.\npretrain:\n  epochs: 5\n  learning_rate: 0.5\n\n# Why.\ndataset:  convex\n",
            "# Head.\n{mark}\npretrain: {epochs: 5, learning_rate: 0.03}\n\n# Why.\n"
            "dataset:  convex\nmodel: {hidden: [500, 500]}\n",
        ),
        (
            "model:\n  hidden:\n  - 3\n  - 4\n  tied: false\ndataset: convex\n",
            "{mark}\nmodel: {hidden: [500, 500], tied: false}\ndataset: convex\n"
            "pretrain: {learning_rate: 0.03}\n",
        ),
        (
            "{dataset: convex, pretrain: {epochs: 5}}\n",
            "{mark}\ndataset: convex\npretrain: {epochs: 5, learning_rate: 0.03}\n"
            "model: {hidden: [500, 500]}\n",
        ),
        ("# Only a comment.", "# Only a comment.\n{mark}\npretrain: {learning_rate: 0.03}\n"),
    ],
)
def test_what_is_not_searched_stays_as_it_is(tmp_path: Path, before: str, after: str) -> None:
    path = tmp_path / "cell.yaml"
    path.write_text(before, encoding="utf-8")
    text = with_settings(path, SETTINGS, COMMENT)
    expected = after.replace("{mark}", COMMENT)
    assert text.startswith(expected) if "Only" in before else text == expected


def test_a_later_selection_replaces_the_earlier_one(tmp_path: Path) -> None:
    path = tmp_path / "cell.yaml"
    path.write_text("# Head.\npretrain: {epochs: 5}\n", encoding="utf-8")
    assert recorded(path) is None
    path.write_text(with_settings(path, SETTINGS, COMMENT), encoding="utf-8")
    assert recorded(path) == COMMENT
    again = with_settings(path, SETTINGS, COMMENT)
    assert again == path.read_text(encoding="utf-8")
    later = with_settings(path, {**SETTINGS, "pretrain.learning_rate": 1e-05}, f"{COMMENT} (2)")
    assert later.splitlines() == [
        "# Head.",
        f"{COMMENT} (2)",
        "pretrain: {epochs: 5, learning_rate: 1.0e-05}",
        "model: {hidden: [500, 500]}",
    ]
