"""Commands whose output goes to a terminal of 80 columns."""

from __future__ import annotations

import errno
import fcntl
import os
import pty
import re
import struct
import termios
from collections.abc import Callable, Mapping

from tests.support.children import Child
from tests.support.commands import Ended

PLAIN_SETTINGS = {"COLUMNS": "", "LINES": "", "NO_COLOR": "", "TERM": "xterm-256color"}


def on_terminal(
    child: Callable[..., Child],
    streams: str,
    *words: str,
    environment: Mapping[str, str] | None = None,
) -> tuple[Ended, str]:
    """Run a command with streams ("stdout stderr") on a terminal; its end, and what was drawn."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 80, 0, 0))
    command = child(
        *words,
        environment=PLAIN_SETTINGS | dict(environment or {}),
        **dict.fromkeys(streams.split(), theirs),
    )
    os.close(theirs)
    drawn = b""
    while True:
        try:
            drawn += os.read(ours, 65536)
        except OSError as error:  # the other end is closed
            assert error.errno == errno.EIO
            break
    os.close(ours)
    return command.wait(), drawn.decode()


def visible_lines(drawn: str) -> list[str]:
    """Return the lines that were drawn, without colours and movements of the cursor."""
    plain = re.sub(r"\x1b\[[\d;?]*[a-zA-Z]", "", drawn)
    return [line.rstrip() for line in re.split(r"[\r\n]+", plain) if line.strip()]
