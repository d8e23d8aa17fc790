"""What is written over the filters of a run: what was done while its first layer was trained."""

from __future__ import annotations

import pytest

from dae_cli.config.experiments import resolve_experiment
from dae_cli.config.kinds import as_pretrained
from dae_cli.study.run.corruption import corruption_told


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        (["corruption.destruction=.25"], "25 % destroyed"),
        (["corruption.destruction=0"], "no corruption"),
        (
            ["corruption.destruction=.1", "corruption.kind=salt-and-pepper"],
            "10 % salt and pepper",
        ),
        (
            ["corruption.kind=gaussian", "corruption.sigma=.5", "corruption.destruction=0"],
            "Gaussian noise, σ 0.5",
        ),
        (
            ["corruption.destruction=0", "pretrain.weight_decay=.001"],
            "weight decay 0.001",
        ),
        (
            ["corruption.destruction=.4", "pretrain.contraction=.1"],
            "40 % destroyed, contraction 0.1",
        ),
        (["corruption.destruction=0", "pretrain.epochs=0"], "not pretrained"),
    ],
)
def test_all_that_was_done_is_told_and_nothing_else(changed: list[str], told: str) -> None:
    resolved = resolve_experiment("icml2008/convex-25", changed)
    assert corruption_told(as_pretrained(resolved.experiment)) == told
