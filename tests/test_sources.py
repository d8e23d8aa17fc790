"""Sources of data sets: user files, cache, download and recipe, and the trust in each."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.entry_points.data import SmallSet, forget_small, register_small
from tests.support.commands import Ended
from tests.support.data_files import npy, zipped
from tests.support.tiny import snapshot

Dae = Callable[..., Ended]
Fetch = Callable[..., dict[str, str]]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty cache for each test; the small set is registered during the test."""
    monkeypatch.setenv("DAE_CACHE_DIR", str(tmp_path / "cache"))
    register_small()
    yield tmp_path / "cache"
    forget_small()


@pytest.fixture
def original() -> SmallSet:
    """The original small set."""
    return register_small()[0]


@pytest.fixture
def regenerated() -> SmallSet:
    """The small set that its recipe generates."""
    return register_small()[1]


@pytest.fixture
def fetch(dae: Dae) -> Fetch:
    """Run `dae data fetch small`; returns its JSON, and stderr as `notes`."""

    def fetch(*options: str | Path) -> dict[str, str]:
        ended = dae("data", "fetch", "small", "--format", "json", *options).succeeded()
        (fetched,) = ended.json
        assert list(fetched) == ["name", "origin", "trust", "sha256", "source", "path"]
        return {**fetched, "notes": ended.err}

    return fetch


def entry(path: str | Path) -> tuple[dict[str, Any], dict[str, str]]:
    """Arrays and provenance of a cache entry."""
    with np.load(path, allow_pickle=False) as file:
        arrays = dict(file)
    return arrays, json.loads(arrays.pop("dae").tobytes())


@contextmanager
def unprivileged() -> Iterator[None]:
    """Drop root's permissions for a block, if root runs the tests."""
    if os.geteuid() == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        if os.getuid() == 0:
            os.seteuid(0)


@pytest.fixture
def open_place() -> Iterator[Path]:
    """A folder that everybody can read and only its owner can write."""
    folder = Path(tempfile.mkdtemp(prefix="dae-test-"))
    folder.chmod(0o755)
    yield folder
    folder.chmod(0o755)
    shutil.rmtree(folder)


def test_without_files_and_network_a_set_is_regenerated_once_and_cached(
    dae: Dae, fetch: Fetch, regenerated: SmallSet, cache: Path
) -> None:
    fetched = fetch()
    recipe = f"v1-{regenerated.sha256[:8]}"
    assert (fetched["origin"], fetched["sha256"]) == ("regenerated", regenerated.sha256)
    assert fetched["path"] == str(cache / f"small-regenerated-{recipe}.npz")
    assert recipe in fetched["source"]
    arrays, about = entry(fetched["path"])
    assert about == {
        "name": "small",
        "origin": "regenerated",
        "sha256": regenerated.sha256,
        "source": fetched["source"],
        "trust": "",
    }
    assert list(arrays) == ["X", "Y", "Xtest", "Ytest"]
    for key, array in arrays.items():
        np.testing.assert_array_equal(array, getattr(regenerated, key))
        assert array.dtype == np.uint8
    before = Path(fetched["path"]).stat()
    again = fetch()
    assert again.pop("notes") == ""  # nothing is downloaded or generated again
    assert again.items() <= fetched.items()
    ended = dae("data", "fetch", "small", "--origin", "original")  # not replaced
    ended.failed(1, "small.zip", "--data-dir", "--origin original")
    assert ended.out == ""
    assert Path(fetched["path"]).stat() == before
    assert {path.name for path in cache.iterdir()} == {Path(fetched["path"]).name}


def test_your_files_come_before_the_cache_and_are_read_once(
    fetch: Fetch, original: SmallSet, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetch()
    path = original.write_npz(tmp_path / "mine")
    fetched = fetch("--data-dir", tmp_path / "mine")
    assert (fetched["origin"], fetched["sha256"]) == ("original", original.sha256)
    assert str(path) in fetched["source"]
    assert str(path) in fetched["notes"]
    assert fetched["path"] == str(cache / f"small-original-{original.sha256[:12]}.npz")
    assert entry(fetched["path"])[1]["trust"] == "unverified"
    assert entry(fetched["path"])[1]["source"] == fetched["source"]
    monkeypatch.setenv("DAE_DATA_DIR", str(tmp_path / "mine"))
    again = fetch()
    assert again.pop("notes") == ""
    assert again.items() <= fetched.items()
    (tmp_path / "empty").mkdir()
    ignored = fetch("--data-dir", tmp_path / "empty")  # takes precedence over DAE_DATA_DIR
    assert ignored["origin"] == "regenerated"
    assert str(tmp_path / "empty") in ignored["notes"]
    assert fetch("--origin", "regenerated")["origin"] == "regenerated"
    assert fetch("--origin", "original")["origin"] == "original"
    monkeypatch.delenv("DAE_DATA_DIR")
    assert fetch()["origin"] == "regenerated"  # unverified files count only while they are given
    original.write_npz(tmp_path / "mine", Y=2 - original.Y)
    changed = fetch("--data-dir", tmp_path / "mine")
    assert changed["sha256"] not in (original.sha256, ignored["sha256"])
    assert str(path) in changed["notes"]


def test_a_set_without_an_archive_is_generated_and_requiring_its_original_fails(
    dae: Dae, fetch: Fetch, regenerated: SmallSet
) -> None:
    register_small(archive="")
    (listed,) = dae("data", "list", "small", "--format", "json").succeeded().json
    assert (listed["archive"], listed["addresses"], listed["comes_from"]) == (
        None,
        [],
        "regenerated",
    )
    dae("data", "fetch", "small", "--origin", "original").failed(1, "--origin", "small.npz")
    fetched = fetch()
    assert (fetched["sha256"], fetched["notes"].count("\n")) == (regenerated.sha256, 1)


def test_a_set_about_which_nothing_is_known_is_accepted_from_your_files(
    dae: Dae, fetch: Fetch, original: SmallSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DAE_ACCEPT_UNVERIFIED")
    register_small(archive="", has_recipe=False)
    dae("data", "list", "small").succeeded()
    dae("data", "fetch", "small").failed(1, "small", "--data-dir", "small.npz")
    dae("data", "make", "small").failed(2, "'small'", "recipe")
    dae("data", "fetch", "small", "--origin", "regenerated").failed(2, "small", "--origin")
    original.write_npz(Path("mine"))
    for _ in ("read", "found"):
        fetched = fetch("--data-dir", "mine")
        assert (fetched["sha256"], fetched["trust"]) == (original.sha256, "unverified")
    register_small(archive="", has_recipe=False, known_sha256=original.sha256)
    assert fetch("--data-dir", "mine")["trust"] == "verified"


def test_files_may_lie_packed_or_not_in_the_folder_or_in_one_of_the_sets_name(
    dae: Dae, fetch: Fetch, original: SmallSet
) -> None:
    def found() -> list[str]:
        ended = dae("data", "list", "small", "--data-dir", "mine", "--format", "json")
        yours = ended.succeeded().json[0]["copies"][0]
        assert yours["place"] == "yours"
        assert fetch("--data-dir", "mine")["sha256"] == original.sha256
        return [str(Path(path).relative_to("mine")) for path in yours["paths"]]

    mine = Path("mine")
    original.write_npz(mine / "small")
    assert found() == ["small/small.npz"]
    original.write_npz(mine)
    assert found() == ["small.npz"]
    _, test = original.write_text(mine / "small")
    assert found() == ["small/small_train.amat", "small/50k/small_test.amat"]
    test.rename(test.parent.parent / test.name)
    assert found() == ["small/small_train.amat", "small/small_test.amat"]
    original.write_text(mine)
    assert found() == ["small_train.amat", "50k/small_test.amat"]
    original.write_zip(mine / "small")
    assert found() == ["small/small.zip"]
    original.write_zip(mine)
    assert found() == ["small.zip"]


SPELLINGS = [
    "SMALL.npz",  # capitals
    "Small.NPZ",
    "small/small/small.npz",  # unpacked into a folder of its name
    "Small/small_train.amat",
    "small.zip",
    "small/SMALL.ZIP",
    "small_files/small_files.zip",  # named like the archive
    "small-files.npz",
    "small_files/small_train.amat",
    "SmallFiles/50k/small_test.amat",
    "Small_Train.amat",
]


@pytest.mark.parametrize("name", SPELLINGS)
def test_files_that_can_only_mean_the_set_are_taken_whatever_their_spelling(
    fetch: Fetch, original: SmallSet, name: str
) -> None:
    register_small(archive="small_files.zip")
    path = Path("mine", name)
    folder = path.parent.parent if "50k" in name else path.parent
    folder.mkdir(parents=True)
    if path.suffix == ".amat":
        train, test = original.write_text(folder)
        (train if "rain" in name else test).rename(path)
    else:
        write = original.write_npz if path.suffix.casefold() == ".npz" else original.write_zip
        write(folder).rename(path)
    assert fetch("--data-dir", "mine")["sha256"] == original.sha256


NEAR_MISSES = [
    "small.npy",
    "small.csv",
    "Small.mat",
    "small.tar.gz",
    "small (1).npz",
    "small copy.zip",
    "small_train.amat.gz",
    "small-test.txt",
    "small_files.7z",
    "small_files.zip.part",
    "small/train.csv",
    "small - Copy.zip",
    "Small copy (2).npz",
    "Copy of small_files.zip",
    "small/",
    "small_files/original.npz",
]


@pytest.mark.parametrize("name", NEAR_MISSES)
def test_what_can_only_be_meant_as_the_set_but_cannot_be_read_is_an_error(
    dae: Dae, name: str, cache: Path
) -> None:
    register_small(archive="small_files.zip")
    path = Path("mine", name)
    (path if name.endswith("/") else path.parent).mkdir(parents=True)
    if not name.endswith("/"):
        path.write_bytes(b"something")
    shown = str(Path("mine", name.split("/")[0]))
    for command in ("fetch", "list"):
        ended = dae("data", command, "small", "--data-dir", "mine")
        ended.failed(2, shown, "small_files.zip", "small_train.amat", "small.npz")
    assert not cache.exists()
    dae("data", "fetch", "small", "--data-dir", "mine", "--origin", "regenerated").succeeded()


@pytest.mark.parametrize(
    "names",
    [
        (),
        ("smaller.npz", "rect.npz"),
        ("small.ipynb", "small.md", "small.png", "small.zip.sha256"),
        (*"abcdefg", ".small.npz"),
    ],
)
def test_a_folder_without_the_set_is_reported_with_expected_and_found_files(
    fetch: Fetch, names: tuple[str, ...]
) -> None:
    Path("mine").mkdir()
    for name in names:
        Path("mine", name).touch()
    fetched = fetch("--data-dir", "mine")
    assert fetched["origin"] == "regenerated"
    note = next(line for line in fetched["notes"].splitlines() if line.startswith("mine "))
    assert "small.zip, small_train.amat + small_test.amat, or small.npz" in note
    seen = [name for name in names if not name.startswith(".")][:5]
    assert (", ".join(sorted(seen)) or "nothing") in note
    assert ("2 more" in note) == (len(names) > 6)


def test_two_files_that_may_both_be_meant_are_an_error(dae: Dae, original: SmallSet) -> None:
    for name in ("SMALL.npz", "Small.npz"):
        original.write_npz(Path("mine")).rename(Path("mine", name))
    ended = dae("data", "fetch", "small", "--data-dir", "mine")
    ended.failed(2, "SMALL.npz", "Small.npz", "small.npz")
    original.write_npz(Path("mine"))  # the exact name is preferred
    dae("data", "fetch", "small", "--data-dir", "mine").succeeded()


@pytest.mark.parametrize("kind", ["npz", "zip", "text"])
@pytest.mark.parametrize("time", [None, 0, 10**9])
def test_a_file_that_is_replaced_is_read_again_though_size_and_time_are_the_same(
    fetch: Fetch, original: SmallSet, kind: str, time: int | None
) -> None:
    def write(of: SmallSet) -> Path:
        if kind == "text":
            return of.write_text(Path("mine"))[0]
        return (of.write_npz if kind == "npz" else of.write_zip)(Path("mine"))

    path = write(original)
    if time is not None:
        os.utime(path, (time, time))
    about = path.stat()
    assert fetch("--data-dir", "mine")["sha256"] == original.sha256
    other = replace(original, X=original.X[[1, 0, *range(2, 8)]])
    write(other)
    os.utime(path, ns=(about.st_atime_ns, about.st_mtime_ns))
    assert path.stat().st_size == about.st_size
    assert fetch("--data-dir", "mine")["sha256"] == other.sha256
    path.rename(path.with_name("moved")).rename(path)
    again = fetch("--data-dir", "mine")  # recognised by content, at any path
    assert (again["sha256"], again["notes"]) == (other.sha256, "")


def test_a_path_that_blocks_one_of_your_files_is_an_error_that_names_it(
    dae: Dae, original: SmallSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = Path("mine")

    def refused(*parts: str) -> None:
        for command in ("fetch", "list", "verify"):
            dae("data", command, "small", "--data-dir", "mine").failed(2, *parts)

    (mine / "50k" / "small_test.amat").mkdir(parents=True)
    refused("mine/50k/small_test.amat", "folder")
    (mine / "50k" / "small_test.amat").rmdir()
    os.mkfifo(mine / "small_train.amat")
    refused("mine/small_train.amat")
    (mine / "small_train.amat").unlink()
    (mine / "small.npz").symlink_to("moved.npz")
    refused("mine/small.npz", "link")
    (mine / "small.npz").unlink()
    train, test = original.write_text(mine)
    test.unlink()
    refused("mine/small_train.amat", "50k/small_test.amat")
    original.write_text(mine)
    train.unlink()
    refused("mine/50k/small_test.amat", " small_train.amat")
    (mine / "file").touch()
    dae("data", "fetch", "small", "--data-dir", "mine/file").failed(2, "--data-dir", "mine/file")
    for nowhere in ("mine/file", "mine/nowhere"):
        monkeypatch.setenv("DAE_DATA_DIR", nowhere)
        dae("data", "fetch", "small").failed(2, "DAE_DATA_DIR", nowhere)


def test_a_folder_of_other_files_is_reported_with_names_that_drive_no_terminal(
    dae: Dae, original: SmallSet, tmp_path: Path
) -> None:
    others = tmp_path / "others"
    others.mkdir()
    for name in ("\x1b[31m.txt", *"abcdef"):
        (others / name).touch()
    ended = dae("data", "fetch", "small", "--data-dir", str(others))
    assert r"found '\x1b[31m.txt', a, b, c, d and 2 more" in ended.err


def test_a_file_that_may_not_be_read_is_an_error(
    dae: Dae, original: SmallSet, open_place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAE_CACHE_DIR", str(open_place / "cache"))
    path = original.write_npz(open_place / "mine")
    words = ("data", "verify", "small", "--format", "json", "--data-dir", open_place / "mine")
    dae(*words).succeeded()
    path.chmod(0)
    with unprivileged():
        ended = dae(*words)
    assert ended.code == 2
    assert str(path) in ended.json[0]["found"]


def test_your_files_are_verified_by_their_content_or_by_the_sha_1_of_the_archive(
    fetch: Fetch, original: SmallSet, tmp_path: Path, cache: Path
) -> None:
    original.write_npz(tmp_path / "npz")
    sha1 = hashlib.sha1(original.write_zip(tmp_path / "zip").read_bytes()).hexdigest()
    cases: list[tuple[str, dict[str, Any], str]] = [
        ("npz", {}, "unverified"),
        ("zip", {}, "unverified"),
        ("npz", {"archive_sha1": sha1}, "unverified"),
        ("zip", {"archive_sha1": sha1}, "verified"),
        ("npz", {"known_sha256": original.sha256}, "verified"),
        ("zip", {"known_sha256": original.sha256}, "verified"),
        ("npz", {"exact": True}, "verified"),
    ]
    for folder, facts, trust in cases:
        shutil.rmtree(cache, ignore_errors=True)
        register_small(**facts)
        fetched = fetch("--data-dir", tmp_path / folder)
        assert (fetched["origin"], fetched["sha256"]) == ("original", original.sha256)
        assert entry(fetched["path"])[1]["trust"] == trust
        without = fetch()
        assert without["origin"] == ("original" if trust == "verified" else "regenerated")
        assert (without["notes"] == "") == (trust == "verified")
    # An unverified copy given later does not replace the verified entry.
    register_small()
    fetched = fetch("--data-dir", tmp_path / "zip")
    assert entry(fetched["path"])[1]["trust"] == "verified"


def test_what_is_known_not_to_be_the_original_is_refused_and_not_cached(
    dae: Dae,
    original: SmallSet,
    regenerated: SmallSet,
    tmp_path: Path,
    cache: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    mine = tmp_path / "mine"

    def refused(*parts: str) -> None:
        before = snapshot(cache, [".npz", ".json"])
        monkeypatch.delenv("DAE_ACCEPT_UNVERIFIED")
        for command in ("fetch", "verify"):
            ended = dae("data", command, "small", "--data-dir", mine)
            output = " ".join(f"{ended.err} {ended.out}".split())
            assert ended.code == 2
            for part in (str(mine / "small.npz"), *parts):
                assert part in output
        assert snapshot(cache, [".npz", ".json"]) == before
        monkeypatch.setenv("DAE_ACCEPT_UNVERIFIED", "1")

    original.write_npz(mine)
    register_small(known_sha256="f" * 64)
    refused(original.sha256[:12], "f" * 12)
    register_small(exact=True)
    original.write_npz(mine, Y=2 - original.Y)
    refused(original.sha256[:12])
    register_small()
    regenerated.write_npz(mine)
    refused()


def rewritten(path: Path, **members: bytes) -> bytes:
    """An entry with `members` replaced and correct checksums."""
    with np.load(path) as arrays:
        held = {f"{name}.npy": npy(array) for name, array in arrays.items()}
    return zipped(held | {f"{name}.npy": data for name, data in members.items()})


def damages(path: Path) -> dict[str, bytes]:
    """Return damaged versions of an entry; test_data_readers covers further array formats."""
    data = path.read_bytes()
    altered = bytearray(data)
    altered[len(data) // 2] ^= 0xFF
    arrays, about = entry(path)
    kinds = {
        "cut": data[:-300],
        "altered": bytes(altered),
        "empty": b"",
        "other labels": rewritten(path, Y=npy(arrays["Y"] ^ 1)),
        "other shape": rewritten(path, Y=npy(arrays["Y"][:7])),
        "other type": rewritten(path, X=npy(arrays["X"].astype(np.float32))),
    }
    for key in ("dae", "X"):
        kinds[f"no array as {key}"] = rewritten(path, **{key: b"no array"})
    texts = [b"[" * 90_000, b"[]", b"{}", b"\xff"]
    for change in ({"origin": "stolen"}, {"trust": "mine"}, {"sha256": 3}, {"name": "rect"}):
        texts.append(json.dumps(about | change).encode())
    for text in texts:
        kinds[f"{text[:90]!r} as provenance"] = rewritten(path, dae=npy(np.frombuffer(text, "u1")))
    return kinds


def test_a_damaged_entry_is_reported_by_verify_and_regenerated_when_it_is_needed(
    dae: Dae, fetch: Fetch
) -> None:
    fetched = fetch()
    path = Path(fetched["path"])
    good = path.read_bytes()
    for kind, data in damages(path).items():
        path.write_bytes(data)
        ended = dae("data", "verify", "small", "--format", "json")
        of_another_set = '"name": "rect"' in kind  # the rest is intact
        assert (ended.code, ended.json[0]["sound"]) == (int(not of_another_set), of_another_set)
        assert path.read_bytes() == data, kind  # verify changes nothing
        if kind.endswith(("provenance", "as dae", "cut", "empty")):
            (listed,) = dae("data", "list", "small", "--format", "json").succeeded().json
            assert listed["copies"][0]["usable"] is of_another_set, kind
        again = fetch()
        assert "small" in again.pop("notes"), kind
        assert again.items() <= fetched.items()
        assert path.read_bytes() == good, kind


def test_the_result_of_a_recipe_must_have_its_version_and_digest(
    dae: Dae, fetch: Fetch, regenerated: SmallSet
) -> None:
    fetch()
    register_small(version=2)
    (listed,) = dae("data", "list", "small", "--format", "json").succeeded().json
    assert [copy["usable"] for copy in listed["copies"]] == [False]
    assert fetch()["path"].endswith(f"small-regenerated-v2-{regenerated.sha256[:8]}.npz")
    register_small(version=3, wrong_recipe=True)  # as if this machine generated other bytes
    dae("data", "make", "small").failed(2, "small", regenerated.sha256[:12], "numpy")


def test_entries_of_a_read_only_cache_are_still_used(
    dae: Dae, fetch: Fetch, open_place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAE_CACHE_DIR", str(open_place))
    path = Path(fetch()["path"])
    open_place.chmod(0o555)
    with unprivileged():
        assert fetch()["path"] == str(path)
    open_place.chmod(0o755)
    Path("file").touch()
    monkeypatch.setenv("DAE_CACHE_DIR", "file/cache")
    dae("data", "fetch", "small").failed(2, "file/cache", "DAE_CACHE_DIR")


def test_entries_may_be_read_by_others_as_the_umask_says(fetch: Fetch) -> None:
    before = os.umask(0o022)
    try:
        assert Path(fetch()["path"]).stat().st_mode & 0o777 == 0o644
    finally:
        os.umask(before)


def test_what_killed_commands_left_in_the_cache_is_swept_by_the_next(
    fetch: Fetch, cache: Path
) -> None:
    with subprocess.Popen("true") as gone:
        pass
    recreated = Path(fetch()["path"])
    machine = re.sub(r"[^A-Za-z0-9.]", "_", platform.node())[:40]
    day = time.time() - 24 * 3600 - 5
    left = {recreated.name}
    for owner, is_old, stays in (
        (f"{machine}-{gone.pid}", False, False),
        (f"{machine}-{os.getpid()}", True, True),  # the process is alive: the clock may have jumped
        ("elsewhere-2-7", False, True),
        ("elsewhere-2-8", True, False),
    ):
        download = cache / f".download-{owner}-abcd_12"
        download.mkdir()
        part = cache / f".small-original-0.npz@{owner}-0123abcd.part"
        part.touch()
        for path in (download, part):
            os.utime(path, (day, day) if is_old else None)
            if stays:
                left.add(path.name)
    recreated.unlink()
    fetch()
    assert {path.name for path in cache.iterdir()} == left


def test_the_genuine_convex_is_verified_and_has_its_genuine_rows(dae: Dae, test_data: Path) -> None:
    words = ("data", "fetch", "convex", "--data-dir", test_data, "--format", "json")
    (fetched,) = dae(*words).succeeded().json
    assert fetched["origin"] == "original"
    assert fetched["sha256"] == "f1736928f43fd98817ab8fa8152e50fb5f371e4fe12cc0b0a5682e2812033e01"
    arrays, about = entry(fetched["path"])
    assert about["trust"] == "verified"
    assert [len(arrays[key]) for key in ("X", "Y", "Xtest", "Ytest")] == [8000] * 2 + [50_000] * 2
    with np.load(test_data / "genuine_rows" / "convex.npz") as rows:
        for key, expected in (("X", rows["X"]), ("Y", rows["y"])):
            every = np.concatenate([arrays[key], arrays[f"{key}test"]])
            # The first and the last ten rows of each split.
            ends = [every[start : start + 10] for start in (0, 5990, 6000, 7990, 8000, 57_990)]
            np.testing.assert_array_equal(np.concatenate(ends), expected)
