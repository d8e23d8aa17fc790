"""One thread a process, whatever library computes in it.

One process per core is faster than several threads, and the result does not depend on the number
of cores. Two libraries with two threads each, such as torch's OpenMP and NumPy's BLAS, would even
fight for the cores.
"""

from __future__ import annotations

import os
from contextlib import suppress

THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "NUMBA_NUM_THREADS",
)
"""Where libraries look for their number of threads, once, when they are loaded."""


def one_thread_in_processes() -> None:
    """Give libraries that are loaded from now on one thread, here and in processes to come."""
    os.environ.update(dict.fromkeys(THREAD_VARIABLES, "1"))


def use_one_thread() -> None:
    """Make this process compute with one thread from now on, and the processes that it starts.

    Workers are started with `one_thread_in_processes`, but call this as well: torch asks for its
    own number, and a run in the command's own process finds libraries that were loaded before.
    """
    import torch
    from threadpoolctl import threadpool_limits

    one_thread_in_processes()
    threadpool_limits(limits=1)  # every BLAS and OpenMP that is here; for good, outside of a with
    torch.set_num_threads(1)
    with suppress(RuntimeError):  # they have begun to work; none of ours uses them
        torch.set_num_interop_threads(1)
