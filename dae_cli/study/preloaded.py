"""Import everything that a run needs, once for all worker processes.

The server from which they are forked imports this module, so nothing here may start a thread.
"""

from contextlib import suppress

import dae_cli.study.run.run
from dae_cli.import_path import load_numba

with suppress(ImportError):  # a run that needs Numba reports that it is missing
    load_numba()
    import dae_cli.engines.compiled
    import dae_cli.models.compiled_choice  # noqa: F401
