"""One target under atheris, in a process that libFuzzer ends: `tests.fuzz.run` starts it.

Arguments: the target, the folder of its inputs and counts, the folder for what fails, and what
libFuzzer is told.
"""

from __future__ import annotations

import resource
import sys
from pathlib import Path
from random import Random

import atheris

INSTRUMENTED = (
    "dae_cli.baselines",
    "dae_cli.config",
    "dae_cli.csv_rows",
    "dae_cli.data.cache",
    "dae_cli.data.content",
    "dae_cli.data.readers",
    "dae_cli.study.rows",
    "dae_cli.study.run",
    "dae_cli.study.tables",
    "dae_cli.training.checkpoint",
)
MEMORY = 8 << 30
"""Bytes of address space; what a header claims beyond it cannot be allocated."""


def main() -> None:
    """Fuzz until libFuzzer ends the process."""
    with atheris.instrument_imports(include=list(INSTRUMENTED)):
        from tests.fuzz.attempts import Attempts
        from tests.fuzz.targets import TARGETS
    name, folder, failures, *options = sys.argv[1:]
    target = TARGETS[name]

    def mutate(data: bytes, max_size: int, seed: int) -> bytes:
        """Alter an input, in turn as libFuzzer does and as its format suggests."""
        if seed % 2:
            return bytes(atheris.Mutate(data, max_size))
        return target.mutate(data, Random(seed))[:max_size]

    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    attempts = Attempts(target, Path(folder), Path(failures))
    atheris.Setup([sys.argv[0], *options], attempts.attempt, custom_mutator=mutate)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
