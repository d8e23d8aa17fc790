"""Vector instructions for Numba: sixteen float32 numbers at a time on every processor.

A vector always has sixteen lanes: one register with AVX-512, two with AVX2, four with NEON. LLVM
splits the instructions accordingly. Every sum therefore has the same sixteen partial sums, each
accumulated by fused multiply-adds, and results are bit-identical on all processors.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any

import llvmlite.binding
import numba
from llvmlite import ir
from numba.core import cgutils

LANES = 16
"""Numbers in a vector. Sums are split into this many parts, so changing it changes results."""

FLOAT, INT32, INT = ir.FloatType(), ir.IntType(32), ir.IntType(64)
VECTOR = ir.VectorType(FLOAT, LANES)
LINE = 64
"""Bytes in a cache line and in a vector."""

Value = Any


def _features() -> set[str]:
    """Return the CPU features that Numba compiles for: NUMBA_CPU_FEATURES or this processor's."""
    chosen: str | None = getattr(numba.config, "CPU_FEATURES", None)
    if chosen is None:
        host = llvmlite.binding.get_host_cpu_features()
        return {name for name, there in host.items() if there}
    return {name[1:] for name in chosen.split(",") if name.startswith("+")}


AVX512 = "avx512f" in _features()
AVX2 = {"avx2", "fma"} <= _features()
ARM = llvmlite.binding.get_process_triple().startswith(("aarch64", "arm64"))

SUPPORTED = AVX512 or AVX2 or ARM
"""Whether this processor has fused multiply-adds on vectors."""


class Emitter:
    """Emits vector instructions at the position of an LLVM builder; addresses are in bytes."""

    def __init__(self, builder: Any) -> None:
        self.builder = builder

    def start(self, array: Any) -> Value:
        """Return the address of an array."""
        return self.builder.ptrtoint(array.data, INT)

    def row_bytes(self, matrix: Any) -> Value:
        """Return the distance between rows of a C-contiguous matrix."""
        return self.builder.mul(self.builder.extract_value(matrix.shape, 1), INT(4))

    def element(self, matrix: Any, row: Value, column: Value) -> Value:
        """Return the address of an element of a C-contiguous matrix."""
        down = self.builder.mul(row, self.row_bytes(matrix))
        across = self.builder.mul(column, INT(4))
        return self.builder.add(self.start(matrix), self.builder.add(down, across))

    def rows(self, matrix: Any, row: Value, column: Value, count: int) -> list[Value]:
        """Return the addresses of `count` elements of a column, from (row, column) downwards."""
        first, distance = self.element(matrix, row, column), self.row_bytes(matrix)
        below = (self.builder.mul(distance, INT(r)) for r in range(count))
        return [self.builder.add(first, offset) for offset in below]

    def load(self, address: Value, kind: Any = VECTOR) -> Value:
        """Load a vector or a number."""
        return self.builder.load(self.builder.inttoptr(address, kind.as_pointer()), align=4)

    def store(self, value: Value, address: Value) -> None:
        """Store a vector or a number."""
        self.builder.store(value, self.builder.inttoptr(address, value.type.as_pointer()), align=4)

    def prefetch(self, address: Value, to_write: bool = False) -> None:
        """Prefetch a cache line; the address need not be valid."""
        pointer = self.builder.inttoptr(address, ir.IntType(8).as_pointer())
        near, data = INT32(2), INT32(1)
        self.call("llvm.prefetch.p0", ir.VoidType(), [pointer, INT32(int(to_write)), near, data])

    def spread(self, number: Value) -> Value:
        """Return a vector with the number in all lanes."""
        nothing = ir.Constant(VECTOR, ir.Undefined)
        first = self.builder.insert_element(nothing, number, INT32(0))
        return self.shuffle(first, nothing, [0] * LANES)

    def multiply_add(self, x: Value, y: Value, z: Value) -> Value:
        """Return x · y + z, rounded once."""
        return self.call(f"llvm.fma.v{LANES}f32", VECTOR, [x, y, z])

    def shuffle(self, first: Value, second: Value, lanes: Sequence[int]) -> Value:
        """Return the chosen lanes of two vectors; the second vector's lanes count from LANES."""
        kind = ir.VectorType(INT32, len(lanes))
        return self.builder.shuffle_vector(first, second, ir.Constant(kind, list(lanes)))

    def call(self, name: str, result: Any, arguments: Sequence[Value]) -> Value:
        """Call an LLVM intrinsic."""
        kind = ir.FunctionType(result, [argument.type for argument in arguments])
        insert: Any = cgutils.get_or_insert_function
        return self.builder.call(insert(self.builder.module, kind, name), arguments)

    def switch(
        self, values: Sequence[Value], cases: Sequence[tuple[int, ...]], write: Callable[..., None]
    ) -> None:
        """Emit one version of code for each case, selected at run time by the integers `values`."""
        for case in cases:
            equal = [
                self.builder.icmp_signed("==", value, INT(number))
                for value, number in zip(values, case, strict=True)
            ]
            with self.builder.if_then(reduce(self.builder.and_, equal)):
                write(*case)

    def loop(
        self,
        count: Value,
        step: Callable[[Value, list[Value]], list[Value]],
        start: Sequence[Value],
    ) -> list[Value]:
        """Emit a loop of `step` over k = 0 … count−1 on values that stay in registers."""
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
        results = []
        for first, second in zip(start, new, strict=True):
            phi = builder.phi(first.type)
            phi.add_incoming(first, before)
            phi.add_incoming(second, last)
            results.append(phi)
        return results

    def sums(self, vectors: Sequence[Value]) -> Value:
        """Return a vector with the sum of the lanes of each input vector.

        Lanes 8 apart are added first, then 4, 2 and 1 apart. Each fold turns two vectors into one
        that contains partial sums of both; the order of additions is as for a single vector.
        """
        folded, apart = list(vectors), LANES
        while apart > 1:
            apart //= 2
            folded += [folded[-1]] * (len(folded) % 2)
            pairs = zip(folded[::2], folded[1::2], strict=True)
            folded = [self._fold(first, second, apart) for first, second in pairs]
        (total,) = folded
        # Each fold puts the second vector's sums in the lanes whose index has this bit set.
        halves = range(LANES.bit_length() - 1)
        places = [
            sum(LANES // 2 >> bit for bit in halves if k >> bit & 1) for k in range(len(vectors))
        ]
        return self.shuffle(total, total, places)

    def _fold(self, first: Value, second: Value, apart: int) -> Value:
        """Add lanes `apart` from each other; sums of `second` go to lanes with that bit set."""
        own = [lane + LANES * bool(lane & apart) for lane in range(LANES)]
        other = [(lane ^ apart) + LANES * bool(lane & apart) for lane in range(LANES)]
        return self.builder.fadd(
            self.shuffle(first, second, own), self.shuffle(first, second, other)
        )
