"""Limits that are set before a command starts, for `child(prepare=…)`."""

from __future__ import annotations

import ctypes
import functools
import os
import resource
from collections.abc import Callable

Preparation = tuple[Callable[[], None], ...]


def files_of_at_most(size: int) -> Preparation:
    """Let the kernel truncate any larger file."""
    return (functools.partial(_limit, resource.RLIMIT_FSIZE, size),)


def memory_of_at_most(size: int) -> Preparation:
    """Let the kernel refuse a larger address space."""
    return (functools.partial(_limit, resource.RLIMIT_AS, size),)


def _limit(what: int, size: int) -> None:
    resource.setrlimit(what, (size, size))


def without_rights() -> Preparation:
    """Apply file permissions to the superuser as well."""
    return (_give_up_rights,)


def _give_up_rights() -> None:
    if os.geteuid() == 0:
        libc, given_up = ctypes.CDLL(None), 0
        for capability in (1, 2, 3):  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_FOWNER
            libc.prctl(24, capability, 0, 0, 0)  # PR_CAPBSET_DROP: for programs executed later
            given_up |= 1 << capability
        header = (ctypes.c_uint32 * 2)(0x20080522, 0)  # _LINUX_CAPABILITY_VERSION_3, this process
        sets = (ctypes.c_uint32 * 6)()  # effective, permitted, inheritable, of two words each
        libc.capget(header, sets)
        for place in range(3):
            sets[place] &= ~given_up
        libc.capset(header, sets)
