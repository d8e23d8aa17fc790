"""A user's declaration of their own data set, and the facts found in its files."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer, PlainValidator, WithJsonSchema

from dae_cli.data.datasets import DatasetSpec

FRACTION = 0.15
"""Default fraction of each class for the validation set, and for the test set."""
MOST_CLASSES = 1000
"""With more, the label column most likely contains measurements."""


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_scale(value: Any) -> bool:
    if not isinstance(value, dict):
        return value in ("minmax", "none")
    ends = value.get("from")
    if list(value) != ["from"] or not isinstance(ends, list) or len(ends) != 2:
        return False
    return all(map(_is_number, ends)) and bool(ends[0] < ends[1])


def _is_image(value: Any) -> bool:
    whole = isinstance(value, list) and all(isinstance(size, int) for size in value)
    return whole and len(value) in (2, 3) and min(value) >= 1 and tuple(value[2:]) in ((), (3,))


def _is_part(value: Any) -> bool:
    return bool(value) if isinstance(value, str) else _is_number(value) and 0 < value < 1


def _either(words: str, is_sound: Callable[[Any], bool]) -> tuple[Any, Any, Any]:
    """Annotations of a setting of several forms; `words` describes them in messages."""

    def checked(value: Any) -> Any:
        if not is_sound(value):
            raise ValueError(f"must be {words}")
        return value

    return (
        PlainValidator(checked),
        PlainSerializer(lambda value: value),
        WithJsonSchema({"expected": words}),
    )


_Scale = Annotated[
    Literal["minmax", "none"] | dict[str, list[float]],
    *_either("minmax, none, or the values that become 0 and 1: {from: [low, high]}", _is_scale),
]
_Image = Annotated[
    list[int], *_either("[height, width], or [height, width, 3] for colour images", _is_image)
]
_Part = Annotated[
    float | str, *_either("a fraction above 0 and below 1, or a file or folder of rows", _is_part)
]


class _Settings(BaseModel):
    """Base of the models here: frozen, no unknown keys, no conversion of types."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", allow_inf_nan=False)


class SplitDeclaration(_Settings):
    """The split of the rows; fractions are of each class."""

    valid: _Part | None = Field(None, description="the validation rows")
    test: _Part | None = Field(None, description="the test rows")
    seed: int = Field(0, ge=0, le=2**32 - 1, description="seed of the random split")


class Declaration(_Settings):
    """The content of a declaration file."""

    file: str = Field(min_length=1, description="an .npz, .csv or .tsv, or a folder of images")
    label: str | None = Field(None, description="the label column, or the label key of an .npz")
    ignore: tuple[str, ...] = Field((), strict=False, description="columns that are not used")
    image: _Image | None = None
    """Height and width, and 3 for colour images, if a row is an image."""
    resize: bool = Field(False, description="resize images of other sizes")
    scale: _Scale | None = None
    """How values are mapped to [0, 1]; None: they are there already; "none": left unchanged."""
    split: SplitDeclaration = SplitDeclaration()

    @property
    def ends(self) -> tuple[float, float] | None:
        """The values that become 0 and 1, if they are declared."""
        return tuple(self.scale["from"]) if isinstance(self.scale, dict) else None  # type: ignore[return-value]


class OwnFacts(_Settings):
    """A user's own data set as it is recorded in the settings of results."""

    declared: str
    """Path of the declaration, relative to the current folder if it is inside it."""
    declaration: Declaration
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    rows: tuple[int, int, int] = Field(strict=False)
    """Number of training, validation and test rows."""
    classes: tuple[str, ...] = Field((), strict=False)
    """Labels in the order of the class numbers; empty if there are none."""
    image: tuple[int, int] = Field(strict=False)
    channels: Literal[1, 3] = 1
    levels: int | None = Field(None, ge=1, le=255)
    bounded: bool = True

    def spec(self, name: str) -> DatasetSpec:
        """Return the facts in the form that all data sets share."""
        return DatasetSpec(
            name,
            n_classes=len(self.classes),
            n_train=self.rows[0],
            n_valid=self.rows[1],
            n_test=self.rows[2],
            levels=self.levels,
            image=self.image,
            channels=self.channels,
            own=True,
            bounded=self.bounded,
            classes=self.classes,
        )
