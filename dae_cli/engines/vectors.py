"""Vector instructions for Numba to compile, sixteen numbers at a time on every processor.

A `Vector` is sixteen float32, whatever the hardware holds in a register: one register of AVX-512,
two of AVX2, four of NEON. LLVM splits the instructions. So every sum has the same sixteen partial
sums, each step of it one fused multiply-add, and results are the same to the bit everywhere.
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
"""Numbers in a vector: part of the numerics, since sums are split into so many parts."""

FLOAT, INT32, INT = ir.FloatType(), ir.IntType(32), ir.IntType(64)
VECTOR = ir.VectorType(FLOAT, LANES)
LINE = 64
"""Bytes in a cache line, and in a vector."""

Value = Any


def _features() -> set[str]:
    """Return what Numba compiles for: this processor, or what NUMBA_CPU_FEATURES says."""
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
    """Writes vector instructions where an LLVM builder stands; addresses are in bytes."""

    def __init__(self, builder: Any) -> None:
        self.builder = builder

    def start(self, array: Any) -> Value:
        """Return the address of an array."""
        return self.builder.ptrtoint(array.data, INT)

    def row_bytes(self, matrix: Any) -> Value:
        """Return the distance between the rows of a C-contiguous matrix."""
        return self.builder.mul(self.builder.extract_value(matrix.shape, 1), INT(4))

    def element(self, matrix: Any, row: Value, column: Value) -> Value:
        """Return the address of an element of a C-contiguous matrix."""
        down = self.builder.mul(row, self.row_bytes(matrix))
        across = self.builder.mul(column, INT(4))
        return self.builder.add(self.start(matrix), self.builder.add(down, across))

    def rows(self, matrix: Any, row: Value, column: Value, count: int) -> list[Value]:
        """Return the addresses of an element and of those below it."""
        first, distance = self.element(matrix, row, column), self.row_bytes(matrix)
        below = (self.builder.mul(distance, INT(r)) for r in range(count))
        return [self.builder.add(first, offset) for offset in below]

    def load(self, address: Value, kind: Any = VECTOR) -> Value:
        """Load a vector, or a number."""
        return self.builder.load(self.builder.inttoptr(address, kind.as_pointer()), align=4)

    def store(self, value: Value, address: Value) -> None:
        """Store a vector, or a number."""
        self.builder.store(value, self.builder.inttoptr(address, value.type.as_pointer()), align=4)

    def prefetch(self, address: Value, to_write: bool = False) -> None:
        """Ask for a cache line that is about to be needed; any address will do."""
        pointer = self.builder.inttoptr(address, ir.IntType(8).as_pointer())
        near, data = INT32(2), INT32(1)
        self.call("llvm.prefetch.p0", ir.VoidType(), [pointer, INT32(int(to_write)), near, data])

    def spread(self, number: Value) -> Value:
        """Return a vector of one number."""
        nothing = ir.Constant(VECTOR, ir.Undefined)
        first = self.builder.insert_element(nothing, number, INT32(0))
        return self.shuffle(first, nothing, [0] * LANES)

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

    def switch(
        self, values: Sequence[Value], cases: Sequence[tuple[int, ...]], write: Callable[..., None]
    ) -> None:
        """Write one of several versions of code, each for one case of what integers are."""
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
        results = []
        for first, second in zip(start, new, strict=True):
            phi = builder.phi(first.type)
            phi.add_incoming(first, before)
            phi.add_incoming(second, last)
            results.append(phi)
        return results

    def sums(self, vectors: Sequence[Value]) -> Value:
        """Return the sum of the lanes of each vector, as one vector of so many numbers.

        Lanes 8 apart are added first, then 4, 2 and 1 apart. Two vectors at a time fold into one
        that holds a part of each; the order of the additions is that of one vector by itself.
        """
        folded, apart = list(vectors), LANES
        while apart > 1:
            apart //= 2
            folded += [folded[-1]] * (len(folded) % 2)
            pairs = zip(folded[::2], folded[1::2], strict=True)
            folded = [self._fold(first, second, apart) for first, second in pairs]
        (total,) = folded
        # Each fold puts the second of two vectors where this bit of the lane's number is 1.
        halves = range(LANES.bit_length() - 1)
        places = [
            sum(LANES // 2 >> bit for bit in halves if k >> bit & 1) for k in range(len(vectors))
        ]
        return self.shuffle(total, total, places)

    def _fold(self, first: Value, second: Value, apart: int) -> Value:
        """Add lanes so far apart; the sums of `second` go where that bit of the lane is 1."""
        own = [lane + LANES * bool(lane & apart) for lane in range(LANES)]
        other = [(lane ^ apart) + LANES * bool(lane & apart) for lane in range(LANES)]
        return self.builder.fadd(
            self.shuffle(first, second, own), self.shuffle(first, second, other)
        )
