"""The entry point of the `dae` command and of `python -m dae_cli`."""

import os
import sys

from dae_cli.import_path import remove_current_folder

_REMOVED = ("JOBLIB_", "LOKY_", "NUMBA_NUM_THREADS", "PYTORCH_JIT", "TORCH_LOGS")
"""Prefixes of environment variables that would override what `dae` sets."""


def main() -> None:
    """Run the command line and end the process with its exit code."""
    remove_current_folder()
    import io  # not earlier: it could be a file of the user in the current folder

    from dae_cli.stopping import Interrupted, end_when_signalled, raise_when_signalled

    for name in [name for name in os.environ if name.startswith(_REMOVED)]:
        del os.environ[name]
    # A notebook sets its own backend, which may be missing in processes started here.
    os.environ["MPLBACKEND"] = "agg"
    for number, name in ((1, "stdout"), (2, "stderr")):
        # If a standard stream is closed (`>&-`), Python sets it to None. Discard its output, also
        # in workers, and keep its number from files that are opened later.
        if getattr(sys, name) is None:
            os.dup2(os.open(os.devnull, os.O_WRONLY), number)
            os.set_inheritable(number, True)  # dup2 changes nothing if both are the same
            setattr(sys, name, open(number, "w"))  # noqa: PTH123, SIM115 - not a path
    for stream in (sys.stdout, sys.stderr):
        # A terminal whose encoding lacks "±" or "·" shows a question mark.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    try:
        raise_when_signalled()
        from dae_cli.commands.app import app

        app(prog_name="dae")
    except Interrupted as signalled:  # before or after the command: no message
        sys.exit(signalled.exit_code)
    finally:
        end_when_signalled()


if __name__ == "__main__":
    main()
