from __future__ import annotations

import os
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from dae_cli.data.sources.user_files import archive_is_genuine, chosen_folder, find_user_files
from dae_cli.errors import DataError


@pytest.mark.parametrize("sub", ["", "tiny"])
def test_files_may_lie_in_the_folder_or_in_one_named_after_the_set(
    tiny: Any, sub: str, tmp_path: Path
) -> None:
    path = tiny.write_npz(tmp_path / sub)
    files = find_user_files(tmp_path, tiny.spec)
    assert files is not None
    assert files.paths == (path,)


def test_the_archive_comes_before_the_text_and_the_text_before_the_arrays(
    tiny: Any, tmp_path: Path
) -> None:
    def found() -> str:
        files = find_user_files(tmp_path, tiny.spec)
        assert files is not None
        return files.paths[0].name

    tiny.write_npz(tmp_path)
    assert found() == "tiny.npz"
    tiny.write_amat(tmp_path)
    assert found() == "tiny_train.amat"
    tiny.write_zip(tmp_path / "tiny")
    assert found() == "tiny.zip"


def test_text_files_are_found_without_the_folders_of_the_archive(tiny: Any, tmp_path: Path) -> None:
    train, test = tiny.write_amat(tmp_path)
    flat = test.rename(tmp_path / test.name)
    files = find_user_files(tmp_path, tiny.spec)
    assert files is not None
    assert files.paths == (train, flat)


def test_one_text_file_of_two_is_an_error_that_names_the_other(tiny: Any, tmp_path: Path) -> None:
    _, test = tiny.write_amat(tmp_path)
    test.unlink()
    with pytest.raises(DataError, match=r"50k/tiny_test.amat is missing"):
        find_user_files(tmp_path, tiny.spec)


def test_a_folder_without_the_set_gives_nothing(tiny: Any, tmp_path: Path) -> None:
    (tmp_path / "convex.npz").touch()
    assert find_user_files(tmp_path, tiny.spec) is None


def test_the_key_changes_when_a_file_is_written_again(tiny: Any, tmp_path: Path) -> None:
    def key() -> str:
        files = find_user_files(tmp_path, tiny.spec)
        assert files is not None
        return files.key

    path = tiny.write_npz(tmp_path)
    before = key()
    assert key() == before
    path.write_bytes(path.read_bytes() + b"\0")
    assert key() != before


def test_the_folder_given_comes_before_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert chosen_folder(None) is None
    (tmp_path / "a").mkdir()
    monkeypatch.setenv("DAE_DATA_DIR", str(tmp_path))
    assert chosen_folder(None) == tmp_path
    assert chosen_folder(tmp_path / "a") == tmp_path / "a"


def test_a_data_folder_that_is_none_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match=r"--data-dir .*file: is a file; expected the folder"):
        chosen_folder(tmp_path / "file")
    monkeypatch.setenv("DAE_DATA_DIR", str(tmp_path / "nowhere"))
    with pytest.raises(DataError, match=r"DAE_DATA_DIR .*nowhere: does not exist"):
        chosen_folder(None)


@pytest.mark.parametrize(
    "name", ["tiny.zip", "tiny_train.amat", "50k/tiny_test.amat", "tiny.npz", "tiny/tiny.npz"]
)
def test_a_folder_or_a_pipe_in_the_place_of_a_file_is_an_error(
    tiny: Any, name: str, tmp_path: Path
) -> None:
    (tmp_path / name).mkdir(parents=True)
    with pytest.raises(DataError, match=f"{name}: is a folder, expected a file; move it"):
        find_user_files(tmp_path, tiny.spec)
    (tmp_path / name).rmdir()
    os.mkfifo(tmp_path / name)
    with pytest.raises(DataError, match=f"{name}: is a device or pipe, expected a file"):
        find_user_files(tmp_path, tiny.spec)


def test_a_link_that_leads_nowhere_is_an_error(tiny: Any, tmp_path: Path) -> None:
    (tmp_path / "tiny.npz").symlink_to(tmp_path / "moved.npz")
    with pytest.raises(DataError, match=r"tiny.npz: is a link to a place that does not exist"):
        find_user_files(tmp_path, tiny.spec)
    tiny.write_npz(tmp_path)  # through the link
    assert find_user_files(tmp_path, tiny.spec) is not None


def test_a_folder_without_permission_is_an_error_not_an_empty_one(
    tiny: Any, tmp_path: Path, unprivileged: AbstractContextManager[None]
) -> None:
    tiny.write_npz(tmp_path)
    tmp_path.chmod(0o600)
    with (
        unprivileged,
        pytest.raises(DataError, match=r"tiny.zip: cannot be looked for \(Permission"),
    ):
        find_user_files(tmp_path, tiny.spec)
    with (
        unprivileged,
        pytest.raises(DataError, match=r"cannot be looked for \(Permission denied\)"),
    ):
        chosen_folder(tmp_path / "inside")


@pytest.mark.parametrize("kind", ["zip", "amat", "npz"])
def test_a_file_without_permission_is_an_error(
    tiny: Any, kind: str, tmp_path: Path, unprivileged: AbstractContextManager[None]
) -> None:
    written = getattr(tiny, f"write_{kind}")(tmp_path)
    path = written if isinstance(written, Path) else written[0]
    files = find_user_files(tmp_path, tiny.spec)
    assert files is not None
    path.chmod(0o000)
    with unprivileged, pytest.raises(DataError, match=rf"{path}: cannot be read \(Permission deni"):
        files.read()
    with unprivileged, pytest.raises(DataError, match=rf"{path}: cannot be read \(Permission deni"):
        archive_is_genuine(path, tiny.spec)


def test_a_file_that_vanishes_is_an_error(tiny: Any, tmp_path: Path) -> None:
    path = tiny.write_npz(tmp_path)
    files = find_user_files(tmp_path, tiny.spec)
    assert files is not None
    path.unlink()
    with pytest.raises(DataError, match=r"tiny.npz: is no longer there"):
        _ = files.key
    with pytest.raises(DataError, match=r"tiny.npz: cannot be read \(No such file"):
        files.read()
