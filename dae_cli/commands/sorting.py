"""What units can be sorted by: the values of `--sort`, and how each is measured.

A measure is added here alone: its name in ``SortBy``, an entry in ``_MEASURES``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Weights = NDArray[np.floating[Any]]
    Values = NDArray[np.floating[Any]]
    Image = tuple[int, int] | None


class SortBy(StrEnum):
    """Which units come first."""

    unit = "unit"
    strength = "strength"
    gabor = "gabor"
    extent = "extent"
    locality = "locality"
    orientation = "orientation"


@dataclass(frozen=True)
class _Measure:
    """One number for each unit, the largest first, NaN last; ``words`` go into the caption."""

    words: str
    of: Callable[[Weights, Image], Values]


def _strength(weights: Weights, _: Image) -> Values:
    import numpy as np

    norms: Values = np.linalg.norm(weights.astype(np.float64), axis=1)
    return norms


def _gabor(weights: Weights, image: Image) -> Values:
    import numpy as np

    from dae_cli.filters.measures import measure

    return np.array([unit.explained_variance for unit in measure(weights, image)])


def _extent(weights: Weights, image: Image) -> Values:
    from dae_cli.filters.measures import extent

    return extent(weights, image)


def _locality(weights: Weights, image: Image) -> Values:
    from dae_cli.filters.measures import locality

    return locality(weights, image)


def _orientation(weights: Weights, image: Image) -> Values:
    from dae_cli.filters.measures import orientation_selectivity

    return orientation_selectivity(weights, image)[0]


_MEASURES = {
    SortBy.strength: _Measure("the norm of the weights", _strength),
    SortBy.gabor: _Measure("the variance that a Gabor explains", _gabor),
    SortBy.extent: _Measure("the extent of the strongest spot", _extent),
    SortBy.locality: _Measure("locality", _locality),
    SortBy.orientation: _Measure("orientation selectivity", _orientation),
}


def order_of(weights: Weights, sort: SortBy, image: Image = None) -> Sequence[int] | None:
    """The units from the one that comes first; None where they stay as they are.

    Args:
        weights: (units, inputs).
        sort: by what.
        image: height and width of a unit's image; a square if none is given.

    Raises:
        DaeError: a weight is NaN or infinite.
    """
    if sort is SortBy.unit:
        return None
    import numpy as np

    from dae_cli.figures.greys import finite

    values = _MEASURES[sort].of(finite(weights), image)
    return [int(unit) for unit in np.argsort(-values, kind="stable")]


def words_for(sort: SortBy) -> str:
    """What the caption says of the order; nothing where units stay as they are."""
    if sort is SortBy.unit:
        return ""
    return f"sorted by {_MEASURES[sort].words}, largest first"
