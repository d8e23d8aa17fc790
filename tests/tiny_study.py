"""A study of two cells on a made-up data set, so that whole commands take a second."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

STUDY = """\
# Nothing published: two cells on a made-up data set.
title: "Tiny: two cells of rect"
shared:
  dataset: rect
  model: {hidden: [12, 10]}
  pretrain: {learning_rate: 0.1, epochs: 2}
  finetune: {learning_rate: 1.0, max_epochs: 4, patience: 4, batch_size: 4}
  subset: {train: 100, valid: 50, test: 400}
"""


def lay_out_study(
    folder: Path, cells: Sequence[int] = (0, 25), name: str = "experiments/tiny"
) -> None:
    """Write the study below `folder`."""
    study = folder / name
    study.mkdir(parents=True)
    (study / "study.yaml").write_text(STUDY)
    for level in cells:
        text = f"# Tiny: {level} %.\ncorruption: {{destruction: {level / 100}}}\n"
        (study / f"rect-{level}.yaml").write_text(text)


def lay_out_data(folder: Path, cache: Path) -> dict[str, str]:
    """Write a data set of two patterns, a tenth of its labels wrong; return the environment."""
    random = np.random.default_rng(0)
    patterns = np.zeros((2, 28, 28), dtype=np.uint8)
    patterns[0, 10:18, 4:24] = 1
    patterns[1, 4:24, 10:18] = 1
    arrays = {}
    for images, labels, rows in (("X", "Y", 1200), ("Xtest", "Ytest", 50_000)):
        shown = random.integers(0, 2, rows).astype(np.uint8)
        arrays[images] = patterns.reshape(2, 784)[shown]
        arrays[labels] = shown ^ (random.random(rows) < 0.1).astype(np.uint8)
    np.savez(folder / "rect.npz", allow_pickle=False, **arrays)
    _remember_torch_as_fastest(cache)
    return {"DAE_DATA_DIR": str(folder), "DAE_CACHE_DIR": str(cache), "OMP_NUM_THREADS": "1"}


def _remember_torch_as_fastest(cache: Path) -> None:
    """Nothing is measured, in this process or another, and results do not depend on the machine."""
    from dae_cli.engines import choice

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DAE_CACHE_DIR", str(cache))
        patch.setattr(choice, "_measure", lambda names: dict.fromkeys(names, 1.0))
        assert choice.fastest_engine(lambda _: None) == "torch"
