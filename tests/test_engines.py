"""Engines compared with torch in double precision, by step and by epoch; cached kernels."""

from __future__ import annotations

import json
import math
import os
import pickle
import stat
import subprocess
import sys
from collections.abc import Callable
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from tests.entry_points.equations import (
    ENGINES,
    AutoencoderSteps,
    ConfigError,
    IdleSteps,
    NetworkSteps,
    RbmSteps,
    codes,
    engine_for,
    run_cached_function,
    scores,
    write_cached_function,
)
from tests.support.children import ROOT

pytestmark = pytest.mark.usefixtures("one_thread")

EPSILON = torch.finfo(torch.float32).eps


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(params=ENGINES, scope="session")
def engine(request: pytest.FixtureRequest) -> str:
    """Each engine; skipped if this machine does not support it."""
    return supported(request.param)


def supported(name: str) -> str:
    """Return the engine's name; skips the test if this machine does not support it."""
    try:
        engine_for(name, torch.device("cpu"))
    except ConfigError as error:
        pytest.skip(str(error))
    return name


def test_engines_of_the_cpu_are_refused_on_another_device_with_a_remedy() -> None:
    assert engine_for("torch", torch.device("meta")).device.type == "meta"
    with pytest.raises(ConfigError) as raised:
        engine_for("compiled", torch.device("meta"))
    for part in ("--engine compiled", "--device cpu", "--engine torch"):
        assert part in str(raised.value)


# Steps of training

sizes = st.integers(1, 70)


def layer(hidden: int, d: int, tied: bool = True) -> dict[str, Tensor]:
    named = {
        "weight": normal(hidden, d, seed=1) / math.sqrt(d),
        "hidden_bias": normal(hidden, seed=2) / 4,
        "visible_bias": normal(d, seed=3) / 4,
    }
    return named if tied else named | {"decoder_weight": normal(d, hidden, seed=4) / hidden}


def double(named: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.double() for name, tensor in named.items()}


def near(ours: Any, exact: Any, steps: int = 1) -> None:
    """Compare parameters near 1 after some steps; the tolerance grows with each step."""
    torch.testing.assert_close(ours, exact, rtol=0, atol=2e-6 * steps, check_dtype=False)


@given(st.integers(1, 30), sizes, sizes, st.booleans(), st.booleans(), st.booleans(), st.booleans())
@example(161, 33, 23, True, True, False, False)
@example(60, 784, 11, True, True, False, False)
@example(3, 1601, 7, False, True, True, True)
def test_a_pretraining_step_of_any_size_is_that_of_torch_in_double_precision(
    engine: str, m: int, d: int, hidden: int, tied: bool, entropy: bool, decay: bool, contract: bool
) -> None:
    how: dict[str, Any] = {
        "loss": "cross-entropy" if entropy else "squared-error",
        "weight_decay": 0.3 if decay else 0.0,
        "contraction": 0.2 if contract else 0.0,
    }
    ours = AutoencoderSteps(layer(hidden, d, tied), engine, **how)
    exact = AutoencoderSteps(double(layer(hidden, d, tied)), **how)
    for step, rows in enumerate((m, 1 + m // 2, m)):
        clean = torch.sigmoid(normal(rows, d, seed=2 * step))
        corrupted = clean * (normal(rows, d, seed=2 * step + 1) > -0.6)
        cost = ours.take(clean, corrupted, 0.1).item()
        expected = exact.take(clean.double(), corrupted.double(), 0.1).item()
        assert cost == pytest.approx(expected, rel=1e-5)
        near(ours.parameters, exact.parameters, 1 + step + rows * d // 10_000)


def test_a_kind_of_layer_that_an_engine_does_not_know_takes_its_own_steps(engine: str) -> None:
    start = layer(5, 9)
    steps, clean = IdleSteps(start, engine), normal(3, 9)
    assert steps.take(clean, clean, 0.1).item() == pytest.approx(clean.sum().item())
    assert all(torch.equal(steps.parameters[name], tensor) for name, tensor in start.items())
    assert torch.equal(steps.codes(clean), clean[:, :5])


def stack(*widths: int) -> list[tuple[Tensor, Tensor]]:
    pairs = list(pairwise(widths))
    return [(normal(n, m, seed=n) / math.sqrt(m), normal(n, seed=m)) for m, n in pairs]


@given(st.integers(1, 30), sizes, st.lists(sizes, min_size=1, max_size=3), st.integers(2, 11))
def test_a_step_of_fine_tuning_of_any_size_is_that_of_torch_in_double_precision(
    engine: str, m: int, d: int, hidden: list[int], classes: int
) -> None:
    net = stack(d, *hidden, classes)
    exactly = [(weight.double(), bias.double()) for weight, bias in net]
    ours, exact = (NetworkSteps(net, engine, 0.1), NetworkSteps(exactly, "torch", 0.1))
    for step in (1, 2):
        inputs, labels = torch.sigmoid(normal(m, d, seed=step)), torch.arange(m) % classes
        cost = ours.take(inputs, labels, 0.1).item()
        assert cost == pytest.approx(exact.take(inputs.double(), labels, 0.1).item(), rel=1e-5)
        near(ours.layers, exact.layers, step)
    near(scores(net, inputs, engine), scores(exactly, inputs.double()), 3)
    p = {"weight": net[0][0], "hidden_bias": net[0][1], "visible_bias": torch.zeros(d)}
    near(codes("autoencoder", p, inputs, engine), codes("autoencoder", double(p), inputs.double()))


# Epochs: each step knows the next minibatch

PENALTIES = ((0.0, 0.0), (0.3, 0.0), (0.0, 0.2), (0.3, 0.2))
AUTOENCODERS = [
    {"tied": tied, "loss": loss, "weight_decay": decay, "contraction": contraction}
    for tied, loss in product((True, False), ("cross-entropy", "squared-error"))
    for decay, contraction in PENALTIES
]
RBMS = [
    {"gibbs_steps": k, "chains": chains, "sample_visible": sampled}
    for k, chains, sampled in product((1, 3), (0, 23), (True, False))
]
NETWORKS = [
    {"hidden": hidden, "weight_decay": decay} for hidden, decay in product((1, 2, 3), (0.0, 0.1))
]
SIZES = ((1, 1, 1), (90, 70, 1), (5, 17, 3), (49, 33, 23), (16, 32, 20), (211, 129, 20))
"""Values of d, hidden units and rows of a minibatch."""


def autoencoder_steps(d: int, hidden: int, engine: str, exactly: bool, **how: Any) -> Any:
    start = layer(hidden, d, how.pop("tied"))
    return AutoencoderSteps(double(start) if exactly else start, engine, **how)


def rbm_steps(d: int, hidden: int, engine: str, exactly: bool, **how: Any) -> Any:
    start = layer(hidden, d)
    return RbmSteps(double(start) if exactly else start, engine, **how)


def network_steps(d: int, units: int, engine: str, exactly: bool, hidden: int, **how: Any) -> Any:
    net = stack(d, *(units + 3 * k for k in range(hidden)), 5)
    exact = [(weight.double(), bias.double()) for weight, bias in net]
    return NetworkSteps(exact if exactly else net, engine, **how)


KINDS: dict[str, Callable[..., Any]] = {
    "autoencoder": autoencoder_steps,
    "rbm": rbm_steps,
    "network": network_steps,
}


def minibatch(kind: str, rows: int, d: int, number: int, exactly: bool) -> tuple[Any, ...]:
    dtype = torch.double if exactly else torch.float32
    clean = torch.sigmoid(normal(rows, d, seed=2 * number))
    if kind == "network":
        return clean.to(dtype), torch.arange(number, number + rows) % 5
    if kind == "autoencoder":
        corrupted = clean * (normal(rows, d, seed=2 * number + 1) > -0.6)
        return clean.to(dtype), corrupted.to(dtype)
    uniform = torch.Generator().manual_seed(number)
    return clean.to(dtype), lambda shape: torch.rand(shape, generator=uniform).to(dtype)


@pytest.mark.parametrize(
    ("kind", "how"),
    [
        *(("autoencoder", how) for how in AUTOENCODERS),
        *(("rbm", how) for how in RBMS),
        *(("network", how) for how in NETWORKS),
    ],
    ids=lambda value: value if isinstance(value, str) else "-".join(map(str, value.values())),
)
def test_an_epoch_is_that_of_torch_in_double_precision_and_looking_ahead_changes_no_bit(
    engine: str, kind: str, how: dict[str, Any]
) -> None:
    """Each step may use the next minibatch; the last minibatches are shorter."""
    make = KINDS[kind]
    for d, hidden, m in SIZES:
        rows = [*([m] * 4), 1 + m // 2, m]
        batches, exactly = (
            [minibatch(kind, n, d, k, double) for k, n in enumerate(rows)]
            for double in (False, True)
        )
        ours, exact = make(d, hidden, engine, False, **how), make(d, hidden, "torch", True, **how)
        apart = make(d, hidden, engine, False, **how)
        costs = zip(ours.epoch(batches, 0.1), exact.epoch(exactly, 0.1), strict=True)
        for number, (cost, expected) in enumerate(costs):
            assert cost.item() == pytest.approx(expected.item(), rel=1e-5)
            near(ours.parameters, exact.parameters, 2 + number)
            alone = apart.take(*minibatch(kind, rows[number], d, number, False), 0.1)
            assert alone.item() == cost.item()
            for name, tensor in apart.parameters.items():
                assert torch.equal(tensor, ours.parameters[name]), (name, number)


def test_steps_of_the_compiled_engine_allocate_no_array_once_warm() -> None:
    name = supported("compiled")
    m, d, hidden = 50, 300, 110
    tied, untied = {"tied": True}, {"tied": False, "loss": "squared-error"}
    kinds: list[tuple[str, Any]] = [
        ("autoencoder", autoencoder_steps(d, hidden, name, False, **tied)),
        ("autoencoder", autoencoder_steps(d, hidden, name, False, **untied)),
        ("rbm", rbm_steps(d, hidden, name, False, chains=m, gibbs_steps=2)),
        ("network", network_steps(d, hidden, name, False, hidden=2)),
    ]
    prepared = [
        (steps, *(steps.batch(k, *minibatch(kind, m, d, k, False)) for k in (0, 1)))
        for kind, steps in kinds
    ]

    def run() -> None:
        for steps, first, second in prepared:
            steps.step(first, second, 0.001)
            steps.step(second, first, 0.001)

    for _ in range(2):  # allocate memory and compile kernels
        run()
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        run()
        torch.rand(1000).add_(1)  # proves that an allocated array is detected
    profiler.export_chrome_trace("trace.json")
    events = json.loads(Path("trace.json").read_text(encoding="utf-8"))["traceEvents"]
    sizes = [event["args"]["Bytes"] for event in events if event["name"] == "[memory]"]
    assert [size for size in sizes if size > 16] == [4000]  # a scalar takes up to 16 bytes


# Memory: kernels write whole rows and nothing else


def guarded(rows: int, columns: int) -> tuple[Tensor, Callable[[], bool]]:
    """Rows in the compiled engine's layout, and a check that the memory around them is unchanged.

    The padding after each row is zero; the memory before the first and after the last row is NaN.
    """
    width = -(-columns // 16) * 16
    memory = torch.full((rows * width + 64,), math.nan)
    view = memory.as_strided((rows, columns), (width, 1), 32)
    memory[32:-32].zero_()

    def intact() -> bool:
        around = torch.cat((memory[:32], memory[-32:]))
        room = memory[32:-32].view(rows, width)[:, columns:]
        return bool(around.isnan().all()) and not room.any()

    return view, intact


@pytest.mark.parametrize(
    ("d", "hidden", "m"), [(1, 1, 1), (90, 70, 1), (17, 3, 5), (33, 49, 11), (100, 97, 23)]
)
def test_the_compiled_engine_writes_nothing_beside_its_operands_and_reads_nothing_there(
    d: int, hidden: int, m: int
) -> None:
    name, checks = supported("compiled"), []

    def rows_of(values: Tensor) -> Tensor:
        view, intact = guarded(*values.shape)
        checks.append(intact)
        return view.copy_(values)

    clean, labels = torch.sigmoid(normal(m, d)), torch.arange(m) % 3
    for tied in (True, False):
        steps = AutoencoderSteps(layer(hidden, d, tied), name)
        steps.replace_memory(rows_of)
        for cost in steps.epoch([(clean, clean)] * 3, 0.1):
            assert math.isfinite(cost.item())
    rbm = RbmSteps(layer(hidden, d), name, chains=m)
    rbm.replace_memory(rows_of)
    for cost in rbm.epoch([(clean, torch.rand)] * 3, 0.1):
        assert math.isfinite(cost.item())
    net = NetworkSteps(stack(d, hidden, hidden + 1, 3), name)
    net.replace_memory(rows_of)
    for cost in net.epoch([(clean, labels)] * 3, 0.1):
        assert math.isfinite(cost.item())
    assert len(checks) > 10 and all(intact() for intact in checks)


FAULTS: dict[str, Callable[[Tensor], Tensor]] = {
    "float64": lambda t: t.double(),
    "strides (18, 2)": lambda t: t.repeat_interleave(2, dim=1)[:, ::2],
    "strides (9, 1)": lambda t: t.contiguous(),
    "strides (1, 6)": lambda t: t.T.contiguous().T,
    "(6, 8)": lambda t: t[:, :8],
    "(5, 9)": lambda t: t[:5],
    "on meta": lambda t: t.to("meta"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_the_compiled_engine_refuses_memory_that_is_not_its_own(fault: str) -> None:
    steps = AutoencoderSteps(layer(4, 9), supported("compiled"))
    batch = steps.batch(0, torch.rand(6, 9), torch.rand(6, 9))
    batch.corrupted = FAULTS[fault](batch.corrupted)
    before = steps.parameters
    with pytest.raises(ValueError, match="expected float32") as raised:
        steps.step(batch, None, 0.1)
    assert fault in str(raised.value)
    assert all(torch.equal(tensor, before[key]) for key, tensor in steps.parameters.items())


# Activation functions over the whole range

EXTREMES = (0.0, 1e-8, 1e-3, 1.0, 20.0, 86.9, 90.0, 1e4, 1e30)


def cost_of(a: Tensor, x: Tensor) -> float:
    """Return Σ log(1 + eᵃ) − x a in double precision."""
    a, x = a.double(), x.double()
    return float((a.clamp(min=0) - x * a + torch.log1p(torch.exp(-a.abs()))).sum())


def sigmoid(engine: str, values: Tensor) -> Tensor:
    """The codes of units with zero inputs; their biases are `values`."""
    nothing = {"weight": torch.zeros(len(values), 1), "visible_bias": torch.zeros(1)}
    return codes("autoencoder", nothing | {"hidden_bias": values}, torch.zeros(1, 1), engine)[0]


def cross_entropy(engine: str, a: Tensor, x: Tensor) -> tuple[Tensor, float]:
    """The error x̂ − x and the cost of a decoder with zero codes, so that x̂ = sigm(a)."""
    start = {"weight": torch.zeros(1, len(a)), "hidden_bias": torch.zeros(1), "visible_bias": a}
    steps = AutoencoderSteps(start, engine)
    cost = steps.take(x[None], x[None], 1.0).item()
    return a - steps.parameters["visible_bias"], cost


def test_sigmoid_and_cross_entropy_are_accurate_over_the_whole_range(engine: str) -> None:
    for size, sign, clean in product(EXTREMES, (1, -1), (0.0, 0.3, 1.0)):
        a, x = torch.full((18,), sign * size), torch.full((18,), clean)
        code = sigmoid(engine, a).double()
        torch.testing.assert_close(code, torch.sigmoid(a.double()), rtol=4 * EPSILON, atol=2e-38)
        error, cost = cross_entropy(engine, a, x)
        # A cost that is negligible compared with a may be computed as 0.
        near_zero = 18 * (3e-8 + EPSILON * size)
        assert cost == pytest.approx(cost_of(a, x), rel=1e-6, abs=near_zero)
        torch.testing.assert_close(error.double(), code - x, rtol=0, atol=EPSILON * (2 + size))
    values = 30 * normal(5000)
    torch.testing.assert_close(
        sigmoid(engine, values).double(),
        torch.sigmoid(values.double()),
        rtol=4 * EPSILON,
        atol=2e-38,
    )
    for width in (1, 16, 784, 4801):
        a, x = 10 * normal(width), torch.sigmoid(normal(width, seed=1))
        assert cross_entropy(engine, a, x)[1] == pytest.approx(cost_of(a, x), rel=1e-6)


def test_infinity_and_nan_cost_no_finite_number_so_that_divergence_is_seen(engine: str) -> None:
    for value in (math.inf, -math.inf):
        assert not math.isfinite(
            cross_entropy(engine, torch.full((5,), value), torch.full((5,), 0.25))[1]
        )
        code = sigmoid(engine, torch.full((5,), value))
        torch.testing.assert_close(code, torch.full((5,), float(value > 0)), rtol=0, atol=2e-38)
    for width in (1, 16, 17, 40):
        for k in range(width):  # at every position of a vector
            broken, sound = torch.zeros(width), torch.full((width,), 0.5)
            broken[k] = math.nan
            assert torch.equal(sigmoid(engine, broken).isnan(), broken.isnan())
            error, cost = cross_entropy(engine, broken, sound)
            assert torch.equal(error.isnan(), broken.isnan()) and math.isnan(cost)
            assert math.isnan(cross_entropy(engine, sound, broken)[1])


def test_softmax_neither_overflows_nor_hides_nan(engine: str) -> None:
    weight = torch.zeros(3, 4)
    for scores_, label, expected in (
        ([1e30, 0.0, -1e30], 0, 0.0),
        ([-1e4, 0.0, 0.0], 0, 1e4 + math.log(2)),
        ([-80.0, -80.0, -80.0], 2, math.log(3)),
    ):
        net = [*stack(2, 4), (weight, torch.tensor(scores_))]
        cost = NetworkSteps(net, engine).take(torch.zeros(1, 2), torch.tensor([label]), 0.1)
        assert cost.item() == pytest.approx(expected, rel=1e-6, abs=1e-6)
    for k in range(3):
        bias = torch.zeros(3)
        bias[k] = math.nan
        steps = NetworkSteps([*stack(2, 4), (weight, bias)], engine)
        assert math.isnan(steps.take(torch.zeros(1, 2), torch.tensor([0]), 0.1).item())


# Kernels cached on disk


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A source file with a function to compile; uses a separate cache."""
    monkeypatch.setenv("DAE_CACHE_DIR", str(tmp_path / "cache"))
    return write_cached_function(tmp_path / "sources")


def run_alone(source: Path, **variables: str) -> str:
    """Output of a separate process: the function's result and its number of cache hits."""
    more = {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-W", "error", str(source)]
    return subprocess.check_output(command, env=os.environ | more | variables, text=True)


def cached_files(folder: Path, pattern: str) -> list[Path]:
    return sorted((folder / "cache" / "kernels").rglob(pattern))


def test_what_was_compiled_is_cached_until_any_source_beside_it_changes(
    source: Path, tmp_path: Path
) -> None:
    assert [run_cached_function(source) for _ in range(2)] == [(14, 0), (14, 1)]
    source.with_name("beside.py").write_text("FACTOR = 3\n", encoding="utf-8")
    assert run_alone(source) == "21 0\n"
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["kernels"]
    assert len(list((tmp_path / "cache" / "kernels").iterdir())) == 2  # one per version
    assert {path.name for path in source.parent.iterdir()} == {"beside.py", "function.py"}


def test_what_was_compiled_for_other_instructions_is_not_loaded(source: Path) -> None:
    features = {"NUMBA_CPU_FEATURES": ""}
    assert [run_alone(source, **more) for more in ({}, features, features, {})] == [
        "14 0\n", "14 0\n", "14 1\n", "14 1\n"]  # fmt: skip


def test_what_is_damaged_is_compiled_again_and_cached_again(source: Path, tmp_path: Path) -> None:
    assert run_cached_function(source) == (14, 0)
    for pattern, left in product(("*.nbi", "*.nbc"), (0, 50)):  # the index, the code
        (damaged,) = cached_files(tmp_path, pattern)
        damaged.write_bytes(damaged.read_bytes()[:left])
        assert [run_cached_function(source) for _ in range(2)] == [(14, 0), (14, 1)]


def test_where_nothing_can_be_written_each_process_compiles_for_itself(
    source: Path, tmp_path: Path
) -> None:
    (tmp_path / "cache").write_text("in the place of a folder", encoding="utf-8")
    assert [run_cached_function(source) for _ in range(2)] == [(14, 0), (14, 0)]


class _Planted:
    """Creates a file when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[object, ...]:
        return (Path.touch, (self.marker,))


posix = pytest.mark.skipif(os.name != "posix", reason="owners and modes are those of POSIX")


@posix
def test_a_kernel_is_loaded_from_a_folder_of_the_users_alone_and_no_other(
    source: Path, tmp_path: Path
) -> None:
    run_cached_function(source)
    (index,) = cached_files(tmp_path, "*.nbi")
    (folder,) = (tmp_path / "cache" / "kernels").iterdir()
    sound, marker = index.read_bytes(), tmp_path / "executed"
    planted = pickle.dumps(_Planted(marker))
    index.write_bytes(planted)

    def refused() -> None:
        assert [run_cached_function(source) for _ in range(2)] == [(14, 0), (14, 0)]
        assert not marker.exists()
        assert index.read_bytes() == planted  # the index is not replaced

    for mode in (0o720, 0o702, 0o750, 0o755, 0o777):
        folder.chmod(mode)
        refused()
        folder.chmod(0o700)
    elsewhere = tmp_path / "elsewhere"
    folder.rename(elsewhere)
    folder.symlink_to(elsewhere)  # a symbolic link to a folder is not followed
    refused()
    folder.unlink()
    elsewhere.rename(folder)
    if os.getuid() == 0:
        os.chown(folder, 12345, -1)
        refused()
        os.chown(folder, 0, -1)
    # In the user's own folder the pickle runs, like a .pyc file; this proves that it works.
    assert run_cached_function(source) == (14, 0)
    assert marker.exists()
    index.write_bytes(sound)
    assert run_cached_function(source) == (14, 1)


@posix
@pytest.mark.parametrize("lax", [0, 0o077])
def test_the_cache_folder_has_mode_0700_whatever_the_umask(
    source: Path, tmp_path: Path, lax: int
) -> None:
    before = os.umask(lax)
    try:
        assert [run_cached_function(source) for _ in range(2)] == [(14, 0), (14, 1)]
    finally:
        os.umask(before)
    (folder,) = (tmp_path / "cache" / "kernels").iterdir()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
