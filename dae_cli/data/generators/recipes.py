"""Which sets can be regenerated, and by which version of their recipe."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from dae_cli.data.content import Content
from dae_cli.data.digits import DigitSource


@dataclass(frozen=True)
class Recipe:
    """A generator and the digest of the content it gives on every machine."""

    version: int
    sha256: str
    generate: Callable[[DigitSource], Content]
    uses_mnist: bool = False
    exact: bool = False
    """Whether the content is the original's, pixel for pixel."""

    @property
    def id(self) -> str:
        """Names the cache entry: a changed recipe gets another one."""
        return f"v{self.version}-{self.sha256[:8]}"


def _convex(_: DigitSource) -> Content:
    from dae_cli.data.generators.convex import generate_convex

    return generate_convex()


def _rect_img(_: DigitSource) -> Content:
    from dae_cli.data.generators.rect_img import generate_rect_img

    return generate_rect_img()


RECIPES: dict[str, Recipe] = {
    "convex": Recipe(
        1, "0a6afcbc45b329d8ecbb624b38ebb2d4f5c5eaf4d5033cd8ee505b8d07393628", _convex
    ),
    "rect-img": Recipe(
        1, "f05e482541858d9a297a7a7479aa22880e1fef68a0bef09c2924af152ca6b46f", _rect_img
    ),
}
