"""A GPU that is asked for and is not there."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

Run = Callable[..., Any]


@pytest.mark.parametrize(
    ("device", "command"),
    [
        ("cuda", ("replicate", "tiny")),
        ("mps", ("train", "tiny/rect-0")),
        pytest.param("cuda", ("train", "tiny/rect-0"), marks=pytest.mark.slow),
        pytest.param("mps", ("replicate", "tiny"), marks=pytest.mark.slow),
    ],
)
def test_a_gpu_that_is_not_there_is_refused_and_nothing_is_made(
    child: Run, command: tuple[str, ...], device: str
) -> None:
    if device == "mps" and torch.backends.mps.is_available():
        pytest.skip("there is one here")
    hidden = {"CUDA_VISIBLE_DEVICES": ""}  # should this machine have one
    ended = child(*command, "--device", device, environment=hidden)
    ended.told(2, f"--device {device}: torch sees no {device.upper()} device here; use --device")
    assert not Path("results").exists()


def test_a_gpu_that_is_gone_is_refused_and_what_is_done_stays(here: Run, study: Any) -> None:
    out = Path("results/tiny")
    shutil.copytree(study.sound, out)
    before = study.snapshot(out)
    device = "mps" if torch.cuda.is_available() else "cuda"
    ended = here("replicate", "tiny", "--device", device, "--force")
    ended.told(2, "device here; use --device cpu or auto")
    assert study.snapshot(out) == before
