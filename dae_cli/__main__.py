"""The entry point of the `dae` command and of `python -m dae_cli`."""

import os
import sys

from dae_cli.import_path import remove_current_folder

_REMOVED = ("JOBLIB_", "LOKY_", "NUMBA_NUM_THREADS", "PYTORCH_JIT", "TORCH_LOGS")
"""Environment variables with these prefixes, which would change what `dae` sets itself."""


def main() -> None:
    """Run the command line and end the process with its exit code."""
    remove_current_folder()
    import io  # only now: before, these could be files of the user's

    from dae_cli.stopping import Interrupted, end_when_signalled, raise_when_signalled

    for name in [name for name in os.environ if name.startswith(_REMOVED)]:
        del os.environ[name]
    # A notebook sets its own backend, which processes that start here may not have.
    os.environ["MPLBACKEND"] = "agg"
    for number, name in ((1, "stdout"), (2, "stderr")):
        # Without a standard stream (`>&-`) Python has None there. Output to it is discarded, in
        # workers too, and no file that is opened later gets its number.
        if getattr(sys, name) is None:
            os.dup2(os.open(os.devnull, os.O_WRONLY), number)
            os.set_inheritable(number, True)  # dup2 leaves it as it is if both are the same
            setattr(sys, name, open(number, "w"))  # noqa: PTH123, SIM115 - not a path
    for stream in (sys.stdout, sys.stderr):
        # A terminal without "±" or "·" shows a question mark; that is no reason to fail.
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
