"""Kinds of corruption and of layers: their names in YAML, and how runs and reports call them.

One that is added here can be named in every experiment; `models/corruption.py` and
`training/state.py` say which class it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class CorruptionKind:
    """How a corruption is called, and which settings it has."""

    words: str
    """Beside a picture; `{:g}` is the level."""
    in_run_names: str = ""
    """Comes before the level there."""
    level: Literal["destruction", "sigma"] = "destruction"
    """The setting that says how much: a fraction, told in percent, or a standard deviation."""
    options: tuple[str, ...] = ()
    """Settings that no other kind has, unless it names them as well."""


@dataclass(frozen=True)
class LayerKind:
    """How models of such layers are called."""

    alone: str = ""
    """One that is trained for its filters; empty: an AE, by its corruption and penalties."""
    stacked: str = ""
    """A network of them, without its depth; empty: an SAA or SdA, by its corruption."""


CORRUPTIONS = {
    "masking": CorruptionKind("{:g} % destroyed"),
    "gaussian": CorruptionKind("Gaussian noise, σ {:g}", "gaussian", level="sigma"),
    "salt-and-pepper": CorruptionKind(
        "{:g} % salt and pepper", "saltpepper", options=("pepper", "salt")
    ),
}

LAYERS = {"autoencoder": LayerKind(), "rbm": LayerKind(alone="RBM", stacked="DBN")}
