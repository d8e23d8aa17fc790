"""Settings that make no sense end a command with the reason, exit code 2 and nothing written."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.commands.conftest import Ended

    Dae = Callable[..., Ended]


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("model.hidden=[12, 0]", "item 2 (0) must be from 1 to 100000"),
        ("corruption.destruction=1", "must be from 0 up to, not including, 1: the fraction of"),
        ("corruption.destruction=-0.5", "must be from 0 up to, not including, 1: the fraction of"),
        ("corruption.destruction=.0001", "would destroy none of the 784 pixels: round(0.0001 x"),
        ("corruption.destruction=.9999", "would destroy all of the 784 pixels: round(0.9999 x"),
        ("corruption.destruction=.01", "would destroy none of the 12 units of hidden layer 1"),
        ("pretrain.learning_rate=0", "must be above 0 and at most 1000: the step of gradient"),
        ("finetune.learning_rate=0", "must be above 0 and at most 1000: the step of gradient"),
        ("pretrain.batch_size=101", "a batch cannot be larger than the 100 rows of subset.train"),
        ("finetune.batch_size=101", "a batch cannot be larger than the 100 rows of subset.train"),
        ("subset.train=1001", "must be from 1 to 1000: there are no more training rows of rect"),
        ("model.hidden=[100000, 100000]", "would make 10,078,400,000 weights (40 GB)"),
    ],
)
def test_nonsense_is_told_with_its_reason(
    dae: Dae, setting: str, words: str, tmp_path: Path
) -> None:
    for command in ("train", "show"):
        ended = dae(command, "tiny/rect-25", "--set", setting)
        assert (ended.code, ended.out) == (2, "")
        assert ended.err.startswith(f"1 problem with tiny/rect-25:\n  --set {setting}")
        assert words in ended.err
        assert "Traceback" not in ended.err
    assert [path.name for path in tmp_path.iterdir()] == ["experiments"]


def test_a_study_tells_all_of_it_at_once_before_any_run(dae: Dae, tmp_path: Path) -> None:
    settings = ("pretrain.batch_size=101", "finetune.learning_rate=0", "model.hidden=[0]")
    ended = dae("replicate", "tiny", *(word for one in settings for word in ("--set", one)))
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith("3 problems with tiny:\n")
    assert all(f"--set {setting}" in ended.err for setting in settings)
    assert [path.name for path in tmp_path.iterdir()] == ["experiments"]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("../tiny/rect-25", "'../tiny/rect-25' is not a name: a name cannot leave the folder"),
        ("tiny/../../etc/passwd", "is not a name: a name cannot leave the folder"),
        ("tiny/\x1b[31m", r"the study tiny has no cell '\x1b[31m'"),
        ("\n.yaml", r"'\n.yaml' does not exist (read as a path, not as a name)"),
        ("a" * 5000, "cannot be looked up: File name too long"),
    ],
)
def test_a_name_that_leads_elsewhere_is_refused(
    dae: Dae, name: str, words: str, tmp_path: Path
) -> None:
    ended = dae("train", name)
    assert (ended.code, ended.out) == (2, "")
    assert words in ended.err
    assert "Traceback" not in ended.err
    assert all(line.isprintable() for line in ended.err.split("\n"))
    assert [path.name for path in tmp_path.iterdir()] == ["experiments"]
