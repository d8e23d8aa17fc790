"""The entry point of the `dae` command and of `python -m dae_cli`."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path

from dae_cli.stopping import Interrupted, end_when_signalled, raise_when_signalled


def main() -> None:
    """Run the command line and end the process with its exit code."""
    # Without a standard stream (`>&-`) Python has None there; words to it go nowhere.
    sys.stdout = sys.stdout or Path(os.devnull).open("w")  # noqa: SIM115 - as long as the process
    sys.stderr = sys.stderr or Path(os.devnull).open("w")  # noqa: SIM115 - as long as the process
    # A notebook sets its own; no process that is started here may look for it.
    os.environ["MPLBACKEND"] = "agg"
    for stream in (sys.stdout, sys.stderr):
        # A terminal without "±" or "·" shows a question mark; that is no reason to fail.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    try:
        raise_when_signalled()
        from dae_cli.commands.app import app

        app(prog_name="dae")
    except Interrupted as signalled:  # before or after the command, when there is nothing to tell
        sys.exit(signalled.exit_code)
    finally:
        end_when_signalled()


if __name__ == "__main__":
    main()
