"""Patches of photographs: reading, whitening and cutting."""

from __future__ import annotations

import struct
import sys
import zlib
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from tests.entry_points.data import filter_digits, patches_of
from tests.entry_points.readers import DaeError
from tests.support.commands import Ended
from tests.support.tiny import read_csv, write_study

Dae = Callable[..., Ended]
Array = NDArray[Any]

PHOTOGRAPHS = {
    "dataset": "photographs",
    "model": {"hidden": [4]},
    "pretrain": {"learning_rate": 0.01, "epochs": 1, "loss": "squared-error"},
    "patches": {"side": 8, "count": 200},
}


def noise(height: int, width: int, seed: int = 0) -> Array:
    """Grey noise."""
    return np.random.default_rng(seed).integers(256, size=(height, width), dtype=np.uint8)


def save(**photographs: Array) -> Path:
    """Save photographs as .png in the folder photos."""
    Path("photos").mkdir(exist_ok=True)
    for name, grey in photographs.items():
        Image.fromarray(grey).save(f"photos/{name}.png")
    return Path("photos")


def digest(**photographs: Array) -> str:
    """The identity of photographs: SHA-256 of names, sizes and grey pixels."""
    found = sha256()
    for name, grey in photographs.items():
        found.update(f"{name}.png\n{grey.shape[0]} {grey.shape[1]}\n".encode() + grey.tobytes())
    return found.hexdigest()


def whitened(grey: Array, cutoff: float) -> Array:
    """Multiply the spectrum of the mirrored photograph by f · exp(−(f/f₀)⁴)."""
    whole = np.block([[grey, grey[:, ::-1]], [grey[::-1], grey[::-1, ::-1]]]).astype(float)
    down, across = np.meshgrid(*(np.fft.fftfreq(n) for n in whole.shape), indexing="ij")
    f = np.sqrt(down**2 + across**2)
    image = np.fft.ifft2(np.fft.fft2(whole) * f * np.exp(-((f / cutoff) ** 4))).real
    return image[: grey.shape[0], : grey.shape[1]]


def test_patches_are_cut_at_uniform_places_of_whitened_photographs() -> None:
    photographs = {"a": noise(20, 30), "b": noise(17, 12, 1), "c": noise(9, 9, 2)}
    folder = save(**photographs)
    for whitening, cutoff, deviation in (
        ("olshausen-field", 0.4, 1.0),
        ("olshausen-field", 0.2, 0.3),
        ("none", 0.4, 0.316),
    ):
        windows = []
        for grey in photographs.values():
            image = grey.astype(float) if whitening == "none" else whitened(grey, cutoff)
            image = (image - image.mean()) / image.std()
            windows.append(np.lib.stride_tricks.sliding_window_view(image, (6, 6)).reshape(-1, 36))
        places = np.concatenate(windows)
        expected = places[np.random.default_rng(7).integers(len(places), size=700)]
        expected = expected - expected.mean(axis=0)
        expected *= deviation / np.sqrt((expected**2).mean())
        source, identity, patches = patches_of(
            folder, side=6, count=700, whitening=whitening, cutoff=cutoff, deviation=deviation
        )
        assert patches.shape == (700, 36)
        assert patches.dtype == np.float32
        np.testing.assert_allclose(patches, expected, atol=1e-5)
        assert identity == digest(**photographs)
        assert "3" in source
        assert str(folder) in source


def test_the_shipped_photographs_are_scenes_and_not_textures() -> None:
    source, identity, patches = patches_of(None, count=2000, side=12)
    assert "9" in source
    assert identity == "59bb1dc26514d0c8d3ccd6d1f4f8f40bc034d69bf6b64b390ce97d4cb33e24f3"
    assert np.abs(patches.mean(axis=0)).max() < 1e-6
    assert (patches.astype(float) ** 2).mean() == pytest.approx(1, rel=1e-5)
    figures = [float(patches[0, 0]), float(patches[-1, -1]), float(np.abs(patches).mean())]
    assert figures == pytest.approx([-0.317274, -0.342247, 0.557676], rel=1e-3)
    assert not np.array_equal(patches, patches_of(None, seed=8, count=2000, side=12)[2])


def test_a_folders_photographs_are_read_in_the_order_of_their_names() -> None:
    one, two = noise(20, 30), noise(20, 31, 1)
    folder = save(b=one, C=two)
    (folder / "C.png").rename(folder / "C.PNG")
    colours = np.stack([one, two[:, 1:], one[::-1]], axis=2)
    Image.fromarray(colours).save(folder / "a.bmp")
    (folder / "notes.txt").write_text("no photograph")
    (folder / "inside").mkdir()
    Image.fromarray(one).save(folder / "inside" / "d.png")
    grey = (colours.astype(int) @ [299, 587, 114] + 500) // 1000
    (folder / "._a.bmp").write_bytes(b"\0\5\x16\7")  # archivers create such files next to a.bmp
    (folder / "b.jpg").mkdir()
    expected = sha256()
    for name, pixels in (("C.PNG", two), ("a.bmp", grey.astype(np.uint8)), ("b.png", one)):
        expected.update(f"{name}\n{pixels.shape[0]} {pixels.shape[1]}\n".encode())
        expected.update(pixels.tobytes())
    assert patches_of(folder, side=5, count=100)[1] == expected.hexdigest()


GREYS = np.arange(256, dtype=np.uint8).reshape(16, 16)


def pgm(values: Array, maximum: int) -> bytes:
    """A PGM with two bytes per value."""
    height, width = values.shape
    return f"P5 {width} {height} {maximum}\n".encode() + values.astype(">u2").tobytes()


@pytest.mark.parametrize(
    ("name", "values", "top"),
    [
        ("16-bits.png", GREYS * np.uint16(257), 65535),
        ("16-bits.tif", GREYS * np.uint16(257), 65535),
        ("12-bits-in-16.tiff", GREYS * np.uint16(16), 4095),
        ("14-bits-in-16.png", GREYS * np.uint16(64), 16383),
        ("8-bits-in-16.png", GREYS * np.uint16(1), 255),
        ("32-bits.tif", GREYS * np.int32(4000), 2**20 - 1),
        ("of-1.tif", GREYS / np.float32(255), 1),
        ("of-1000.tif", GREYS * np.float32(4), 1020),
        ("black.tif", GREYS * np.float32(0), 1),
        ("12-bits.pgm", GREYS * np.uint16(16), 4095),
        ("10-bits.pgm", GREYS * np.uint16(4), 1023),
    ],
)
def test_greys_of_more_than_8_bits_are_scaled_and_none_is_clipped(
    name: str, values: Array, top: int
) -> None:
    folder = save(other=noise(16, 16))
    if name.endswith(".pgm"):
        (folder / name).write_bytes(pgm(values, top))
    else:
        Image.fromarray(values).save(folder / name)
    grey = np.rint(values.astype(float) * 255 / top).astype(np.uint8)
    files = sorted([(name, grey), ("other.png", noise(16, 16))], key=lambda file: file[0])
    expected = b"".join(f"{file}\n16 16\n".encode() + pixels.tobytes() for file, pixels in files)
    assert patches_of(folder, side=5, count=100)[1] == sha256(expected).hexdigest()


def png_of_16_bits_a_colour(values: Array) -> bytes:
    """A PNG with 16 bits per colour, of values (height, width, 3)."""
    height, width, _ = values.shape
    lines = b"".join(b"\0" + line.astype(">u2").tobytes() for line in values)
    chunks = (
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(lines)),
        (b"IEND", b""),
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )


COLOURS = np.stack([GREYS, GREYS.T, GREYS[::-1]], axis=2)


def tiff(values: Array, tags: dict[int, int]) -> bytes:
    """An uncompressed TIFF of one strip, with additional or changed tags."""
    height, width = values.shape
    usual = {256: width, 257: height, 258: 8 * values.itemsize, 259: 1, 262: 1, 277: 1, 278: height}
    entries = usual | {279: values.nbytes, 273: 0} | tags
    start = 8 + 2 + 12 * len(entries) + 4
    lines = [struct.pack("<HHII", t, 4, 1, v) for t, v in sorted((entries | {273: start}).items())]
    head = b"II*\0" + struct.pack("<IH", 8, len(lines))
    return (
        head + b"".join(lines) + bytes(4) + values.astype(values.dtype.newbyteorder("<")).tobytes()
    )


def test_colours_of_16_bits_are_cut_to_8() -> None:
    folder = save(a=COLOURS)
    grey = (COLOURS.astype(int) @ [299, 587, 114] + 500) // 1000
    expected = digest(a=grey.astype(np.uint8))
    assert patches_of(folder, side=5, count=100)[1] == expected
    (folder / "a.png").write_bytes(png_of_16_bits_a_colour(COLOURS * np.uint16(257)))
    assert patches_of(folder, side=5, count=100)[1] == expected


def test_an_opaque_photograph_may_say_so() -> None:
    folder = save(a=GREYS)
    opaque = np.full_like(GREYS, 255)
    for values in (np.dstack([GREYS, opaque]), np.dstack([GREYS, GREYS, GREYS, opaque])):
        Image.fromarray(values).save(folder / "a.png")
        assert patches_of(folder, side=5, count=100)[1] == digest(a=GREYS)


@pytest.mark.parametrize(
    ("name", "content", "parts"),
    [
        ("a.png", np.dstack([COLOURS, GREYS]), ["transparent"]),
        ("a.webp", np.dstack([COLOURS, GREYS]), ["transparent"]),
        ("a.tif", np.dstack([GREYS, GREYS]), ["transparent"]),
        ("key.png", GREYS, ["transparent"]),
        ("palette.png", Image.fromarray(COLOURS).quantize(16), ["transparent"]),
        ("key-16.png", GREYS * np.uint16(257), ["transparent"]),
        ("below.tif", GREYS * np.int32(9) - np.int32(5), ["-5", "2290"]),
        ("unknown.tif", np.where(GREYS == 7, np.float32("nan"), GREYS), ["nan"]),
        ("endless.tif", np.where(GREYS == 7, np.float32("inf"), GREYS), ["inf"]),
        ("dark.png", png_of_16_bits_a_colour(COLOURS * np.uint16(16)), ["16 bits", "15 of 255"]),
        ("signed.tif", tiff(GREYS, {339: 2}), ["signed"]),
        ("white-is-0.tif", tiff(GREYS * np.uint16(257), {262: 0}), ["white", "black as 0"]),
        ("of-32-bits.tif", tiff(GREYS * np.uint32(2**24), {}), ["32 bits"]),
        ("hot.tif", np.where(GREYS == 7, np.float32(5000), GREYS / 255), ["5000", "black"]),
        ("hot.png", np.where(GREYS == 7, np.uint16(65535), GREYS), ["65535", "black"]),
    ],
)
def test_photographs_that_cannot_be_converted_to_greys_are_refused(
    name: str, content: Any, parts: list[str]
) -> None:
    folder = save(other=noise(16, 16))
    if isinstance(content, bytes):
        (folder / name).write_bytes(content)
    else:
        image = content if isinstance(content, Image.Image) else Image.fromarray(content)
        if name.startswith(("key", "palette")):
            image.save(folder / name, transparency=0)
        else:
            image.save(folder / name)
    with pytest.raises(DaeError) as refused:
        patches_of(folder, side=5, count=100)
    for part in (f"photos/{name}", *parts):
        assert part in str(refused.value)


def test_results_name_the_photographs_by_their_digest(dae: Dae, tmp_path: Path) -> None:
    write_study(tmp_path, "nature", {"ae": PHOTOGRAPHS}, shared={})
    photographs = {"a": noise(20, 30), "b": noise(20, 20, 1)}
    save(**photographs)
    ended = dae("replicate", "nature", "--photos", "photos").succeeded()
    assert "photos" in ended.message
    (row,) = read_csv(Path("results/nature/runs.csv"))
    assert (row["dataset"], row["data_origin"]) == ("photographs", "own")
    assert row["data_sha256"] == digest(**photographs)


def test_learning_is_animated_on_the_photographs_of_the_run_or_not_at_all(
    dae: Dae, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "numba", None)  # compiling would take ten seconds
    write_study(tmp_path, "nature", {"ae": PHOTOGRAPHS}, shared={})
    save(a=noise(20, 30))
    run = dae("train", "nature/ae", "--photos", "photos").succeeded().lines[-1]
    animate = ("filters", run, "--animate", "learning.gif")
    refused = dae(*animate).failed(2, run, "--photos", digest(a=noise(20, 30))[:12])
    assert "scikit-image" in refused.message
    dae(*animate, "--photos", "photos").succeeded()
    Path("learning.gif").unlink()
    save(b=noise(20, 20, 1))
    dae(*animate, "--photos", "photos").failed(2, run, "2 photographs in photos")
    Path("photos/b.png").unlink()
    save(a=noise(20, 30, 2))
    dae(*animate, "--photos", "photos").failed(2, run)
    assert not Path("learning.gif").exists()


def test_photographs_that_cannot_be_used_are_named_with_the_remedy(
    dae: Dae, tmp_path: Path
) -> None:
    write_study(tmp_path, "nature", {"ae": PHOTOGRAPHS}, shared={})

    def refused(*parts: str, code: int = 2) -> None:
        dae("train", "nature/ae", "--photos", "photos").failed(code, *parts)

    refused("--photos", "photos")
    Path("photos").mkdir()
    refused("photos", ".png", ".jpg")
    save(flat=np.full((30, 30), 7, np.uint8))
    refused("photographs", code=1)
    save(small=noise(30, 7))
    refused("small.png", "7 x 30", "8 x 8", "patches.side", code=1)
    Path("photos/small.png").unlink()
    save(one=noise(8, 8), two=noise(8, 8, 1))
    dae("train", "nature/ae", "--photos", "photos").succeeded()
    Path("photos/broken.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    refused("photos/broken.png")


def test_photographs_that_changed_since_the_command_began_are_refused() -> None:
    folder = save(a=noise(20, 20), b=noise(20, 20, 1))
    with pytest.raises(DaeError, match=r"photos.*run the command again"):
        patches_of(folder, meanwhile=(folder / "b.png").unlink, side=5, count=100)
    with pytest.raises(DaeError, match="photos"):
        patches_of(folder, meanwhile=(folder / "a.png").unlink, side=5, count=100)


def test_filters_of_digits_are_trained_on_mnists_60_000_training_digits(test_data: Path) -> None:
    images, labels = filter_digits(test_data, None)
    assert images.shape == (60_000, 784)
    assert labels[:5].tolist() == [5, 0, 4, 1, 9]
    assert (images[:100].min(), images[:100].max()) == (0.0, 1.0)
    few, few_labels = filter_digits(test_data, 6)
    np.testing.assert_array_equal(few, images[::10_000])
    np.testing.assert_array_equal(few_labels, labels[::10_000])
