"""Output and exit codes of `dae data list`, `fetch`, `make`, `verify` and `show`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.entry_points.data import SmallSet, forget_small, register_small
from tests.support.commands import Ended
from tests.support.sheets import in_rows, pixels, texts_of, tiles_in

Dae = Callable[..., Ended]

ARCHIVES = {
    "basic": ("mnist.zip", "14ac2e9135705499b80bf7efac981377940150c8"),
    "rot": ("mnist_rotation_new.zip", "e67f72fa42029f62fd8eb92b0638c1b9761c9a63"),
    "bg-rand": ("mnist_background_random.zip", "75e11ec966459c1162979e78ab4e21f9ab7fb5cd"),
    "bg-img": ("mnist_background_images.zip", "fb6fce9ed6372e0068ff7cb3e7b9e78dbda7ceae"),
    "rot-bg-img": ("mnist_rotation_back_image_new.zip", "902bb7e96136dd76e9f2924d7fdb9eb832f7bc33"),
    "rect": ("rectangles.zip", "b8d456b1f83bea5efebe76a47a9535adc4b72586"),
    "rect-img": ("rectangles_images.zip", "2700ba92129ae195e93070d8b27f830323573a57"),
    "convex": ("convex.zip", "61eab3c60e0e1caeaa0b82abf827f1809cfd2ef9"),
}
KNOWN = {
    "basic": "0160063fe7b9598c556ea2c9cf7d571cf9aa654670e54313ff1089a11579ed52",
    "convex": "f1736928f43fd98817ab8fa8152e50fb5f371e4fe12cc0b0a5682e2812033e01",
    "rect": "e78debd8f697c01f00e519f24a1eb7f41a5f6dd01fb32add7abe39c1d3d38628",
    "mnist": "c2069063c1105f2bf96266aef1ff68c6e13bdda7a54e37bf19c16f1db24efc83",
}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache for each test."""
    monkeypatch.setenv("DAE_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def small() -> Iterator[tuple[SmallSet, SmallSet]]:
    """The small set, original and regenerated."""
    yield register_small()
    forget_small()


def test_the_eight_sets_and_mnist_are_listed_with_the_facts_of_the_papers(
    dae: Dae, cache: Path
) -> None:
    listed = dae("data", "list", "--format", "json").succeeded().json
    assert [one["name"] for one in listed] == [*ARCHIVES, "mnist"]
    for one in listed:
        name = one["name"]
        assert one["copies"] == []
        assert one["known_sha256"] == ([KNOWN[name]] if name in KNOWN else [])
        if name == "mnist":
            assert one["rows"] == {"train": 50_000, "valid": 10_000, "test": 10_000}
            assert len(one["addresses"]) >= 2
            assert all(address.endswith("/") for address in one["addresses"])
            continue
        train, valid = {"rect": (1000, 200), "convex": (6000, 2000)}.get(name, (10_000, 2000))
        assert one["rows"] == {"train": train, "valid": valid, "test": 50_000}
        assert one["classes"] == (2 if name in ("rect", "rect-img", "convex") else 10)
        assert (one["archive"], one["archive_sha1"]) == ARCHIVES[name]
        assert ("MNIST" in one["comes_from"]) == (one["classes"] == 10)
    assert not cache.exists()  # nothing is generated or downloaded


def test_fetch_and_make_print_a_line_for_every_set_and_list_one_for_every_copy(
    dae: Dae, small: tuple[SmallSet, SmallSet]
) -> None:
    original, regenerated = small
    path = original.write_npz(Path("mine"))
    head, line = dae("data", "make", "small").succeeded().lines
    assert head.split() == ["set", "origin", "trust", "SHA-256", "source"]
    assert line.split()[:4] == ["small", "regenerated", "-", regenerated.sha256[:12]]
    head, line = dae("data", "fetch", "small", "small", "--data-dir", "mine").succeeded().lines
    assert line.split()[:4] == ["small", "original", "unverified", original.sha256[:12]]
    assert str(path) in line
    words = ("data", "list", "rect", "small", "rect", "--data-dir", "mine")
    listed = dae(*words, "--format", "json").succeeded().json
    assert [one["name"] for one in listed] == ["rect", "small"]
    assert [
        (copy["place"], copy["origin"], copy["sha256"], copy["usable"])
        for copy in listed[1]["copies"]
    ] == [
        ("yours", "original", None, True),
        ("cache", "original", original.sha256, False),
        ("cache", "regenerated", regenerated.sha256, True),
    ]
    assert listed[1]["copies"][0]["paths"] == ["mine/small.npz"]
    assert listed[1]["copies"][0]["bytes"] == path.stat().st_size
    head, rect, *lines = dae(*words).succeeded().lines
    assert head.split()[:5] == ["set", "rows", "here", "size", "SHA-256"]
    assert rect.split()[:6] == ["rect", "1000", "+", "200", "+", "50000"]
    assert len(lines) == 3
    for line, *parts in zip(
        lines,
        (f" {path.stat().st_size / 1e6:.1f} MB ", original.sha256[:12], regenerated.sha256[:12]),
        ("original, yours  ", "original, cached, not used  ", "regenerated, cached  "),
        strict=True,
    ):
        assert all(part in line for part in parts)


def test_one_set_in_trouble_hides_no_other(dae: Dae, small: tuple[SmallSet, SmallSet]) -> None:
    original, _ = small
    train, test = original.write_text(Path("mine"))
    test.unlink()
    Path("mine/rect.npz").touch()
    for command in ("list", "verify"):
        ended = dae("data", command, "small", "rect", "--data-dir", "mine")
        ended.failed(2, "small: ", str(train), "50k/small_test.amat")
        assert ended.lines[1].split()[0] == "rect"
    ended = dae("data", "fetch", "convex", "small", "--origin", "original")
    ended.failed(1, "convex.zip", "small.zip", "--data-dir")
    ended = dae("data", "fetch", "convex", "small", "--origin", "original", "--data-dir", "mine")
    ended.failed(2, "convex.zip", str(train))  # the higher of the exit codes 1 and 2


def test_mnist_is_fetched_and_checked_like_a_set_and_basic_rebuilt_from_it(
    dae: Dae, test_data: Path
) -> None:
    words = ("--data-dir", test_data, "--format", "json")
    mnist, basic = dae("data", "fetch", "mnist", "basic", *words).succeeded().json
    assert (mnist["name"], mnist["origin"], mnist["sha256"]) == (
        "mnist",
        "original",
        KNOWN["mnist"],
    )
    assert str(test_data / "mnist") in mnist["source"]
    assert (basic["origin"], basic["sha256"]) == ("regenerated", KNOWN["basic"])
    assert "MNIST" in basic["source"]
    (found, _) = dae("data", "verify", "mnist", *words).succeeded().json
    assert (found["sound"], found["sha256"]) == (True, KNOWN["mnist"])
    assert len(found["paths"]) == 4


def test_names_that_are_no_sets_are_usage_errors(dae: Dae) -> None:
    for command in ("list", "fetch", "make", "verify", "show"):
        dae("data", command, "convx").failed(2, "NAME", "'convx'", "convex")
    dae("data", "list", "rect-image").failed(2, "'rect-image'", "rect-img")
    dae("data", "list", "nothing-like-it").failed(2, "'nothing-like-it'", *ARCHIVES)
    for command in ("fetch", "make", "show"):
        assert dae("data", command).code == 2
    dae("data", "make", "mnist").failed(2, "'mnist'")
    dae("data", "fetch", "rect", "--origin", "mine").failed(2, "--origin", "regenerated")
    dae("data", "fetch", "rect", "--data-dir", "nowhere").failed(2, "--data-dir", "nowhere")


def test_all_stands_for_every_set(dae: Dae) -> None:
    ended = dae("data", "fetch", "rect", "all", "--origin", "original")
    ended.failed(1, *(archive for archive, _ in ARCHIVES.values()), "train-images-idx3-ubyte.gz")
    assert ended.out == ""


def test_verify_reads_every_copy_to_its_last_byte(
    dae: Dae, small: tuple[SmallSet, SmallSet]
) -> None:
    original, regenerated = small
    assert "dae data fetch" in dae("data", "verify", "small").succeeded().err
    ended = dae("data", "verify", "small", "--format", "json").succeeded()
    assert ended.json == []
    path = original.write_zip(Path("mine"))
    (entry,) = dae("data", "make", "small", "--format", "json").json
    shown = str(Path(entry["path"]).relative_to(Path.cwd()))
    words = ("data", "verify", "small", "--data-dir", "mine")
    found = dae(*words, "--format", "json").succeeded().json
    keys = ["name", "place", "paths", "origin", "trust", "sha256", "sound", "found"]
    assert list(found[0]) == keys
    assert [(one["place"], one["paths"], one["sha256"], one["sound"]) for one in found] == [
        ("yours", ["mine/small.zip"], original.sha256, True),
        ("cache", [entry["path"]], regenerated.sha256, True),
    ]
    head, *lines = dae(*words).succeeded().lines
    assert head.split() == ["set", "copy", "origin", "trust", "SHA-256", "found"]
    assert lines[0].split()[:4] == ["small", str(path), "original", "unverified"]
    assert lines[1].split()[:4] == ["small", shown, "regenerated", "-"]
    data = bytearray(Path(entry["path"]).read_bytes())
    data[len(data) // 2] ^= 1
    Path(entry["path"]).write_bytes(data)
    ended = dae(*words)
    assert (ended.code, len(ended.lines)) == (1, 3)
    assert shown in ended.lines[2]
    path.write_bytes(path.read_bytes()[:-9])
    ended = dae(*words, "--format", "json")
    assert ended.code == 2
    assert [one["sound"] for one in ended.json] == [False, False]


def test_a_sheet_shows_rows_of_one_split_upright(
    dae: Dae, small: tuple[SmallSet, SmallSet]
) -> None:
    original, regenerated = small
    original.write_npz(Path("mine"))
    words = ("data", "show", "small", "--data-dir", "mine", "--split")
    for split, rows in (
        ("train", original.X[[0, 3]]),  # evenly spread over the six rows
        ("valid", original.X[6:]),
        ("test", original.Xtest[[0, 2]]),
    ):
        out = f"sheets/{split}.png"
        ended = dae(*words, split, "--tiles", "1x2", "--out", out).succeeded()
        assert ended.lines == [out]
        assert in_rows(tiles_in(pixels(out), list(rows.reshape(2, 28, 28))), 2)
        about = texts_of(out)
        assert about["Title"] == f"small, {split}"
        assert about["SHA256"] == original.sha256
        assert "mine/small.npz" in about["Source"]
    assert dae(*words, "valid").succeeded().lines == ["small-original.png"]
    assert dae(*words, "train", "--origin", "regenerated").lines == ["small-regenerated.png"]
    assert texts_of("small-regenerated.png")["SHA256"] == regenerated.sha256


def test_what_show_cannot_draw_is_a_usage_error(dae: Dae) -> None:
    for tiles in ("0x3", "3", "101x1", "axb"):
        dae("data", "show", "rect", "--tiles", tiles).failed(2, "--tiles", f"'{tiles}'", "10x10")
    dae("data", "show", "rect", "--out", "rect.jpg").failed(2, "rect.jpg", ".png")
