"""The `search` section of a study.yaml: which settings of which cells are searched, and where.

A list; each item names cells by globs, the ranges of dotted keys, how many
trials each cell is to have, drawn from which seed, and when they are pruned:

    search:
      - cells: convex-*
        space:
          units: {low: 500, high: 3000, step: 500}
          layers: {choices: [1, 2, 3]}
          pretrain.learning_rate: {low: 0.005, high: 0.2, log: true}
        trials: 8
        sampler_seed: 0
        prune: {after_trials: 5, from_epoch: 10}
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeGuard

from dae_cli.config.checks import layer_problems
from dae_cli.config.domains import Choices, Domain, Range, Value
from dae_cli.config.entries import Entry, Place, Scalar
from dae_cli.config.problems import Problem, did_you_mean
from dae_cli.config.words import item_expectation, known_keys, suggestion

UNITS, LAYERS = "units", "layers"
"""Keys of a space that together make model.hidden: so many layers of so many units each."""
MOST_LAYERS = 20
_NEVER = {
    "dataset": "a cell is of one data set",
    "seed": "a seed is no setting to be selected",
    "model.hidden": f"search {UNITS} (of each hidden layer) and {LAYERS} (their number)",
}
_NEVER_WITHIN = {
    "subset": "all rows count",
    "svm": "an SVM selects within its own run",
    "patches": "what is trained for its filters alone has no error to select by",
    "rows": "what is trained for its filters alone has no error to select by",
}
_ENTRY_KEYS = ("cells", "space", "trials", "sampler_seed", "prune")
_RANGE_KEYS, _CHOICES_KEY = ("low", "high", "log", "step"), "choices"
_FORMS = "{low: …, high: …} with log: true or step: …, or {choices: […]}"
_WHOLE, _NUMBER = "a whole number", "a number"
_LARGEST = 2**32 - 1


@dataclass(frozen=True)
class PruneSettings:
    """When a trial is given up: its best validation error so far is above the median's.

    The median is that of the completed trials at the same epoch of fine-tuning.
    """

    after_trials: int = 5
    """Completed trials that there must be, of the cell and at the epoch."""
    from_epoch: int = 10
    """The first epoch of fine-tuning that can be the last."""


@dataclass(frozen=True)
class SearchEntry:
    """One item of the section: what is searched in some cells."""

    cells: tuple[str, ...]
    """Globs over the names of the study's cells."""
    space: Mapping[str, Domain]
    trials: int | None
    """That each cell is to have, unless the command says; None where the study does not say."""
    sampler_seed: int
    """That draws start from, unless the command says."""
    prune: PruneSettings
    place: Place
    """Where it is written, for messages."""
    entries: Mapping[str, Entry] = field(default_factory=dict, compare=False)
    """The range of each key as written, for messages."""


def read_search(section: Entry | None) -> tuple[tuple[SearchEntry, ...], list[Problem]]:
    """The items of a `search` section, none if there is no section, and every problem in it."""
    if section is None:
        return (), []
    if not isinstance(section.value, tuple) or not section.value:
        return (), [section.problem("search", "must be a list of items with cells and space")]
    found, problems = [], []
    for number, item in enumerate(section.value, start=1):
        entry, wrong = _entry(item, f"search item {number}")
        problems += wrong
        if entry is not None and not wrong:
            found.append(entry)
    return tuple(found), problems


def _entry(item: Entry, key: str) -> tuple[SearchEntry | None, list[Problem]]:
    if not isinstance(item.value, dict):
        return None, [
            item.problem(key, f"must be a mapping with the keys {', '.join(_ENTRY_KEYS)}")
        ]
    problems = _unknown(item.value, key, _ENTRY_KEYS)
    missing = [name for name in ("cells", "space") if name not in item.value]
    if missing:
        return None, [*problems, item.problem(key, f"{' and '.join(missing)} must be given")]
    cells = _globs(item.value["cells"], f"{key}.cells", problems)
    space = _space(item.value["space"], f"{key}.space", problems)
    trials = _counts(item.items, key, ("trials",), problems).get("trials")
    seed = _counts(item.items, key, ("sampler_seed",), problems, 0).get("sampler_seed", 0)
    prune = _prune(item.value.get("prune"), f"{key}.prune", problems)
    written = item.value["space"].items
    return SearchEntry(cells, space, trials, seed, prune, item.place, written), problems


def _globs(entry: Entry, key: str, problems: list[Problem]) -> tuple[str, ...]:
    globs = entry.value if isinstance(entry.value, tuple) else (entry,)
    names = tuple(glob.value for glob in globs if isinstance(glob.value, str) and glob.value)
    if not names or len(names) < len(globs):
        text = "must be a cell's name or glob such as convex-*, or a list of them"
        problems.append(entry.problem(key, text))
    return names


def _space(entry: Entry, key: str, problems: list[Problem]) -> dict[str, Domain]:
    if not entry.items:
        text = f"must be a mapping of dotted keys to ranges: {_FORMS}"
        problems.append(entry.problem(key, text))
        return {}
    known = {k: e for k, e in known_keys().items() if not e.kind.startswith("a mapping")}
    space: dict[str, Domain] = {}
    for name, item in entry.items.items():
        if reason := _NEVER.get(name) or _NEVER_WITHIN.get(name.partition(".")[0]):
            problems.append(item.problem(f"{key}.{name}", f"cannot be searched: {reason}"))
        elif name not in known and name not in (UNITS, LAYERS):
            near = did_you_mean(name, (*known, UNITS, LAYERS)) or suggestion(name, known)
            problems.append(item.problem(f"{key}.{name}", f"unknown key{near}"))
        else:
            kind = known[name].kind if name in known else _WHOLE
            domain = _domain(name, item, f"{key}.{name}", kind, problems)
            if domain is not None:
                space[name] = domain
    return space


def _domain(name: str, item: Entry, key: str, kind: str, problems: list[Problem]) -> Domain | None:
    """A range or choices; None, with the problems, if it is neither."""
    if not isinstance(item.value, dict):
        problems.append(item.problem(key, f"must be a range: {_FORMS}"))
        return None
    if _CHOICES_KEY in item.value:
        wrong = _unknown(item.value, key, (_CHOICES_KEY,))
        return None if _told(wrong, problems) else _choices(name, item, key, kind, problems)
    if kind not in (_WHOLE, _NUMBER):
        problems.append(item.problem(key, f"is {kind}, no range of numbers: give choices: […]"))
        return None
    wrong = _unknown(item.value, key, _RANGE_KEYS)
    wrong += [
        item.problem(key, f"has no {end}; write {_FORMS}")
        for end in ("low", "high")
        if end not in item.value
    ]
    return None if _told(wrong, problems) else _range(name, item, key, kind, problems)


def _choices(
    name: str, item: Entry, key: str, kind: str, problems: list[Problem]
) -> Choices | None:
    listed = item.items[_CHOICES_KEY]
    if not isinstance(listed.value, tuple) or not listed.value:
        problems.append(listed.problem(f"{key}.choices", "must be a list of values"))
        return None
    wrong = [problem for value in listed.value for problem in value_problems(name, value)]
    if _told(wrong, problems):
        return None
    values = tuple(_as_kind(value.value, kind) for value in listed.value)
    if len(set(values)) < len(values):
        problems.append(listed.problem(f"{key}.choices", "has the same value twice"))
        return None
    return Choices(values)


def _range(name: str, item: Entry, key: str, kind: str, problems: list[Problem]) -> Range | None:
    low, high = item.items["low"], item.items["high"]
    log, step = item.items.get("log"), item.items.get("step")
    wrong = [*value_problems(name, low), *value_problems(name, high)]
    if log is not None and not isinstance(log.value, bool):
        wrong.append(log.problem(f"{key}.log", "must be true or false"))
    if step is not None and not (_is_number(step.value, kind) and step.value > 0):
        wrong.append(step.problem(f"{key}.step", f"must be {kind} above 0"))
    if _told(wrong, problems):
        return None
    found = Range(
        _number(low, kind),
        _number(high, kind),
        log is not None and log.value is True,
        None if step is None else _number(step, kind),
    )
    if text := _contradiction(found):
        problems.append(item.problem(key, text))
        return None
    return found


def _contradiction(found: Range) -> str:
    """What is wrong with the ends of a range together; empty if nothing is."""
    if found.low >= found.high:
        return "low must be below high; a setting of one value belongs into the cell's file"
    if found.log and found.step is not None:
        return "has both log and step; choose one"
    if found.log and found.low <= 0:
        return "low must be above 0 on a logarithmic scale"
    if found.step is not None:
        steps = (found.high - found.low) / found.step
        if abs(steps - round(steps)) > 1e-9 * max(1.0, steps) or round(steps) < 1:
            return "high must be low and a whole number of steps"
    return ""


def value_problems(name: str, value: Entry) -> list[Problem]:
    """What the schema has against one value of a key of a space."""
    if name == LAYERS:
        if not _is_number(value.value, _WHOLE) or not 1 <= value.value <= MOST_LAYERS:
            return [value.problem(name, f"must be a whole number from 1 to {MOST_LAYERS}")]
        return []
    if name == UNITS:
        nested = Entry({"hidden": Entry((value,), value.place)}, value.place)
        if layer_problems({"model": nested}):
            text = f"must be {item_expectation('model.hidden').full()}"
            return [value.problem(name, text)]
        return []
    nested = value
    for part in reversed(name.split(".")[1:]):
        nested = Entry({part: nested}, value.place)
    return layer_problems({name.partition(".")[0]: nested})


def _prune(entry: Entry | None, key: str, problems: list[Problem]) -> PruneSettings:
    if entry is None:
        return PruneSettings()
    known = ("after_trials", "from_epoch")
    if not isinstance(entry.value, dict):
        problems.append(entry.problem(key, f"must be a mapping with the keys {', '.join(known)}"))
        return PruneSettings()
    problems += _unknown(entry.value, key, known)
    return PruneSettings(**_counts(entry.value, key, known, problems))


def _counts(
    items: Mapping[str, Entry],
    key: str,
    names: tuple[str, ...],
    problems: list[Problem],
    least: int = 1,
) -> dict[str, int]:
    """The whole numbers, of `least` or more, that stand at some keys."""
    found = {}
    for name in names:
        if (item := items.get(name)) is None:
            continue
        if _is_number(item.value, _WHOLE) and least <= item.value <= _LARGEST:
            found[name] = int(item.value)
        else:
            text = f"must be a whole number, {least} or more"
            problems.append(item.problem(f"{key}.{name}", text))
    return found


def _unknown(items: Mapping[str, Entry], key: str, known: tuple[str, ...]) -> list[Problem]:
    problems = []
    for name, item in items.items():
        if name not in known:
            near = did_you_mean(name, known) or f"; the keys are {', '.join(known)}"
            problems.append(item.problem(f"{key}.{name}", f"unknown key{near}"))
    return problems


def _told(wrong: list[Problem], problems: list[Problem]) -> bool:
    problems += wrong
    return bool(wrong)


def _is_number(value: object, kind: str) -> TypeGuard[int | float]:
    if isinstance(value, bool):
        return False
    return isinstance(value, int) or (kind == _NUMBER and isinstance(value, float))


def _number(entry: Entry, kind: str) -> int | float:
    assert _is_number(entry.value, kind), entry  # the schema has taken it
    return float(entry.value) if kind == _NUMBER else entry.value


def _as_kind(value: Scalar | tuple[Entry, ...] | dict[str, Entry], kind: str) -> Value:
    assert isinstance(value, str | int | float | bool), value  # the schema has taken it
    return float(value) if kind == _NUMBER else value
