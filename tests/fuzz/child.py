"""Fuzz one target with atheris, in a process that libFuzzer ends; `tests.fuzz.run` starts it.

Arguments: the target, a working folder, the folder for failing inputs, options of libFuzzer.
"""

from __future__ import annotations

import os
import resource
import sys
from pathlib import Path
from random import Random

import atheris

MEMORY = 8 << 30  # bytes of address space; a header that claims more causes a MemoryError


def main() -> None:
    """Fuzz until libFuzzer ends the process."""
    name, place, failures, *options = sys.argv[1:]
    folder = Path(place).resolve()
    (corpus := folder / "corpus").mkdir()
    os.environ.update(COLUMNS="300", NO_COLOR="1", OMP_NUM_THREADS="1")
    os.chdir(folder)
    # Commands import lazily; accepting the inputs here makes their imports instrumented.
    with atheris.instrument_imports(include=["dae_cli"]):
        from tests.fuzz.run import Attempts
        from tests.fuzz.targets import TARGETS

        target = TARGETS[name]
        inputs = target.inputs(folder)
        for i, data in enumerate(inputs):
            assert target.accepts(data, folder), f"input {i} of {name} is refused"
            (corpus / str(i)).write_bytes(data)

    def mutate(data: bytes, max_size: int, seed: int) -> bytes:
        """Alter an input, alternately with libFuzzer's mutations and those of its format."""
        if seed % 2:
            return bytes(atheris.Mutate(data, max_size))
        return target.mutate(data, Random(seed))[:max_size]

    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    attempts = Attempts(target, folder, Path(failures))
    longest = f"-max_len={2 * max(map(len, inputs)) + 1000}"
    arguments = [sys.argv[0], *options, longest, str(corpus)]
    atheris.Setup(arguments, attempts.attempt, custom_mutator=mutate)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
