"""The text of a cell's file with the selected settings in it; what was not searched stays."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from dae_cli.config.dump import one_line
from dae_cli.config.experiments import read_settings_file

MARK = "# Selected on validation by dae search "


def with_settings(path: Path, settings: Mapping[str, Any], comment: str) -> str:
    """Return the text of a cell's file with dotted keys set, and a comment line that says so.

    The lines of sections in which nothing changes stay as they are, and so do comments on lines
    of their own. A section in which something changes becomes one line.

    Args:
        path: the file, which has been read without a problem.
        settings: values of dotted keys of the schema.
        comment: ends the comment at the head of the file; an earlier one like it goes.
    """
    document, _ = read_settings_file(path)
    own: dict[str, Any] = document.value if document else {}
    changed: dict[str, Any] = {}
    for key, value in settings.items():
        *sections, name = key.split(".")
        level = changed
        for section in sections:
            before = own.get(section)
            level = level.setdefault(section, dict(before) if isinstance(before, dict) else {})
        level[name] = value
    text = path.read_text(encoding="utf-8-sig")
    head, body = _parted(text)
    lines = [*head, comment, *_renewed(text, body, len(head), own, changed)]
    return "\n".join(line for line in lines if line is comment or not line.startswith(MARK)) + "\n"


def recorded(path: Path) -> str | None:
    """Return the comment line of the last selection that is in a file; None if there is none."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError):
        return None
    return next((line for line in lines if line.startswith(MARK)), None)


def _parted(text: str) -> tuple[list[str], list[str]]:
    """The comment that a file begins with, and its other lines."""
    lines = text.splitlines()
    count = next((k for k, line in enumerate(lines) if not line.startswith("#")), len(lines))
    return lines[:count], lines[count:]


def _renewed(
    text: str, body: list[str], above: int, own: Mapping[str, Any], changed: Mapping[str, Any]
) -> list[str]:
    """The body with the changed sections in their places, new ones at the end."""
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    new = {key: f"{key}: {one_line(value)}" for key, value in changed.items()}
    if not isinstance(root, yaml.MappingNode):
        return [*body, *new.values()]
    if root.flow_style:
        return [new.get(k, f"{k}: {one_line(v)}") for k, v in {**own, **changed}.items()]
    lines: list[str | None] = list(body)
    for key, value in root.value:
        if key.value in new:
            first, last = key.start_mark.line - above, value.end_mark.line - above
            last += value.end_mark.column > 0
            while last - 1 > first and _says_nothing(body[last - 1]):
                last -= 1
            lines[first:last] = [new.pop(key.value), *[None] * (last - first - 1)]
    return [*(line for line in lines if line is not None), *new.values()]


def _says_nothing(line: str) -> bool:
    return not line.strip() or line.lstrip().startswith("#")
