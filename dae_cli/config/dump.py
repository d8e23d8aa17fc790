"""A resolved experiment as plain settings, and as YAML that reads like the paper's protocol."""

from __future__ import annotations

import json
from typing import Any, Literal

from dae_cli.config.schema import AnyExperiment, SvmExperiment

_ADDED_LATER: dict[str, dict[str, object]] = {
    "corruption": {"pepper": 0.0, "salt": 1.0},
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
"""Settings that experiments had not from the start, by section, with the value that says what was
done before there was a choice. They are left out at this value, so that runs keep their names."""

_Value = str | int | float | bool | tuple["_Value", ...] | dict[str, "_Value"] | None


def settings_for_digest(
    experiment: AnyExperiment, mode: Literal["python", "json"] = "python"
) -> dict[str, Any]:
    """Return all settings but later ones at the value that says what was done before them.

    Args:
        experiment: the resolved config.
        mode: of pydantic's dump; "json" has lists where "python" has tuples.
    """
    settings = experiment.model_dump(mode=mode)
    for section, before in _ADDED_LATER.items():
        there = settings.get(section, {})
        for name, value in before.items():
            own = there.get(name)
            if name in there and (list(own) if isinstance(own, tuple) else own) == value:
                del there[name]
    return settings


def differing(before: AnyExperiment, now: AnyExperiment) -> tuple[str, ...]:
    """Return the settings that two experiments do not share, as the second has them.

    Such as `corruption.destruction 0.15`. The seed is left out, which every row tells.
    """
    old, new = _flat(settings_for_digest(before)), _flat(settings_for_digest(now))
    there = [name for name in dict.fromkeys([*new, *old]) if name != "seed"]
    return tuple(
        f"{name} {_flow(new[name]) if name in new else 'not set'}"
        for name in there
        if name not in old or name not in new or old[name] != new[name]
    )


def _flat(settings: dict[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in settings.items():
        if isinstance(value, dict):
            flat |= {f"{name}.{key}": item for key, item in value.items()}
        elif value is not None:
            flat[name] = value
    return flat


def dump_yaml(experiment: AnyExperiment) -> str:
    """One line per section; `load_resolved` reads the same experiment back.

    What does not apply (sigma of masking, destruction of gaussian, degrees of the kernel rbf) and
    absent sections are left out, and so is what `settings_for_digest` leaves out.
    """
    settings = settings_for_digest(experiment)
    for absent in ("subset", "patches", "rows"):
        if absent in settings and settings[absent] is None:
            del settings[absent]
    if isinstance(experiment, SvmExperiment):
        if experiment.svm.kernel == "rbf":
            del settings["svm"]["degrees"]
        return _lines(settings)
    unused = "destruction" if experiment.corruption.kind == "gaussian" else "sigma"
    if settings["corruption"][unused] == 0:
        del settings["corruption"][unused]
    return _lines(settings)


def _lines(settings: dict[str, _Value]) -> str:
    return "".join(f"{key}: {_flow(value)}\n" for key, value in settings.items())


def _flow(value: _Value) -> str:
    if isinstance(value, dict):
        return f"{{{', '.join(f'{key}: {_flow(item)}' for key, item in value.items())}}}"
    if isinstance(value, tuple):
        return f"[{', '.join(_flow(item) for item in value)}]"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return _decimal(value)
    return str(value)


def _decimal(value: float) -> str:
    """The shortest text that gives the same float, with the point that other YAML readers need."""
    text = repr(value)
    if "e" in text and "." not in text:
        text = text.replace("e", ".0e")
    return text


def one_line(value: _Value) -> str:
    """A setting as `dump_yaml` writes it: numbers with all their digits, sections in braces."""
    return _flow(value)


def quoted(text: str) -> str:
    """Text that people write, such as a title, in double quotes on one line of YAML."""
    written = json.dumps(text, ensure_ascii=False)
    return "".join(c if c.isprintable() else f"\\U{ord(c):08x}" for c in written)


def flat_settings(experiment: AnyExperiment) -> dict[str, Any]:
    """Every setting by its dotted key, such as `pretrain.epochs`."""
    flat: dict[str, Any] = {}
    for name, value in experiment.model_dump().items():
        inner = value if isinstance(value, dict) else {"": value}
        flat.update({f"{name}.{key}".rstrip("."): item for key, item in inner.items()})
    return flat
