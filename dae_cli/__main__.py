"""The entry point of the `dae` command and of `python -m dae_cli`."""

import os
import sys

from dae_cli.import_path import leave_out_current_folder


def main() -> None:
    """Run the command line and end the process with its exit code."""
    leave_out_current_folder()
    import io  # these and all that follow only now, or they might be files of the user's
    from pathlib import Path

    from dae_cli.stopping import Interrupted, end_when_signalled, raise_when_signalled

    # Without a standard stream (`>&-`) Python has None there; words to it go nowhere.
    sys.stdout = sys.stdout or Path(os.devnull).open("w")  # noqa: SIM115 - as long as the process
    sys.stderr = sys.stderr or Path(os.devnull).open("w")  # noqa: SIM115 - as long as the process
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
