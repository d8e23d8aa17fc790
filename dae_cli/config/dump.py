"""A resolved experiment as YAML that reads like the paper's protocol."""

from __future__ import annotations

from dae_cli.config.schema import Experiment

_Value = str | int | float | bool | tuple["_Value", ...] | dict[str, "_Value"] | None


def dump_yaml(experiment: Experiment) -> str:
    """One line per section; `load_resolved` reads the same experiment back.

    The strength of noise that does not apply (sigma of masking, destruction of gaussian) and an
    absent subset are left out.
    """
    settings = experiment.model_dump()
    unused = "destruction" if experiment.corruption.kind == "gaussian" else "sigma"
    if settings["corruption"][unused] == 0:
        del settings["corruption"][unused]
    if experiment.subset is None:
        del settings["subset"]
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
