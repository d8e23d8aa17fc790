"""Write a resolved experiment as plain settings or as YAML."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Sequence
from typing import Any

from dae_cli.config.schema import (
    CORRUPTIONS,
    SETTING_KEYS,
    AnyExperiment,
    CorruptionSettings,
    SvmExperiment,
)
from dae_cli.data.datasets import OwnDataset

_ADDED_LATER: dict[str, dict[str, object]] = {
    "corruption": {
        option: CorruptionSettings.model_fields[option].default
        for kind in CORRUPTIONS.values()
        for option in kind.options
    },
    "pretrain": {
        "kind": "autoencoder",
        "gibbs_steps": 1,
        "persistent": False,
        "sample_visible": True,
        "weight_decay": 0.0,
        "contraction": 0.0,
    },
    "finetune": {"window": 1, "decrease": 0.0, "weight_decay": 0.0},
    "svm": {"offsets": [1.0], "destructions": [0.0], "widen": False},
}
"""Settings that were added later, by section, with the value that means the earlier behaviour.
Digests leave a setting out at this value, so that the names of earlier runs stay the same."""


def settings_for_digest(experiment: AnyExperiment) -> dict[str, Any]:
    """Return all settings except those in `_ADDED_LATER` that have the value listed there."""
    settings = experiment.model_dump(mode="json")
    for section, before in _ADDED_LATER.items():
        there = settings.get(section, {})
        for name, value in before.items():
            if name in there and there[name] == value:
                del there[name]
    return settings


def flat_settings(experiment: AnyExperiment) -> dict[str, Any]:
    """Return every setting by its dotted key, such as `pretrain.epochs`."""
    return _flat(experiment.model_dump())


def _flat(settings: dict[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in settings.items():
        inner = value if isinstance(value, dict) else {"": value}
        flat |= {f"{name}.{key}".rstrip("."): item for key, item in inner.items()}
    return flat


def differing(before: AnyExperiment, now: AnyExperiment) -> tuple[str, ...]:
    """Return the changed settings except the seed, such as `corruption.destruction 0.15`."""
    old, new = _flat(settings_for_digest(before)), _flat(settings_for_digest(now))
    return tuple(
        f"{name} {one_line(new[name]) if new.get(name) is not None else 'not set'}"
        for name in dict.fromkeys([*new, *old])
        if name != "seed" and old.get(name) != new.get(name)
    )


def differing_settings(
    experiments: Sequence[AnyExperiment], but: Collection[str] = ("dataset", "seed")
) -> list[dict[str, str]]:
    """Return each experiment's settings that are not the same in all, by dotted key, as text.

    They have the schema's order. The text is empty if an experiment lacks the setting. A setting
    does not differ just because some kind of experiment lacks its section.
    """
    flat = [flat_settings(experiment) for experiment in experiments]

    def text(own: dict[str, Any], key: str) -> str:
        return "" if own.get(key) is None else one_line(own[key])

    def differs(key: str) -> bool:
        section = key.partition(".")[0]
        return len({text(own, key) for own in flat if key in own or section in own}) > 1

    keys = [key for key in SETTING_KEYS if key not in but and differs(key)]
    return [{key: text(own, key) for key in keys} for own in flat]


def dump_yaml(experiment: AnyExperiment) -> str:
    """Return an experiment as YAML, one line per section; `load_resolved` reads it back.

    Settings that do not apply (sigma of masking, destruction of gaussian, degrees of the kernel
    rbf), absent sections and the settings that `settings_for_digest` skips are left out.
    """
    settings = {k: v for k, v in settings_for_digest(experiment).items() if v is not None}
    if isinstance(experiment, SvmExperiment):
        if experiment.svm.kernel == "rbf":
            del settings["svm"]["degrees"]
    else:
        level = CORRUPTIONS[experiment.corruption.kind].level
        unused = "sigma" if level == "destruction" else "destruction"
        if settings["corruption"][unused] == 0:
            del settings["corruption"][unused]
    lines = {key: one_line(value) for key, value in settings.items()}
    if isinstance(experiment.dataset, OwnDataset) and experiment.dataset.facts:
        facts = experiment.dataset.facts.model_dump(mode="json", exclude_defaults=True)
        lines["dataset"] = one_line(facts, quoted)
    return "".join(f"{key}: {line}\n" for key, line in lines.items())


def one_line(value: Any, text: Callable[[str], str] = str) -> str:
    """Return a setting as `dump_yaml` writes it: all digits of numbers, sections in braces."""
    if isinstance(value, dict):
        pairs = (f"{key}: {one_line(item, text)}" for key, item in value.items())
        return f"{{{', '.join(pairs)}}}"
    if isinstance(value, tuple | list):
        return f"[{', '.join(one_line(item, text) for item in value)}]"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        digits = repr(value)  # the shortest text that is read back as the same float
        return digits.replace("e", ".0e") if "e" in digits and "." not in digits else digits
    return text(value) if isinstance(value, str) else str(value)


def quoted(text: str) -> str:
    """Return free text, such as a title, in double quotes on one line of YAML."""
    written = json.dumps(text, ensure_ascii=False)
    return "".join(c if c.isprintable() else f"\\U{ord(c):08x}" for c in written)
