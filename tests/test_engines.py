"""Every engine against double precision, step by step and by operation; cached kernels."""

from __future__ import annotations

import json
import math
import os
import pickle
import stat
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
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
    NetworkSteps,
    RbmSteps,
    codes,
    engine_for,
    operate,
    run_cached_function,
    scores,
    write_cached_function,
)
from tests.support.children import ROOT

pytestmark = [pytest.mark.usefixtures("one_thread"), pytest.mark.xdist_group("compiled")]

EPSILON = torch.finfo(torch.float32).eps


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(params=ENGINES, scope="session")
def engine(request: pytest.FixtureRequest) -> str:
    """Each engine in turn, but for those that this machine does not have."""
    return had(request.param)


def had(name: str) -> str:
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
    """Compare parameters of about 1 after some steps, each of which may round once more."""
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


@pytest.mark.parametrize("name", ["torch", "compiled"])
def test_steps_allocate_no_array_once_warm(name: str) -> None:
    had(name)
    m, d, hidden = 50, 300, 110
    clean, labels = torch.sigmoid(normal(m, d)), torch.arange(m) % 10
    uniform = {(m, d): torch.rand(m, d), (m, hidden): torch.rand(m, hidden)}
    tied = AutoencoderSteps(layer(hidden, d), name)
    untied = AutoencoderSteps(layer(hidden, d, tied=False), name, loss="squared-error")
    rbm = RbmSteps(layer(hidden, d), name, chains=m, gibbs_steps=2)
    net = NetworkSteps(stack(d, hidden, 70, 10), name)

    def run() -> None:
        tied.take(clean, clean, 0.001)
        untied.take(clean, clean, 0.001)
        rbm.take(clean, lambda shape: uniform[shape[0], shape[1]], 0.001)
        net.take(clean, labels, 0.001)

    for _ in range(2):  # memory is made and kernels are compiled
        run()
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        run()
        torch.rand(1000).add_(1)  # which shows that an array would be seen
    profiler.export_chrome_trace("trace.json")
    events = json.loads(Path("trace.json").read_text(encoding="utf-8"))["traceEvents"]
    sizes = [event["args"]["Bytes"] for event in events if event["name"] == "[memory]"]
    assert [size for size in sizes if size > 16] == [4000]  # 16 bytes hold a number


# Operations, on memory with guards around it


@dataclass(frozen=True)
class Guarded:
    """A vector or matrix as a view of memory that holds a guard everywhere else."""

    view: Tensor
    memory: Tensor
    before: Tensor

    def stands(self, written: bool = False) -> bool:
        """Whether nothing was written, but for the view where that was to be written."""
        now = self.memory.clone()
        if written:
            view = self.view
            was = self.before.as_strided(view.shape, view.stride(), view.storage_offset())
            now.as_strided(view.shape, view.stride(), view.storage_offset()).copy_(was)
        return torch.equal(now.view(torch.int32), self.before.view(torch.int32))


def guarded(values: Tensor, gap: int = 0, offset: int = 7, guard: float = math.nan) -> Guarded:
    """Put numbers into guarded memory, `gap` guards between the rows.

    The guard NaN shows in a result if what lies beside an operand is used.
    """
    width = values.shape[-1] + gap
    size = offset + len(values.view(-1, values.shape[-1])) * width + 40
    memory = torch.full((size,), guard)
    view = memory.as_strided(values.shape, (width, 1)[-values.dim() :], offset).copy_(values)
    return Guarded(view, memory, memory.clone())


# Sizes at the edges of tiles and blocks, and of vectors of 4, 8 and 16 numbers.
HEIGHTS = (1, 2, 3, 5, 7, 10, 11, 20, 23, 100, 161)
WIDTHS = (1, 3, 15, 16, 17, 31, 32, 33, 48, 49, 784, 1000)
TERMS = (1, 2, 3, 4, 15, 16, 17, 31, 32, 33, 49, 50, 51, 99, 100, 101, 150, 200, 784, 1000)
PADDED = ((1, 1, 1), (3, 17, 5), (23, 49, 51), (20, 784, 33), (161, 33, 20))
# The result is (a, b), the sums have k terms.
FACTORS = {"times_transposed": ("ak", "bk"), "times": ("ak", "kb"), "accumulate": ("ka", "kb")}
SCALE, KEEP = -0.3, 0.75


def check(engine: str, name: str, a: int, b: int, terms: int, bias: bool, gap: int = 0) -> None:
    """Check a product whose result is (a, b), with sums of so many terms."""
    axes = {"a": a, "b": b, "k": terms}
    shapes = [[axes[axis] for axis in factor] for factor in FACTORS[name]]
    x, y = (guarded(normal(*shape, seed=len(shape) + k), gap) for k, shape in enumerate(shapes))
    vector = guarded(normal(b, seed=3)) if bias and name != "accumulate" else None
    if name == "accumulate":
        start, scale = normal(a, b, seed=4), SCALE
        out, addend = guarded(start, gap, guard=9.0), KEEP * start
        how: dict[str, Any] = {"weight": out.view, "left": x.view, "right": y.view}
        operate(engine, name, **how, scale=SCALE, keep=KEEP)
    else:  # what is in the memory of the result must not matter
        out, scale = guarded(torch.full((a, b), math.nan), gap, guard=9.0), 1.0
        addend = vector.view if vector else torch.zeros(b)
        how = {"rows": x.view, "weight": y.view, "bias": vector.view if vector else None}
        operate(engine, name, **how, out=out.view)
    summed = ",".join(FACTORS[name]) + "->ab"
    left, right = x.view.double(), y.view.double()
    expected = addend + scale * torch.einsum(summed, left, right)
    magnitude = addend.abs() + abs(scale) * torch.einsum(summed, left.abs(), right.abs())
    rounding = EPSILON * (2 + math.sqrt(terms)) * magnitude
    where = f"{name} to ({a}, {b}), {terms} terms, {gap} guards between rows"
    assert ((out.view - expected).abs() <= rounding).all(), where
    assert out.stands(written=True), f"{where}: something else was written"
    assert x.stands() and y.stands() and (vector is None or vector.stands()), where


@pytest.mark.parametrize("name", FACTORS)
def test_products_at_the_edges_of_tiles_are_those_of_double_precision(
    engine: str, name: str
) -> None:
    for k, (a, b) in enumerate(product(HEIGHTS, WIDTHS)):
        check(engine, name, a, b, terms=19, bias=k % 2 == 0)
    for k, terms in enumerate(TERMS):
        check(engine, name, 12, 33, terms, bias=k % 2 == 0)
    for gap, shape in product((1, 5, 16), PADDED):
        check(engine, name, *shape, bias=True, gap=gap)


# Curves


# Widths at the ends of vectors and, from 1599, where a logarithm is taken of a product.
CURVES = (*range(1, 50), 784, 1000, 1599, 1600, 1601, 3300)
EXTREMES = (0.0, 1e-8, 1e-3, 1.0, 20.0, 86.9, 90.0, 1e4, 1e30)


def cost_of(a: Tensor, x: Tensor) -> float:
    """Return Σ log(1 + eᵃ) − x a in double precision."""
    a, x = a.double(), x.double()
    return float((a.clamp(min=0) - x * a + torch.log1p(torch.exp(-a.abs()))).sum())


def sigmoid(engine: str, values: Tensor) -> Tensor:
    operate(engine, "sigmoid", values=values)
    return values


def cross_entropy(engine: str, a: Tensor, x: Tensor) -> tuple[Tensor, float]:
    error = torch.empty_like(a)
    cost = operate(engine, "cross_entropy", decoder_input=a, clean=x, error=error)
    assert cost is not None
    return error, cost.item()


@pytest.mark.parametrize("gap", [0, 5])
def test_curves_are_those_of_double_precision(engine: str, gap: int) -> None:
    for width in CURVES:
        values, clean = normal(3, width), torch.sigmoid(normal(3, width, seed=1))
        here = guarded(30 * values, gap)
        expected = torch.sigmoid(here.view.double())
        sigmoid(engine, here.view)
        torch.testing.assert_close(here.view.double(), expected, rtol=4 * EPSILON, atol=2e-38)
        assert here.stands(written=True)

        error, code = guarded(values, gap), guarded(clean, gap)
        operate(engine, "through_sigmoid", error=error.view, code=code.view)
        h = clean.double()
        difference = error.view - values.double() * h * (1 - h)
        assert (difference.abs() <= 2 * EPSILON * values.abs()).all()
        assert error.stands(written=True) and code.stands()

        a, out = guarded(10 * values, gap), guarded(torch.full_like(values, math.nan), gap, 7, 9.0)
        cost = operate(
            engine, "cross_entropy", decoder_input=a.view, clean=code.view, error=out.view
        )
        assert cost is not None
        expected = torch.sigmoid(a.view.double()) - clean
        torch.testing.assert_close(out.view.double(), expected, rtol=0, atol=2 * EPSILON)
        assert cost.item() == pytest.approx(cost_of(a.view, clean), rel=3e-6)
        assert out.stands(written=True) and a.stands() and code.stands()


def test_sigmoid_and_cross_entropy_are_accurate_over_the_whole_range(engine: str) -> None:
    for size, sign, clean in product(EXTREMES, (1, -1), (0.0, 0.3, 1.0)):
        a, x = torch.full((2, 18), sign * size), torch.full((2, 18), clean)
        code = sigmoid(engine, a.clone()).double()
        torch.testing.assert_close(code, torch.sigmoid(a.double()), rtol=4 * EPSILON, atol=2e-38)
        error, cost = cross_entropy(engine, a, x)
        # Where the cost is next to nothing beside a, it may be nothing.
        near_zero = 36 * (3e-9 + EPSILON * size)
        assert cost == pytest.approx(cost_of(a, x), rel=1e-6, abs=near_zero)
        torch.testing.assert_close(error.double(), code - x, rtol=0, atol=2 * EPSILON)
    for shape in ((20, 784), (161, 1000), (1, 1), (2, 4800)):  # no sum of logarithms overflows
        error, cost = cross_entropy(engine, torch.zeros(shape), torch.full(shape, 0.5))
        assert cost == pytest.approx(math.prod(shape) * math.log(2), rel=1e-6)
        assert not error.any()


def test_infinity_and_nan_cost_no_finite_number_so_that_divergence_is_seen(engine: str) -> None:
    for value, code in ((math.inf, 1.0), (-math.inf, 0.0)):
        error, cost = cross_entropy(engine, torch.full((1, 5), value), torch.full((1, 5), 0.25))
        assert not math.isfinite(cost)
        torch.testing.assert_close(error, torch.full((1, 5), code - 0.25))
    for width in (1, 16, 17, 40):
        for k in range(width):  # in every place of a vector
            broken, sound = torch.zeros(1, width), torch.full((1, width), 0.5)
            broken[0, k] = math.nan
            expected = broken.isnan()
            assert torch.equal(sigmoid(engine, broken.clone()).isnan(), expected)
            for first, second in ((broken, sound), (sound, broken)):
                through = first.clone()
                operate(engine, "through_sigmoid", error=through, code=second)
                assert torch.equal(through.isnan(), expected)
                error, cost = cross_entropy(engine, first, second)
                assert torch.equal(error.isnan(), expected) and math.isnan(cost)


# Refusals: an engine that writes to addresses must look

# No two sizes alike, so that no operand fits by chance.
ROWS_UNITS, ROWS_INPUTS, WEIGHT = (6, 4), (6, 9), (4, 9)
OPERANDS: dict[str, dict[str, tuple[int, ...]]] = {
    "times_transposed": {"rows": ROWS_INPUTS, "weight": WEIGHT, "bias": (4,), "out": ROWS_UNITS},
    "times": {"rows": ROWS_UNITS, "weight": WEIGHT, "bias": (9,), "out": ROWS_INPUTS},
    "accumulate": {"weight": WEIGHT, "left": ROWS_UNITS, "right": ROWS_INPUTS},
    "sigmoid": {"values": ROWS_UNITS},
    "through_sigmoid": {"error": ROWS_UNITS, "code": ROWS_UNITS},
    "cross_entropy": {"decoder_input": ROWS_INPUTS, "clean": ROWS_INPUTS, "error": ROWS_INPUTS},
}
Fault = Callable[[Tensor], Tensor]
KINDS: dict[str, Fault] = {
    "double": lambda t: t.double(),
    "every other number": lambda t: t.repeat_interleave(2, dim=-1)[..., ::2],
    "on another device": lambda t: t.to("meta"),
}
SIZES: dict[str, Fault] = {
    "one less": lambda t: t[:-1],
    "one more": lambda t: torch.cat((t, t[:1])),
}
OF_MATRICES: dict[str, Fault] = {
    "in columns": lambda t: t.T.contiguous().T,
    "a column less": lambda t: t[:, :-1].contiguous(),
    "a column more": lambda t: torch.cat((t, t[:, :1]), dim=1),
    "flat": lambda t: t.flatten(),
}


def test_the_compiled_engine_refuses_what_does_not_fit_and_writes_nothing() -> None:
    compiled = had("compiled")
    for name, shapes in OPERANDS.items():
        scales = {"scale": 0.5, "keep": 1.0} if name == "accumulate" else {}
        for operand, shape in shapes.items():
            faults = KINDS if name == "sigmoid" else KINDS | SIZES
            if len(shape) == 2 and name != "sigmoid":
                faults = faults | OF_MATRICES
            for label, fault in faults.items():
                operands = {key: torch.ones(shapes[key]) for key in shapes}
                operands[operand] = fault(operands[operand])
                with pytest.raises((ValueError, IndexError)) as raised:
                    operate(compiled, name, **operands, **scales)
                if label == "double":  # what was expected, and what was found
                    for part in ("float32", "float64", str(shape)):
                        assert part in str(raised.value)
                for tensor in operands.values():
                    assert tensor.is_meta or (tensor == 1).all(), f"{name} with {operand} {label}"


# Kernels that are cached for later processes


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A source with a function to be compiled, and a cache of its own."""
    monkeypatch.setenv("DAE_CACHE_DIR", str(tmp_path / "cache"))
    return write_cached_function(tmp_path / "sources")


def run_alone(source: Path, **variables: str) -> str:
    """What a process of its own prints: twice seven, and how often it was loaded."""
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
    assert len(list((tmp_path / "cache" / "kernels").iterdir())) == 2  # a folder for each
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
    """What makes a file when it is unpickled."""

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
        assert index.read_bytes() == planted  # nor is anything put there

    for mode in (0o720, 0o702, 0o750, 0o755, 0o777):
        folder.chmod(mode)
        refused()
        folder.chmod(0o700)
    elsewhere = tmp_path / "elsewhere"
    folder.rename(elsewhere)
    folder.symlink_to(elsewhere)  # a link in the place of the folder is not followed
    refused()
    folder.unlink()
    elsewhere.rename(folder)
    if os.getuid() == 0:
        os.chown(folder, 12345, -1)
        refused()
        os.chown(folder, 0, -1)
    # In the user's own folder it is run, as a .pyc file would be: the pickle is a true one.
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
