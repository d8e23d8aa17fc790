"""The entry point of the `dae` command and of `python -m dae_cli`."""

import os
import sys

from dae_cli.import_path import leave_out_current_folder

_OF_OTHER_PROGRAMS = (*("JOBLIB_", "LOKY_", "NUMBA_NUM_THREADS", "PYTORCH_JIT", "TORCH_LOGS"),)
"""Beginnings of settings for what `dae` has settled: its processes, threads, compiling, words."""
_MUST_BE = {
    # Seconds, here up to the year 5138; NumPy and Matplotlib fail at anything else.
    "SOURCE_DATE_EPOCH": r"\d{1,11}",
    # Numbers of processors such as `0 3,4-7:2`; libgomp reads many other words without end.
    "GOMP_CPU_AFFINITY": r"[\s,]*(\d+(-\d+(:\d+)?)?([\s,]+|$))*",
}
"""What settings of libraries look like that these can read; others are left out."""


def main() -> None:
    """Run the command line and end the process with its exit code."""
    leave_out_current_folder()
    import io  # these and all that follow only now, or they might be files of the user's
    import re

    from dae_cli.stopping import Interrupted, end_when_signalled, raise_when_signalled

    for name in [name for name in os.environ if name.startswith(_OF_OTHER_PROGRAMS)]:
        del os.environ[name]
    for name, pattern in _MUST_BE.items():
        if not re.fullmatch(pattern, os.environ.get(name, ""), re.ASCII):
            os.environ.pop(name, None)
    # A notebook sets its own; no process that is started here may look for it.
    os.environ["MPLBACKEND"] = "agg"
    for number, name in ((1, "stdout"), (2, "stderr")):
        # Without a standard stream (`>&-`) Python has None there; words to it go nowhere. Workers
        # get the same, and no file that is opened later takes its number.
        if getattr(sys, name) is None:
            os.dup2(os.open(os.devnull, os.O_WRONLY), number)
            os.set_inheritable(number, True)  # which it is not where both numbers are one
            setattr(sys, name, open(number, "w"))  # noqa: PTH123, SIM115 - not a path
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
