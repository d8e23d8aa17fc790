"""Vector instructions for Numba to compile, where its loops alone would not use them well.

An `Emitter` writes LLVM's intermediate code. Operands are addresses in bytes, so that a matrix
may be any view whose rows are contiguous; a vector that the width of a matrix cuts off is loaded
and stored under a mask, and its other lanes read as zero.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import llvmlite.binding
import numba
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.errors import TypingError


def _features() -> set[str]:
    """Return what Numba compiles for: this processor, or what NUMBA_CPU_FEATURES says."""
    told: str | None = getattr(numba.config, "CPU_FEATURES", None)
    if told is None:
        host = llvmlite.binding.get_host_cpu_features()
        return {name for name, there in host.items() if there}
    return {name[1:] for name in told.split(",") if name.startswith("+")}


_AVX512 = "avx512f" in _features()
_AVX2 = {"avx2", "fma"} <= _features()
_ARM = llvmlite.binding.get_process_triple().startswith(("aarch64", "arm64"))

SUPPORTED = _AVX512 or _AVX2 or _ARM
"""Whether this processor has fused multiply-adds on vectors."""

LANES = 16 if _AVX512 else 4 if _ARM else 8
"""Numbers in a vector."""

REGISTERS = 32 if _AVX512 or _ARM else 16

FLOAT, INT32, INT = ir.FloatType(), ir.IntType(32), ir.IntType(64)
VECTOR, INTS = ir.VectorType(FLOAT, LANES), ir.VectorType(INT32, LANES)
BYTES = 4 * LANES

Value = Any


def literal(kind: Any) -> int:
    """Return the number that Numba knows an argument to be while it compiles."""
    if not isinstance(kind, types.IntegerLiteral):
        raise TypingError("the size of a tile must be a constant")
    return int(kind.literal_value)


class Emitter:
    """Writes vector instructions where an LLVM builder stands."""

    def __init__(self, builder: Any) -> None:
        self.builder = builder

    def at(self, address: Value, distance: Value, times: int) -> Value:
        """Return address + distance · times."""
        return self.builder.add(address, self.builder.mul(distance, INT(times)))

    def load(self, address: Value, mask: Value | None = None, kind: Any = VECTOR) -> Value:
        """Load a vector, or a number, from an address of any alignment."""
        pointer = self.builder.inttoptr(address, kind.as_pointer())
        if mask is None:
            return self.builder.load(pointer, align=4)
        zeros = ir.Constant(VECTOR, None)
        arguments = [pointer, INT32(4), mask, zeros]
        return self.call(f"llvm.masked.load.v{LANES}f32.p0", VECTOR, arguments)

    def store(self, value: Value, address: Value, mask: Value | None = None) -> None:
        """Store a vector, or a number, at an address of any alignment."""
        pointer = self.builder.inttoptr(address, value.type.as_pointer())
        if mask is None:
            self.builder.store(value, pointer, align=4)
        else:
            arguments = [value, pointer, INT32(4), mask]
            self.call(f"llvm.masked.store.v{LANES}f32.p0", ir.VoidType(), arguments)

    def prefetch(self, address: Value, to_write: bool = False) -> None:
        """Ask for a cache line that is about to be needed; any address will do."""
        pointer = self.builder.inttoptr(address, ir.IntType(8).as_pointer())
        near, data = INT32(2), INT32(1)
        arguments = [pointer, INT32(int(to_write)), near, data]
        self.call("llvm.prefetch.p0", ir.VoidType(), arguments)

    def spread(self, number: Value) -> Value:
        """Return a vector of one number."""
        kind = ir.VectorType(number.type, LANES)
        nothing = ir.Constant(kind, ir.Undefined)
        first = self.builder.insert_element(nothing, number, INT32(0))
        return self.shuffle(first, nothing, [0] * LANES)

    def constant(self, number: float) -> Value:
        """Return a vector of a known number."""
        return ir.Constant(VECTOR, [number] * LANES)

    def first_lanes(self, count: Value) -> Value:
        """Return the mask of the first `count` lanes."""
        numbers = ir.Constant(ir.VectorType(INT, LANES), list(range(LANES)))
        return self.builder.icmp_signed("<", numbers, self.spread(count))

    def multiply_add(self, x: Value, y: Value, z: Value) -> Value:
        """Return x · y + z, rounded once."""
        return self.call(f"llvm.fma.v{LANES}f32", VECTOR, [x, y, z])

    def shuffle(self, first: Value, second: Value, lanes: Sequence[int]) -> Value:
        """Return chosen lanes of two vectors, the second's counted on after the first's."""
        kind = ir.VectorType(INT32, len(lanes))
        return self.builder.shuffle_vector(first, second, ir.Constant(kind, list(lanes)))

    def call(self, name: str, result: Any, arguments: Sequence[Value]) -> Value:
        """Call one of LLVM's own functions."""
        kind = ir.FunctionType(result, [argument.type for argument in arguments])
        insert: Any = cgutils.get_or_insert_function
        return self.builder.call(insert(self.builder.module, kind, name), arguments)

    def loop(
        self,
        count: Value,
        step: Callable[[Value, list[Value]], list[Value]],
        start: Sequence[Value],
    ) -> list[Value]:
        """Run `step` for k = 0 … count−1 on vectors that stay in registers."""
        builder, before = self.builder, self.builder.block
        body, after = builder.append_basic_block("loop"), builder.append_basic_block("loop_end")
        builder.cbranch(builder.icmp_signed(">", count, INT(0)), body, after)
        builder.position_at_end(body)
        k = builder.phi(INT)
        running = [builder.phi(value.type) for value in start]
        new = step(k, running)
        following = builder.add(k, INT(1))
        last = builder.block
        coming = zip([k, *running], [INT(0), *start], [following, *new], strict=True)
        for phi, first, second in coming:
            phi.add_incoming(first, before)
            phi.add_incoming(second, last)
        builder.cbranch(builder.icmp_signed("<", following, count), body, after)
        builder.position_at_end(after)
        return self._either(start, before, new, last)

    def loop_over(
        self,
        count: Value,
        step: Callable[[Value, Value | None, list[Value]], list[Value]],
        start: Sequence[Value],
    ) -> list[Value]:
        """Run `step` on the vectors of a row of `count` numbers, the last one under a mask.

        `step` gets the distance from the row's start in bytes, the mask, and the values.
        """
        builder = self.builder
        whole, rest = builder.sdiv(count, INT(LANES)), builder.srem(count, INT(LANES))
        values = self.loop(whole, lambda k, now: step(builder.mul(k, INT(BYTES)), None, now), start)
        before = builder.block
        with builder.if_then(builder.icmp_signed(">", rest, INT(0))):
            new = step(builder.mul(whole, INT(BYTES)), self.first_lanes(rest), values)
            inside = builder.block
        return self._either(values, before, new, inside)

    def sums(self, vectors: Sequence[Value]) -> Value:
        """Return the sums of 1, 2, 4, … vectors as one vector of as many numbers.

        Two vectors at a time fold into one that holds a part of each, until a single one is left
        whose groups of lanes belong to one vector each; then the groups fold.
        """
        count, group = len(vectors), LANES
        while len(vectors) > 1:
            group //= 2
            pairs = zip(vectors[::2], vectors[1::2], strict=True)
            vectors = [self._fold(first, second, group) for first, second in pairs]
        (total,) = vectors
        while group > 1:
            group //= 2
            turned = self.shuffle(total, total, [lane ^ group for lane in range(LANES)])
            total = self.builder.fadd(total, turned)
        return self.shuffle(total, total, range(0, LANES, LANES // count))

    def _fold(self, first: Value, second: Value, group: int) -> Value:
        """Add neighbouring groups of lanes, those of `first` before those of `second`."""
        lanes = [lane for lane in range(2 * LANES) if lane // group % 2 == 0]
        even = self.shuffle(first, second, lanes)
        odd = self.shuffle(first, second, [lane + group for lane in lanes])
        return self.builder.fadd(even, odd)

    def _either(
        self, first: Sequence[Value], before: Any, second: Sequence[Value], inside: Any
    ) -> list[Value]:
        """Return the values that come from whichever of two blocks was the last."""
        results = []
        for one, other in zip(first, second, strict=True):
            phi = self.builder.phi(one.type)
            phi.add_incoming(one, before)
            phi.add_incoming(other, inside)
            results.append(phi)
        return results
