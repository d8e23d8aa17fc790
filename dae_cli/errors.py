"""Errors that are reported to the user, each with the exit code of the command."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence


class DaeError(Exception):
    """A failure that is reported without a traceback.

    The message says what is wrong, where, what was expected and what to do.
    """

    exit_code = 1


class ConfigError(DaeError):
    """An experiment file, an override or an argument is wrong (exit code 2)."""

    exit_code = 2


class DataError(DaeError):
    """The user's data files cannot be used (exit code 2)."""

    exit_code = 2


class DownloadError(DaeError):
    """A data set could not be downloaded (exit code 1)."""


class DivergedError(DaeError):
    """Training produced a NaN or infinite cost; the message names phase, epoch and remedy."""


class OutputError(DaeError):
    """A result cannot be written, such as on a full disk; an older file stays (exit code 1)."""


class NameTooLongError(OutputError):
    """A path is longer than the file system allows (exit code 2)."""

    exit_code = 2

    def __init__(self, path: object) -> None:
        super().__init__(f"{path}: longer than the file system allows; choose a shorter path")


class RunFolderError(DaeError):
    """A run folder is missing, incomplete or unreadable (exit code 2)."""

    exit_code = 2


RUN_REMEDY = "delete the run's folder, then repeat the run with dae replicate or dae train"
"""What to do about a missing or damaged file of a run."""


def plain(text: str) -> str:
    """Replace the characters of another's text that could control a terminal."""
    return "".join(c if c.isprintable() or c == "\n" else "\N{REPLACEMENT CHARACTER}" for c in text)


def shown(text: str) -> str:
    """Return the text, as a Python literal if a character could control a terminal."""
    return text if text.isprintable() else repr(text)


def some(names: Sequence[str], most: int = 6) -> str:
    """Return names separated by commas; of many, the first and how many more."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(map(shown, names[:most])) + more


def did_you_mean(word: str, known: Iterable[str], *, prefix: str = "") -> str:
    """Return '; did you mean X?' for the known word closest to `word`, or '' if none is close."""
    by_folded = {name.casefold(): name for name in known}
    near = difflib.get_close_matches(word.casefold(), by_folded, n=1, cutoff=0.6)
    return f"; did you mean {shown(prefix + by_folded[near[0]])}?" if near else ""
