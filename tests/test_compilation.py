"""Functions are compiled once and kept, but never those of other sources, and need no cache."""

from __future__ import annotations

import os
import pickle
import stat
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


def run(sources: Path, cache: Path, umask: int = -1) -> tuple[int, int]:
    """Run the function in a process of its own; return its result and whether it was kept."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", "import function"],
        cwd=sources,
        env=os.environ | {"DAE_CACHE_DIR": str(cache), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
        umask=umask,
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


class _Planted:
    """What makes a file when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[object, ...]:
        return (Path.touch, (self.marker,))


posix = pytest.mark.skipif(os.name != "posix", reason="owners and modes are those of POSIX")


@posix
@pytest.mark.parametrize("opened", ["nothing", "folder", "file"])
@pytest.mark.parametrize("bits", [0o020, 0o002], ids=["group", "everyone"])
def test_a_pickle_is_loaded_only_from_where_nobody_else_may_write(
    sources: Path, tmp_path: Path, opened: str, bits: int
) -> None:
    cache, marker = tmp_path / "cache", tmp_path / "executed"
    run(sources, cache)
    (index,) = (cache / "kernels").rglob("*.nbi")
    planted = pickle.dumps(_Planted(marker))
    index.write_bytes(planted)
    (folder,) = (cache / "kernels").iterdir()
    for path in {"nothing": [], "folder": [folder], "file": [index]}[opened]:
        path.chmod(path.stat().st_mode | bits)
    assert run(sources, cache) == (14, 0)
    # In the user's own folder it is run, as a .pyc file would be: the pickle is a true one.
    assert marker.exists() == (opened == "nothing")
    assert (index.read_bytes() == planted) == (opened != "nothing")


@posix
def test_a_link_in_the_place_of_the_folder_is_not_followed(sources: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    run(sources, cache)
    (folder,) = (cache / "kernels").iterdir()
    folder.rename(tmp_path / "elsewhere")
    folder.symlink_to(tmp_path / "elsewhere")
    assert run(sources, cache) == (14, 0)


@posix
def test_a_folder_of_another_user_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def thrice(number: int) -> int:
        return 3 * number

    compilation._folder.cache_clear()
    monkeypatch.setenv("DAE_CACHE_DIR", str(tmp_path))
    user = os.getuid()
    with monkeypatch.context() as patch:
        patch.setattr(os, "getuid", lambda: user + 1)
        assert compilation.compiled(thrice)(14) == 42
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
    compilation._folder.cache_clear()


@posix
@pytest.mark.parametrize("umask", [0o002, 0o000])
def test_a_lax_umask_leaves_nothing_that_others_may_write_to(
    sources: Path, tmp_path: Path, umask: int
) -> None:
    cache = tmp_path / "cache"
    assert [run(sources, cache, umask) for _ in range(2)] == [(14, 0), (14, 1)]
    (folder,) = (cache / "kernels").iterdir()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert not any(path.stat().st_mode & 0o022 for path in folder.rglob("*"))
