"""How a command ends when it fails: a message on stderr and an exit code."""

from __future__ import annotations

import errno
import logging
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
BROKEN_PIPE = 141  # the exit code that a shell reports for SIGPIPE


class ErrorReportingGroup(TyperGroup):
    """Turns exceptions of the commands into messages; accepts --debug anywhere on the line."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Move --debug to the front, where the group expects it."""
        end = args.index("--") if "--" in args else len(args)
        if "--debug" in args[:end]:
            others = [word for word in args[:end] if word != "--debug"]
            # `dae --debug` without a command shows the help, as `dae` does.
            args = ["--debug", *others, *args[end:]] if others else args[end:]
        return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        """Run the command; every failure becomes an exit code."""
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
            sys.stderr.flush()
            return result
        except (Exception, KeyboardInterrupt, Interrupted) as error:
            if hasattr(error, "message"):  # a usage error, with a prefix of pydantic
                error.message = error.message.replace("Value error, ", "")
            if isinstance(error, (typer.Exit, typer.Abort, EOFError)) or hasattr(error, "show"):
                raise  # early exits and usage errors, which Typer reports itself
            code, text = _exit_code_and_message(error)
            if ctx.params.get("debug") and text:
                text = "".join(traceback.format_exception(error)) + text
            elif code == 1 and not isinstance(error, DaeError):
                text += "\n  --debug shows the traceback"
        with suppress(OSError):
            if text:
                typer.echo(text, err=True)
        _drop_output()
        raise typer.Exit(code)


def show_log(quiet: bool = False) -> bool:
    """Show the notes that lower layers log, unless `quiet`; the callback of --quiet."""
    handler = logging.StreamHandler()
    handler.setLevel(logging.WARNING if quiet else logging.INFO)
    logger = logging.getLogger("dae_cli")
    logger.handlers = [handler]
    logger.setLevel(logging.INFO)
    return quiet


@contextmanager
def hint_when_interrupted(hint: str) -> Iterator[None]:
    """Add a hint on resuming to the message if the block is interrupted."""
    try:
        yield
    except (KeyboardInterrupt, Interrupted) as interrupt:
        interrupt.add_note(hint)
        raise


@contextmanager
def checks_of_dry_run() -> Iterator[None]:
    """End the command with the message and exit code of a check that fails in the block."""
    try:
        yield
    except DaeError as error:
        typer.echo(f"without --dry-run this would fail: {error}", err=True)
        raise typer.Exit(error.exit_code) from error


def _exit_code_and_message(error: BaseException) -> tuple[int, str]:
    if isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG and error.filename:
        error = NameTooLongError(error.filename)  # the user chose the path
    match error:
        case DaeError():
            return error.exit_code, str(error)
        case BrokenPipeError():
            return BROKEN_PIPE, ""
        case KeyboardInterrupt():
            return INTERRUPTED, "\n".join(["interrupted", *getattr(error, "__notes__", [])])
        case Interrupted():
            return error.exit_code, "\n".join([error.word, *getattr(error, "__notes__", [])])
        case OSError() if error.filename is not None:
            return 1, f"{error.filename}: {error.strerror or type(error).__name__}"
    return 1, f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def _drop_output() -> None:
    """Flush the streams; if nobody reads one, discard it, or Python reports an error at exit."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            with suppress(OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
