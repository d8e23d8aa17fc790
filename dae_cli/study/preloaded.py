"""What worker processes have imported from the start: all that a run needs.

Imported by the server that they are forked from; nothing here may start a thread.
"""

from contextlib import suppress

import dae_cli.study.run.run
from dae_cli.import_path import load_numba

with suppress(ImportError):  # then the run says so, if it needs Numba
    load_numba()
    import dae_cli.engines.compiled
    import dae_cli.models.compiled_choice  # noqa: F401
