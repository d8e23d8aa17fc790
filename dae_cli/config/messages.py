"""Write all messages about settings: what is wrong, where, what was expected, what was meant.

The expected value comes from pydantic's JSON schema of the model that rejected the given one. A
field's `description` ends the message ("must be from 0 to 1: <description>"). `expected` in its
`json_schema_extra` replaces the text for its type. A `partial` model describes a file that other
files complete, so its keys may be missing.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from dae_cli.errors import ConfigError, did_you_mean, shown

if TYPE_CHECKING:
    from dae_cli.config.reader import Document

KeyPath = tuple[str | int, ...]
"""The keys, and indices of list items from 0, that lead to a value."""
_Schema = dict[str, Any]

_WIDEST_COLUMN = 48
"""If the left column is wider, the text starts on the next line, to fit a terminal."""
_OUT_OF_RANGE = {"greater_than", "greater_than_equal", "less_than", "less_than_equal"}
_YES_AND_NO = {"yes": "true", "on": "true", "no": "false", "off": "false"}


@dataclass(frozen=True)
class Problem:
    """A problem: `where` it is (file:line and value, or the --set argument) and what is wrong."""

    where: str
    text: str


def config_error(title: str, problems: Sequence[Problem]) -> ConfigError:
    """Return one error with all problems of `title` in two columns, without duplicates."""
    unique = list(dict.fromkeys(problems))
    count = "1 problem" if len(unique) == 1 else f"{len(unique)} problems"
    width = max((len(problem.where) for problem in unique), default=0)
    lines = [f"{count} with {shown(title)}:"]
    for problem in unique:
        first, *rest = problem.text.splitlines() or [""]
        if width <= _WIDEST_COLUMN:
            lines.append(f"  {problem.where:<{width}}   {first}")
        else:
            lines += [f"  {problem.where}", f"      {first}"]
        lines += [f"      {line}" for line in rest]
    return ConfigError("\n".join(lines))


def path_label(path: KeyPath) -> str:
    """Return a path for messages: `pretrain.epochs`, `search item 1.space`, `figures item 2: name`.

    An item that is a plain value is reported with its list (`item 2 (0) must be …`).
    """
    label = ""
    for step in path:
        if isinstance(step, int):
            label += f" item {step + 1}"
        elif label:
            label += (": " if path[0] == "figures" and label[-1].isdigit() else ".") + step
        else:
            label = step
    return label


def errors_of(model: type[BaseModel], values: object) -> list[ErrorDetails]:
    """Return pydantic's errors about values; none if they are valid."""
    try:
        model.model_validate(values)
    except ValidationError as error:
        return error.errors(include_url=False, include_context=False)
    return []


def problems_with(
    model: type[BaseModel],
    document: Document,
    label: str = "",
    others: Iterable[tuple[KeyPath, Problem]] = (),
) -> list[Problem]:
    """Return every unknown key and wrong value of a document, in the order of its lines.

    `label` is the place of missing keys; `others` are problems that the model does not find.
    """
    details = errors_of(model, document.value)
    broken = {d["loc"][:k] for d in details for k, s in enumerate(d["loc"]) if isinstance(s, int)}
    found = []
    for detail in details:
        path, kind = detail["loc"], detail["type"]
        if isinstance(path[-1], int) and not document.has(path):  # text instead of a list
            detail["loc"] = path = path[:-1]
        nodes = _nodes(model, path)
        if kind == "too_short" and path in broken:  # counts only the valid items
            continue
        if kind == "missing" and any(node.get("partial") for node in nodes):
            continue
        problem = _problem(document, detail, nodes, label)
        found.append((max(document.place(path).line, 1), kind == "missing", problem))
    found += [(document.place(path).line, False, problem) for path, problem in others]
    found.sort(key=lambda one: one[:2])
    return [problem for _, _, problem in found]


def known_keys(model: type[BaseModel]) -> dict[str, _Schema]:
    """Return every dotted key of a model, including sections, with its schema."""
    return dict(_flat(_json_schema(model), ""))


def expected(node: _Schema) -> str:
    """Return what a key expects, with bounds and description, to follow 'must be'."""
    words = " ".join(part for part in (kind_of_value(node), _bounds(node)) if part)
    return f"{words}{_reason(node)}"


def kind_of_value(node: _Schema) -> str:
    """Return the kind of value that a key expects: a number, one of …, a list of …"""
    if "expected" in node:
        return str(node["expected"])
    if "enum" in node:
        return f"one of {', '.join(map(str, node['enum']))}"
    if node.get("type") == "array":
        items = {"integer": "whole numbers", "number": "numbers"}.get(
            node["items"]["type"], "texts"
        )
        low, high = node.get("minItems", 0), node.get("maxItems")
        count = f"{low} to {high}" if high is not None else f"{low} or more"
        example = f", such as {node['examples'][0]}" if "examples" in node else ""
        return f"a list of {count} {items} {_bounds(node['items'])}".strip() + example
    if node.get("type") == "object":
        keys = ", ".join(node.get("properties", ()))
        return f"a mapping with the keys {keys}" if keys else "a mapping"
    kinds = {"boolean": "true or false", "integer": "a whole number", "number": "a number"}
    return kinds.get(node.get("type", ""), "text")


def _suggestion(path: KeyPath, nodes: Sequence[_Schema]) -> str:
    """Return '; did you mean …?' for an unknown key, or the valid keys if none is similar.

    Candidates are similar keys of the same section and the same key in other sections. The search
    covers the enclosing list item or mapping entry, or else the whole document.
    """
    one_of_many = [
        depth
        for depth, step in enumerate(path[:-1], start=1)
        if step not in nodes[depth - 1].get("properties", {})
    ]
    depth = max(one_of_many, default=0)
    above, inner = path[:depth], [str(step) for step in path[depth:]]
    in_list = any(isinstance(step, int) for step in above)
    prefix = f"{path_label(above)}." if above and not in_list else ""
    known = [key for key, _ in _flat(nodes[depth], "")]
    section, name = ".".join(inner[:-1]), inner[-1]
    siblings = {k.rpartition(".")[2]: k for k in known if k.rpartition(".")[0] == section}
    elsewhere = [k for k in known if k.rpartition(".")[2] == name]
    near = [siblings[n] for n in difflib.get_close_matches(name, siblings, n=1, cutoff=0.6)]
    near = [*near, *elsewhere] if section or not elsewhere else elsewhere
    if near:
        return f"; did you mean {' or '.join(prefix + k for k in dict.fromkeys(near))}?"
    return f"; the keys are {', '.join(prefix + k for k in siblings.values())}"


def _problem(
    document: Document, detail: ErrorDetails, nodes: Sequence[_Schema], label: str
) -> Problem:
    """Return an error of pydantic as a problem at the place of the value."""
    path, kind, node = detail["loc"], detail["type"], nodes[-1]
    if kind == "missing":
        text = f"{path[-1]} is missing: {expected(node)}"
        above = path[:-1]
        return document.problem(above, text) if above else Problem(label, text)
    if kind == "extra_forbidden":
        return document.problem(path, f"unknown key{_suggestion(path, nodes)}")
    if kind == "value_error":
        return document.problem(path, detail["msg"].removeprefix("Value error, "))
    if isinstance(path[-1], int) and node.get("type") != "object":
        words = _bounds(node) if kind in _OUT_OF_RANGE else expected(node) + _hint(detail, node)
        item = f"item {path[-1] + 1} ({document.written(path)})"
        return document.problem(path[:-1], f"{item} must be {words}")
    if kind in _OUT_OF_RANGE and "description" in node:
        return document.problem(
            path, f"must be {_bounds(node)}{_reason(node)}{_hint(detail, node)}"
        )
    return document.problem(path, f"must be {expected(node)}{_hint(detail, node)}")


def _hint(detail: ErrorDetails, node: _Schema) -> str:
    """Return '; did you mean X?' for a percentage instead of a fraction, or a misspelt word."""
    given = detail["input"]
    if "fraction" in node.get("description", ""):
        return _fraction(given)
    if not isinstance(given, str):
        return ""
    if node.get("type") == "boolean":
        return did_you_mean(_YES_AND_NO.get(given.casefold(), given), ("true", "false"))
    return did_you_mean(given, node.get("enum", ()))


def _fraction(given: object) -> str:
    """Return '; did you mean 0.15?' for 15 or '15 %'."""
    try:
        percent = float(str(given).removesuffix("%"))
    except ValueError:
        return ""
    return f"; did you mean {percent / 100:g}?" if 1 <= percent < 100 else ""


@cache
def _json_schema(model: type[BaseModel]) -> _Schema:
    schema = model.model_json_schema()
    whole: _Schema = _resolved(schema, schema.pop("$defs", {}))
    return whole


def _resolved(node: Any, definitions: _Schema) -> Any:
    """Return the schema with all references resolved and alternatives of null removed."""
    if isinstance(node, list):
        return [_resolved(item, definitions) for item in node]
    if not isinstance(node, dict):
        return node
    if "anyOf" in node:
        (option,) = (option for option in node["anyOf"] if option.get("type") != "null")
        node = {**option, **{key: value for key, value in node.items() if key != "anyOf"}}
    if "$ref" in node:
        node = {**definitions[node.pop("$ref").rpartition("/")[2]], **node}
    return {key: _resolved(value, definitions) for key, value in node.items()}


def _nodes(model: type[BaseModel], path: KeyPath) -> list[_Schema]:
    """Return the schemas of the document and of each step of a path ({} if unknown)."""
    nodes = [_json_schema(model)]
    for step in path:
        below = nodes[-1].get("properties", {}).get(step)
        many = "items" if isinstance(step, int) else "additionalProperties"
        nodes.append(below or nodes[-1].get(many) or {})
    return nodes


def _flat(node: _Schema, prefix: str) -> Iterator[tuple[str, _Schema]]:
    for name, below in node.get("properties", {}).items():
        yield prefix + name, below
        yield from _flat(below, f"{prefix}{name}.")


def _reason(node: _Schema) -> str:
    given = "expected" in node or node.get("type") == "object"
    return f": {node['description']}" if "description" in node and not given else ""


def _bounds(node: _Schema) -> str:
    ge, gt = node.get("minimum"), node.get("exclusiveMinimum")
    le, lt = node.get("maximum"), node.get("exclusiveMaximum")
    low = f"from {ge}" if ge is not None else f"above {gt}" if gt is not None else ""
    if le is not None:
        return f"{low} {'to' if ge is not None else 'and at most'} {le}".strip()
    if lt is not None:
        return f"{low} to below {lt}".strip()
    return f"{ge} or more" if ge is not None else low
