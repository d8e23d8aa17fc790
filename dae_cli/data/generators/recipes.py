"""Which sets can be regenerated, and by which version of their recipe."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from dae_cli.data.content import Content


@dataclass(frozen=True)
class Recipe:
    """A generator and the digest of the content it gives on every machine."""

    version: int
    sha256: str
    generate: Callable[[], Content]

    @property
    def id(self) -> str:
        """Names the cache entry: a changed recipe gets another one."""
        return f"v{self.version}-{self.sha256[:8]}"


def _convex() -> Content:
    from dae_cli.data.generators.convex import generate_convex

    return generate_convex()


def _rect_img() -> Content:
    from dae_cli.data.generators.rect_img import generate_rect_img

    return generate_rect_img()


RECIPES: dict[str, Recipe] = {
    "convex": Recipe(
        1, "2647d38c89276afca7fd8807e2fbb5389b1dc75e47a135597bb3819c1fa8351e", _convex
    ),
    "rect-img": Recipe(
        1, "f6a8ede7f6d25ddd295d40bfdb08d8ad9b046d9025dd69fc651bd8f3e4aa6721", _rect_img
    ),
}
