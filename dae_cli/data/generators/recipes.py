"""Which sets can be regenerated, and by which version of their recipe."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from dae_cli.data.content import Content
from dae_cli.data.digits import DigitSource
from dae_cli.data.registry import REGISTRY


@dataclass(frozen=True)
class Recipe:
    """A generator and the digest of the content it gives on every machine."""

    version: int
    sha256: str
    generate: Callable[[DigitSource], Content]
    uses_mnist: bool = False
    exact: bool = False
    """Whether the content is the original's, pixel for pixel."""
    calibrated_by: str = ""
    """The model of table 1 whose published error chose what was left open, if one did."""

    @property
    def id(self) -> str:
        """Names the cache entry: a changed recipe gets another one."""
        return f"v{self.version}-{self.sha256[:8]}"


def _basic(digits: DigitSource) -> Content:
    from dae_cli.data.recipes.digits import generate_basic

    return generate_basic(REGISTRY["basic"], digits())


def _rot(digits: DigitSource) -> Content:
    from dae_cli.data.recipes.digits import generate_rot

    return generate_rot(REGISTRY["rot"], digits())


def _bg_rand(digits: DigitSource) -> Content:
    from dae_cli.data.recipes.digits import generate_bg_rand

    return generate_bg_rand(REGISTRY["bg-rand"], digits())


def _bg_img(digits: DigitSource) -> Content:
    from dae_cli.data.recipes.digits import generate_bg_img

    return generate_bg_img(REGISTRY["bg-img"], digits())


def _rot_bg_img(digits: DigitSource) -> Content:
    from dae_cli.data.recipes.digits import generate_rot_bg_img

    return generate_rot_bg_img(REGISTRY["rot-bg-img"], digits())


def _rect(_: DigitSource) -> Content:
    from dae_cli.data.recipes.shapes import generate_rect

    return generate_rect(REGISTRY["rect"])


def _convex(_: DigitSource) -> Content:
    from dae_cli.data.recipes.shapes import generate_convex

    return generate_convex(REGISTRY["convex"])


def _rect_img(_: DigitSource) -> Content:
    from dae_cli.data.recipes.patches import generate_rect_img

    return generate_rect_img(REGISTRY["rect-img"])


RECIPES: dict[str, Recipe] = {
    "basic": Recipe(
        1,
        "0160063fe7b9598c556ea2c9cf7d571cf9aa654670e54313ff1089a11579ed52",
        _basic,
        uses_mnist=True,
        exact=True,
    ),
    "rot": Recipe(
        1,
        "b78ee959b86652a0c569a6ede70495ab8edb54a91b0ecf430783570d3c8cc9a1",
        _rot,
        uses_mnist=True,
    ),
    "bg-rand": Recipe(
        1,
        "78350c3dcee69a5932f51974d9a53d4d4805cfdceb94a07fc0967d80cc7a90fe",
        _bg_rand,
        uses_mnist=True,
    ),
    "bg-img": Recipe(
        1,
        "c6dadef861387080ae294b80e3370240c9c5700cea1a02b7840552897ea8d69a",
        _bg_img,
        uses_mnist=True,
    ),
    "rot-bg-img": Recipe(
        1,
        "da2c595c654339257d2c81908eebcde1258891a2b0b642f78e72b550027676d3",
        _rot_bg_img,
        uses_mnist=True,
    ),
    "rect": Recipe(2, "137a11ac69be027bb202de4a7a413ee60d3037a3ebc0138874ce38ec002cf598", _rect),
    "convex": Recipe(
        2, "17e21309807955ce013ff1d43995ee7dad052089bae57c0b2a9e86f9b6a0466e", _convex
    ),
    "rect-img": Recipe(
        2,
        "76d4939515f4383dc8fc3fbaab3b5e64412cf277b772ddd9de2bdcc5a66cc051",
        _rect_img,
        calibrated_by="SVM_rbf",
    ),
}
