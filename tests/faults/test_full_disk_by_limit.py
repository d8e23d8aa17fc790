"""A write that the kernel cuts short: a limit on the size of files, which needs no rights."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

resource = pytest.importorskip("resource")

Run = Callable[..., Any]
REPLICATE = ("replicate", "tiny", "--engine", "torch")


def at_most(size: int) -> Callable[[], None]:
    """For `child(prepare=…)`: no file of more bytes can be written."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    return limit


@pytest.mark.parametrize("workers", ["1", pytest.param("2", marks=pytest.mark.slow)])
def test_a_checkpoint_that_cannot_be_written_fails_its_run_which_goes_on_from_the_one_before(
    here: Run, child: Run, study: Any, workers: str
) -> None:
    ended = child(*REPLICATE, "--jobs", workers, prepare=at_most(50_000))
    ended.told(1, "checkpoint.safetensors: cannot be written (File too large)", "make room")
    assert "0 done, 0 skipped, 2 failed" in ended.out
    out = Path("results/tiny")
    study.assert_valid(out)
    assert len(list(out.glob("runs/*.partial/checkpoint.safetensors"))) == 2
    again = here(*REPLICATE, "--jobs", "1")
    assert (again.code, again.err.count("goes on")) == (0, 2)
    study.assert_same(out)


@pytest.mark.parametrize("failing", ["runs.csv", "error_vs_destruction.png"])
def test_a_table_or_picture_that_cannot_be_written_ends_the_command_and_is_made_later(
    here: Run, child: Run, study: Any, failing: str
) -> None:
    out = Path("results/tiny")
    shutil.copytree(study.sound, out)
    size = (out / failing).stat().st_size
    for name in (failing, "REPORT.md"):
        (out / name).unlink()
    before = study.snapshot(out)
    ended = child(*REPLICATE, prepare=at_most(size - 1))
    ended.told(1, f"results/tiny/{failing}: cannot be written (File too large); make room")
    study.assert_kept(before, out)
    study.assert_valid(out)
    assert here(*REPLICATE).code == 0
    study.assert_same(out)


def test_a_cache_that_cannot_be_written_is_told_with_the_variable_that_moves_it(
    here: Run, child: Run, study: Any, tmp_path: Path
) -> None:
    cache = tmp_path / "cache"
    ended = child(*REPLICATE, prepare=at_most(50_000), environment={"DAE_CACHE_DIR": str(cache)})
    ended.told(2, "File too large", "free some space or set DAE_CACHE_DIR to another folder")
    assert [path.name for path in cache.glob("*rect*")] == [".rect.lock"]
    assert not Path("results").exists()
