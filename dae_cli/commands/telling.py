"""How a command ends when it does not end well: plain words on stderr and an exit code."""

from __future__ import annotations

import errno
import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import typer
from typer.core import TyperGroup

from dae_cli.errors import DaeError, NameTooLongError
from dae_cli.stopping import Interrupted

INTERRUPTED = 130
BROKEN_PIPE = 141  # what a shell reports of a program that SIGPIPE ended


class TellingGroup(TyperGroup):
    """Turns exceptions of the commands into messages; takes --debug wherever it stands."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Move --debug to the front, where the group reads it."""
        end = args.index("--") if "--" in args else len(args)
        if "--debug" in args[:end]:
            kept = [word for word in args[:end] if word != "--debug"]
            # A lone `dae --debug` is as good as `dae`: it shows the help.
            args = ["--debug", *kept, *args[end:]] if kept else args[end:]
        return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        """Run the command; every way to fail becomes an exit code."""
        debug = bool(ctx.params.get("debug"))
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
            sys.stderr.flush()
            return result
        except DaeError as error:
            met, code, text = _traced(error), error.exit_code, str(error)
        except (KeyboardInterrupt, Interrupted) as error:
            met, code, text = _traced(error), interrupted_code(error), _interrupted(error)
        except BrokenPipeError:
            _drop_output()
            raise typer.Exit(BROKEN_PIPE) from None
        except Exception as error:
            if _is_typers_own(error):
                raise
            met, (code, text) = _traced(error), _unforeseen(error, debug)
        try:
            typer.echo(met + text if debug else text, err=True)
        except OSError:
            _drop_output()
        raise typer.Exit(code)


@contextmanager
def hint_when_interrupted(hint: str) -> Iterator[None]:
    """Let Ctrl-C within the block say how to go on."""
    try:
        yield
    except (KeyboardInterrupt, Interrupted) as interrupt:
        interrupt.add_note(hint)
        raise


def _traced(error: BaseException) -> str:
    return "".join(traceback.format_exception(error))


def interrupted_code(error: BaseException) -> int:
    """The exit code of a command that a signal ended: 130 for Ctrl-C, 143 for SIGTERM."""
    return error.exit_code if isinstance(error, Interrupted) else INTERRUPTED


def _interrupted(error: BaseException) -> str:
    word = error.word if isinstance(error, Interrupted) else "interrupted"
    return "\n".join([word, *getattr(error, "__notes__", [])])


def _is_typers_own(error: Exception) -> bool:
    """Usage errors and early exits, which Typer tells itself."""
    if isinstance(error, (typer.Exit, typer.Abort, EOFError)):
        return True
    return hasattr(error, "show") and hasattr(error, "exit_code")


def _unforeseen(error: Exception, debug: bool) -> tuple[int, str]:
    """Exit code and words; wherever a path is too long, it was the user's to choose."""
    if isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG and error.filename:
        too_long = NameTooLongError(error.filename)
        return too_long.exit_code, str(too_long)
    return 1, _plain(error) + ("" if debug else "\n  --debug shows the traceback")


def _plain(error: Exception) -> str:
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror or type(error).__name__}"
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def _drop_output() -> None:
    """Nobody reads on: keep Python from complaining when it flushes its streams at its end."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            with suppress(OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
