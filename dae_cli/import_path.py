"""The search path for modules, of this process and those that it starts.

Imports only modules that every interpreter loads at startup: any other could come from a file of
the user, as long as the current folder is on the path.
"""
# ruff: noqa: PTH100, PTH109, PTH117, PTH120, PTH121 — pathlib is not loaded yet

import os
import sys


def remove_current_folder() -> None:
    """Remove the current folder from the search paths, since it may contain a random.py.

    `python -m` and an empty entry of PYTHONPATH put it before the standard library, also in worker
    processes. A folder that PYTHONPATH gives in full is intended and stays.
    """
    os.environ["PYTHONSAFEPATH"] = "1"  # read by every Python started from here
    for name in ("PYTHONPATH", "PATH"):
        entries = os.environ.pop(name, "").split(os.pathsep)
        if others := [entry for entry in entries if os.path.isabs(entry) or not _is_here(entry)]:
            os.environ[name] = os.pathsep.join(others)
    library = os.path.dirname(os.__file__)
    wanted = os.environ.get("PYTHONPATH", library).split(os.pathsep)
    first = sys.path.index(library) if library in sys.path else len(sys.path)
    sys.path[:first] = [e for e in sys.path[:first] if e in wanted or not _is_here(e)]
    own = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    if own not in sys.path:  # run from its sources, in their folder
        sys.path.append(own)


class JitDisabledError(ImportError):
    """NUMBA_DISABLE_JIT is set, so Numba compiles nothing."""


def load_numba() -> None:
    """Import Numba, but not a `.numba_config.yaml` in the current folder.

    Raises:
        ImportError: it is not installed.
        JitDisabledError: it is installed, but set to compile nothing.
    """
    here = os.getcwd()
    os.chdir(os.path.dirname(os.__file__))
    try:
        from numba.core import config

        config._config_fname = os.devnull  # Numba reads it again whenever it compiles
    finally:
        os.chdir(here)
    if vars(config)["DISABLE_JIT"]:
        raise JitDisabledError


def _is_here(entry: str) -> bool:
    """Return whether an entry of a search path is the current folder; an empty one is."""
    try:
        return os.path.samefile(entry or os.curdir, os.curdir)
    except OSError:  # no such folder
        return not entry
