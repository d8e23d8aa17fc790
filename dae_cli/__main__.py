"""The entry point of the `dae` command and of `python -m dae_cli`."""

from __future__ import annotations

import io
import sys

from dae_cli.commands.app import app


def main() -> None:
    """Run the command line and end the process with its exit code."""
    for stream in (sys.stdout, sys.stderr):
        # A terminal without "±" or "·" shows a question mark; that is no reason to fail.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    app(prog_name="dae")


if __name__ == "__main__":
    main()
