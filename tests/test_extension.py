"""Adding a corruption, a layer or a data set takes the files that docs/architecture.md names."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from tests.support.children import ROOT
from tests.support.tiny import STUDY, read_csv, write_study

PROGRAM = """\
import json, sys
from dae_cli.commands.app import app
for words in json.loads(sys.argv[1]):
    if code := app(words, prog_name="dae", standalone_mode=False):
        sys.exit(code)
"""

Extended = Callable[..., str]


@pytest.fixture
def extended(tmp_path: Path) -> Extended:
    """Change files in a copy of the product, and run commands of the copy in a separate process."""
    product = tmp_path / "product"
    for name in ("dae_cli", "experiments"):
        shutil.copytree(ROOT / name, product / name, ignore=shutil.ignore_patterns("__pycache__"))

    def run(changes: Mapping[str, Mapping[str, str]], *commands: tuple[str, ...]) -> str:
        for name, replaced in changes.items():
            path = product / "dae_cli" / name
            text = path.read_text(encoding="utf-8") if path.exists() else ""
            for before, after in replaced.items():
                assert text.count(before) == 1 or not text, f"{name}: {before}"
                text = text.replace(before, after) if text else after
            path.write_text(text, encoding="utf-8")
        ended = subprocess.run(
            [sys.executable, "-P", "-c", PROGRAM, json.dumps(commands)],
            env={**os.environ, "PYTHONPATH": str(product)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert ended.returncode == 0, ended.stderr
        return ended.stdout

    return run


INVERTING = {
    "models/corruption.py": {
        "class Corruption(Protocol):": '''@dataclass(frozen=True)
class Inverting:
    """Puts 1 − x in the place of exactly round(ν·d) components x."""

    destruction: float

    def corrupt(self, clean: Array, random: np.random.Generator, out: Array) -> None:
        """Write `clean` (m, d) with round(ν·d) components a row inverted into `out` (m, d)."""
        chosen = choose_exactly(round(self.destruction * clean.shape[1]), clean.shape, random)
        np.copyto(out, np.where(chosen, 1 - clean, clean))


class Corruption(Protocol):''',
        '"gaussian": Gaussian,': '"gaussian": Gaussian,\n    "inverting": Inverting,',
        "type[Masking | SaltAndPepper | Gaussian]": (
            "type[Masking | SaltAndPepper | Gaussian | Inverting]"
        ),
    },
    "config/schema.py": {
        '"masking": CorruptionKind("{:g} % destroyed"),': (
            '"masking": CorruptionKind("{:g} % destroyed"),\n'
            '    "inverting": CorruptionKind("{:g} % inverted", "inverting"),'
        )
    },
}


@pytest.mark.usefixtures("tiny")
def test_a_corruption_takes_two_files_and_is_known_to_runs_and_reports(extended: Extended) -> None:
    assert len(INVERTING) <= 3
    cells: dict[str, Any] = {
        "inverted": {"corruption": {"kind": "inverting", "destruction": 0.25}},
        "masked": {"corruption": {"destruction": 0.25}},
    }
    write_study(Path(), "noise", cells)
    replicate = ("replicate", "noise", "--engine", "torch", "--jobs", "1")
    extended(INVERTING, replicate, ("filters", "noise/inverted", "--out", "filters.svg"))
    rows = read_csv(Path("results/noise/runs.csv"))
    assert [row["error"] for row in rows] == ["", ""]
    assert rows[0]["run"].startswith("rect-sda2-inverting25-s0-")
    assert rows[1]["run"].startswith("rect-sda2-25-s0-")
    assert "25 % inverted" in Path("filters.svg").read_text(encoding="utf-8")
    report = Path("results/noise/REPORT.md").read_text(encoding="utf-8")
    assert "corruption: {kind: inverting, destruction: 0.25}" in report


HALVED = {
    "models/halved.py": {
        "": '''"""Autoencoders whose steps are half as long."""

from dae_cli.models.autoencoder import Autoencoder


class Halved(Autoencoder):
    def sgd_step(self, batch, learning_rate):
        return super().sgd_step(batch, learning_rate / 2)
'''
    },
    "config/schema.py": {
        'LAYERS = {"autoencoder": LayerKind(),': (
            'LAYERS = {"autoencoder": LayerKind(), "halved": LayerKind(stacked="Halved"),'
        )
    },
    "training/state.py": {
        "from dae_cli.models.layers": (
            "from dae_cli.models.halved import Halved\nfrom dae_cli.models.layers"
        ),
        "    return Autoencoder(": """    if settings.kind == "halved":
        return Halved(*parameters)
    return Autoencoder(""",
    },
}


@pytest.mark.slow
@pytest.mark.usefixtures("tiny")
def test_a_kind_of_layer_takes_three_files_and_without_kernels_steps_in_torch(
    extended: Extended,
) -> None:
    assert len(HALVED) <= 4
    cells: dict[str, Any] = {
        "halved": {"pretrain": {"kind": "halved", "learning_rate": 0.2}},
        "usual": {"pretrain": {"learning_rate": 0.1}},
    }
    write_study(Path(), "layers", cells)
    options = ("--jobs", "1", "--engine")
    extended(
        HALVED,
        ("replicate", "layers", *options, "torch", "--out", "torch"),
        ("replicate", "layers", *options, "compiled", "--out", "compiled", "--only", "halved"),
    )
    halved, usual = (Path("torch/runs") / row["run"] for row in read_csv(Path("torch/runs.csv")))
    assert halved.name.startswith("rect-halved2-")
    layers = [load_file(run / "checkpoint.safetensors") for run in (halved, usual)]
    assert all(
        np.array_equal(layers[0][name], layers[1][name])
        for name in layers[1]
        if name.startswith("pretrained.")
    )
    compiled = load_file(Path("compiled/runs") / halved.name / "checkpoint.safetensors")
    for name in ("pretrained.1.weight", "pretrained.2.weight"):
        np.testing.assert_allclose(compiled[name], layers[0][name], rtol=0, atol=1e-5)


STRIPES = {
    "data/datasets.py": {
        "for spec in (*_BENCHMARK, MNIST)": "for spec in (*_BENCHMARK, MNIST, STRIPES)",
        "DATASETS: dict": """STRIPES = DatasetSpec(
    "stripes", n_classes=3, n_train=90, n_valid=40, n_test=60, levels=1, image=(12, 10)
)

DATASETS: dict""",
    }
}


def write_stripes(folder: Path) -> None:
    """Write stripes.npz: horizontal, vertical or diagonal stripes of 12 rows and 10 columns."""
    random = np.random.default_rng(0)
    row, column = np.indices((12, 10))
    arrays: dict[str, Any] = {}
    for images, labels, count in (("X", "Y", 130), ("Xtest", "Ytest", 60)):
        classes, shift = random.integers(0, 3, count), random.integers(0, 4, count)
        across = np.stack([row, column, row + column])[classes] + shift[:, None, None]
        arrays[images] = (across % 4 < 2).reshape(count, 120).astype(np.uint8)
        arrays[labels] = classes.astype(np.uint8)
    folder.mkdir()
    np.savez(folder / "stripes.npz", allow_pickle=False, **arrays)


def test_a_data_set_with_other_images_and_classes_takes_one_file(extended: Extended) -> None:
    assert len(STRIPES) <= 2
    write_stripes(Path("mine"))
    finetune = {"learning_rate": 0.5, "max_epochs": 20, "patience": 20, "batch_size": 5}
    shared = STUDY["shared"] | {"dataset": "stripes", "finetune": finetune}
    del shared["subset"]
    write_study(Path(), "stripes", shared=shared)
    options = ("--data-dir", "mine", "--engine", "torch", "--jobs", "1")
    extended(
        STRIPES,
        ("replicate", "stripes", *options),
        ("verify", "stripes", "--data-dir", "mine"),
        ("filters", "stripes/rect-25", "--out", "filters.png"),
    )
    rows = read_csv(Path("results/stripes/runs.csv"))
    assert [(row["dataset"], row["n_test"], row["error"]) for row in rows] == [
        ("stripes", "60", "")
    ] * 2
    assert all(float(row["test_error_percent"]) < 50 for row in rows)  # chance: 67
    checkpoint = next(Path("results/stripes").rglob("checkpoint.safetensors"))
    tensors = load_file(checkpoint)
    assert tensors["pretrained.1.weight"].shape == (12, 120)
    assert tensors["best.top.bias"].shape == (3,)
