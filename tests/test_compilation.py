"""Functions are compiled once and kept, but never those of other sources, and need no cache."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numba
import pytest

from dae_cli import compilation

FUNCTION = """
from beside import FACTOR
from dae_cli.compilation import compiled

@compiled
def times(number: int) -> int:
    return FACTOR * number

print(times(7), sum(times.stats.cache_hits.values()))
"""


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """A folder with a function to be compiled, and a source beside it that it depends on."""
    folder = tmp_path / "sources"
    folder.mkdir()
    (folder / "function.py").write_text(FUNCTION, encoding="utf-8")
    (folder / "beside.py").write_text("FACTOR = 2\n", encoding="utf-8")
    return folder


def run(sources: Path, cache: Path) -> tuple[int, int]:
    """Run the function in a process of its own; return its result and whether it was kept."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", "import function"],
        cwd=sources,
        env=os.environ | {"DAE_CACHE_DIR": str(cache), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    result, kept = done.stdout.split()
    return int(result), int(kept)


def test_what_was_compiled_is_kept_for_later_processes(sources: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    assert [run(sources, cache) for _ in range(2)] == [(14, 0), (14, 1)]
    assert [path.name for path in cache.iterdir()] == ["kernels"]
    assert sorted(path.name for path in sources.iterdir()) == ["beside.py", "function.py"]


def test_a_change_of_any_source_beside_it_compiles_a_function_anew(
    sources: Path, tmp_path: Path
) -> None:
    cache = tmp_path / "cache"
    run(sources, cache)
    (sources / "beside.py").write_text("FACTOR = 3\n", encoding="utf-8")
    assert [run(sources, cache) for _ in range(2)] == [(21, 0), (21, 1)]
    assert len(list((cache / "kernels").iterdir())) == 2  # a folder for each


@pytest.mark.parametrize("kind", ["*.nbi", "*.nbc"], ids=["index", "code"])
@pytest.mark.parametrize("left", [0, 50])
def test_what_is_damaged_is_compiled_anew_and_kept_again(
    sources: Path, tmp_path: Path, kind: str, left: int
) -> None:
    cache = tmp_path / "cache"
    run(sources, cache)
    damaged = list((cache / "kernels").rglob(kind))
    assert damaged
    for path in damaged:
        path.write_bytes(path.read_bytes()[:left])
    assert [run(sources, cache) for _ in range(2)] == [(14, 0), (14, 1)]


def test_without_a_cache_that_can_be_written_to_each_process_compiles_for_itself(
    sources: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("in the place of a folder", encoding="utf-8")
    cache = tmp_path / "file" / "cache"
    assert [run(sources, cache) for _ in range(2)] == [(14, 0), (14, 0)]
    # What Numba would keep elsewhere, it would not know to be outdated.
    (sources / "beside.py").write_text("FACTOR = 3\n", encoding="utf-8")
    assert run(sources, cache) == (21, 0)


def test_a_function_works_where_numba_finds_no_place_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    njit = numba.njit

    def without_a_place(function: object = None, cache: bool = False) -> object:
        if cache:
            raise RuntimeError("cannot cache function: no locator available")
        return njit(function)

    def twice(number: int) -> int:
        return 2 * number

    monkeypatch.setenv("DAE_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(numba, "njit", without_a_place)
    assert compilation.compiled(twice)(21) == 42
