"""Where Python looks for modules, in this process and those that it starts.

Imports only what every interpreter has loaded when it starts: whatever else is imported before
the current folder is taken away could be the user's own file.
"""
# ruff: noqa: PTH100, PTH109, PTH117, PTH120, PTH121 — pathlib is not loaded yet

import os
import sys


def remove_current_folder() -> None:
    """Import and start nothing from the current folder, such as a file random.py of the user's.

    `python -m` and an empty entry of PYTHONPATH put the current folder before the standard
    library, and so would worker processes. A folder that PYTHONPATH names in full is
    intended, and stays.
    """
    os.environ["PYTHONSAFEPATH"] = "1"  # read by every Python that is started from here
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
    """NUMBA_DISABLE_JIT is set: Numba would leave functions as they are."""


def load_numba() -> None:
    """Import Numba without the `.numba_config.yaml` that it would read in the current folder.

    Raises:
        ImportError: it is not installed.
        JitDisabledError: it is, and set to compile nothing.
    """
    here = os.getcwd()
    os.chdir(os.path.dirname(os.__file__))
    try:
        from numba.core import config

        config._config_fname = os.devnull  # it would look again whenever it compiles
    finally:
        os.chdir(here)
    if vars(config)["DISABLE_JIT"]:
        raise JitDisabledError


def _is_here(entry: str) -> bool:
    """Tell whether an entry of a search path is the current folder; an empty one means it."""
    try:
        return os.path.samefile(entry or os.curdir, os.curdir)
    except OSError:  # there is no such folder
        return not entry
