"""Random numbers and results that must not change, on any machine.

The digests protect every refactoring. A changed digest means that the same settings and data give
different results than before, which requires a new NUMERICS_VERSION.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import llvmlite.binding
import numpy as np
import pytest
import safetensors.numpy
from numpy.typing import NDArray

from tests.entry_points.training import (
    corrupted,
    has_engine,
    initial_parameters,
    order,
    stream_of,
    toy_settings,
)
from tests.support.children import Child
from tests.support.commands import Ended
from tests.support.compare import assert_same_results
from tests.support.tiny import STUDY, read_csv, write_study


def digest(*arrays: NDArray[Any]) -> str:
    sha256 = hashlib.sha256()
    for array in arrays:
        sha256.update(f"{array.dtype.str}{array.shape}".encode())
        sha256.update(np.ascontiguousarray(array).tobytes())
    return sha256.hexdigest()[:16]


# Random numbers


def test_streams_give_these_numbers_on_every_machine() -> None:
    assert stream_of("CORRUPTION", 0, 1, 2).bit_generator.random_raw(4).tolist() == [
        4567353389064756145,
        17920964593334632391,
        3980112082519100965,
        15222482303531979035,
    ]
    assert order("PRETRAIN_ORDER", 10, 0, 1, 2) == [4, 1, 2, 9, 3, 8, 6, 5, 7, 0]
    assert digest(np.array(order("FINETUNE_ORDER", 1000, 7, 3))) == "cd0b716e1965eee4"
    assert digest(np.array(order("PRETRAIN_ORDER", 1000, 7, 1, 3))) == "f47b4cfdaa0dc151"
    assert (
        digest(stream_of("GIBBS", 5, 1, 2).random((20, 31), dtype=np.float32)) == "9f080c19e2d9b93d"
    )
    assert digest(stream_of("PATCHES", 5).bit_generator.random_raw(1000)) == "e05268027e6188fa"


def test_the_initial_weights_are_these() -> None:
    for model, expected in (
        ({"hidden": (12, 10)}, "255c269df358b3eb"),
        ({"hidden": (12, 10), "init": "tutorial", "tied": False}, "d1409a4cf0d06ec4"),
    ):
        parameters = initial_parameters(toy_settings(model=model, seed=3), 784)
        assert digest(*parameters.values()) == expected


def test_the_corruption_is_this() -> None:
    clean = np.random.default_rng(0).random((7, 784), dtype=np.float32)
    for corruption, expected in (
        ({"kind": "masking", "destruction": 0.25}, "6c495fa34e929f81"),
        ({"kind": "salt-and-pepper", "destruction": 0.25}, "e9598b840b2cef16"),
        (
            {"kind": "salt-and-pepper", "destruction": 0.1, "pepper": -2.0, "salt": 3.0},
            "3e7375676beada3f",
        ),
        ({"kind": "gaussian", "sigma": 0.3}, "a451ae5a88e83a26"),
    ):
        settings = toy_settings() | {"corruption": corruption}
        assert digest(corrupted(settings, clean, 3, 1, 2)) == expected, corruption


# Results of training


SHARED: dict[str, Any] = STUDY["shared"] | {
    "pretrain": {"learning_rate": 0.005, "epochs": 2},
    "finetune": {"learning_rate": 0.2, "max_epochs": 7, "patience": 7, "batch_size": 7},
}
CELLS: dict[str, dict[str, Any]] = {
    "masking": {"corruption": {"destruction": 0.25}},
    "untied": {
        "corruption": {"destruction": 0.1},
        "model": {"hidden": [17], "tied": False, "init": "tutorial"},
        "pretrain": {"weight_decay": 0.01},
    },
    "pepper": {"corruption": {"kind": "salt-and-pepper", "destruction": 0.25}},
    "gaussian": {
        "corruption": {"kind": "gaussian", "sigma": 0.3},
        "pretrain": {"loss": "squared-error", "learning_rate": 0.002},
    },
    "rbm": {"pretrain": {"kind": "rbm", "gibbs_steps": 2, "persistent": True}},
    "tuned": {
        "pretrain": {"epochs": 0},
        "finetune": {"window": 2, "decrease": 0.1, "weight_decay": 0.001},
    },
}
BITS = {
    "masking": "29bf579a2351d93c",
    "untied": "0adce6116ccdf807",
    "pepper": "273a8f39439a55b2",
    "gaussian": "5ed6850e5b49d259",
    "rbm": "b9a75d28cdf5f83e",
    "tuned": "45309519dcb89f36",
}
"""Digests of each cell's parameters, for kernels compiled for any processor."""
COUNTS = {
    "masking": ("32", "10.00", "3"),
    "untied": ("32", "10.00", "1"),
    "pepper": ("32", "10.00", "3"),
    "gaussian": ("32", "10.00", "3"),
    "rbm": ("32", "10.00", "6"),
    "tuned": ("32", "10.00", "6"),
}
"""Number of wrong test rows, validation error and best epoch of each cell."""

NO_AVX512 = {
    "NUMBA_CPU_NAME": "haswell",
    "NUMBA_CPU_FEATURES": "+avx,+avx2,+fma,+f16c,+bmi,+bmi2,+sse4.2,+popcnt,+lzcnt,-avx512f",
}
"""Settings that make Numba compile for a processor without AVX-512."""


def bits_of(results: Path) -> dict[str, str]:
    """Digests of each cell's final parameters in the order of their names."""
    found = {}
    for row in read_csv(results / "runs.csv"):
        path = results / "runs" / row["run"] / "checkpoint.safetensors"
        tensors = safetensors.numpy.load(path.read_bytes())
        found[row["cell"]] = digest(*(tensors[name] for name in sorted(tensors)))
    return found


def counts_of(results: Path) -> dict[str, tuple[str, str, str]]:
    table = {row["cell"]: row for row in read_csv(results / "table.csv")}
    runs = read_csv(results / "runs.csv")
    assert [row["n_wrong"] for row in runs] == [table[row["cell"]]["n_wrong"] for row in runs]
    return {
        row["cell"]: (row["n_wrong"], row["valid_error_percent"], row["best_epoch"]) for row in runs
    }


@pytest.fixture
def study(tmp_path: Path, tiny_data: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write a study of all cells; returns the path of its future results."""
    write_study(tmp_path, "bits", CELLS, shared=SHARED)
    monkeypatch.setenv("DAE_DATA_DIR", str(tiny_data))
    return tmp_path / "results" / "bits"


@pytest.mark.timeout(300)
def test_compiled_ends_at_these_bits_and_torch_within_rounding_of_them(
    dae: Callable[..., Ended], study: Path
) -> None:
    if not has_engine("compiled"):
        pytest.skip("the engine compiled is not available")
    dae("replicate", "bits", "--engine", "compiled").succeeded()
    compiled = study.rename(study.with_name("compiled"))
    assert {row["engine"] for row in read_csv(compiled / "runs.csv")} == {"compiled"}
    dae("replicate", "bits", "--engine", "torch").succeeded()
    assert counts_of(study) == counts_of(compiled)
    for path in sorted(study.glob("runs/*/checkpoint.safetensors")):
        there = compiled / path.relative_to(study)
        ours, theirs = (safetensors.numpy.load(p.read_bytes()) for p in (path, there))
        assert ours.keys() == theirs.keys()
        for name, array in ours.items():
            np.testing.assert_allclose(theirs[name], array, rtol=1e-4, atol=2e-5, err_msg=name)
        rows = zip(*(read_csv(p.with_name("metrics.csv")) for p in (path, there)), strict=True)
        for one, other in rows:
            assert float(other["cost"]) == pytest.approx(float(one["cost"]), rel=1e-5)
            assert one | {"cost": ""} == other | {"cost": ""}
    assert (bits_of(compiled), counts_of(compiled)) == (BITS, COUNTS)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_compiled_without_avx512_ends_at_the_same_bits(
    child: Callable[..., Child], dae: Callable[..., Ended], study: Path, tmp_path: Path
) -> None:
    if not llvmlite.binding.get_host_cpu_features().get("avx2"):
        pytest.skip("this processor has no AVX2")
    wide = {"pretrain": {"epochs": 1}, "finetune": {"max_epochs": 1, "patience": 1}}
    cells = CELLS | {"wide": wide | {"model": {"hidden": [1000, 1000, 1000]}}}
    write_study(tmp_path, "bits", cells, shared=SHARED)
    environment = NO_AVX512 | {"DAE_CACHE_DIR": str(tmp_path / "cache")}
    how: Mapping[str, Any] = {"environment": environment, "executed": True}
    child("replicate", "bits", "--engine", "compiled", **how).wait(250).succeeded()
    without = study.rename(study.with_name("without"))
    dae("replicate", "bits", "--engine", "compiled").succeeded()
    assert bits_of(without) == bits_of(study)
    assert bits_of(without) | BITS == bits_of(without)


def test_two_jobs_give_the_same_files_as_one(
    dae: Callable[..., Ended], tiny: Path, finished: tuple[Path, Ended]
) -> None:
    dae("replicate", "tiny", "--jobs", "2").succeeded()
    assert_same_results(tiny, finished[0])
