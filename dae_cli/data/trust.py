"""How far content is to be trusted as the original of a set.

*verified*: its digest, or its archive's, is the published one; *plausible*: other bytes, but the
known rows of the original stand at their places, and every label obeys the law of the set;
*unverified*: neither, and taken all the same since the user said so; empty: regenerated.
"""

from __future__ import annotations

from collections import Counter

from dae_cli.data.content import Content
from dae_cli.data.dataset import Trust
from dae_cli.data.datasets import DATASETS, MNIST, PHOTOGRAPHS, DatasetSpec
from dae_cli.data.genuine_rows import known_rows
from dae_cli.data.laws import lawful
from dae_cli.data.sources.mnist import CONTENT_SHA256 as MNIST_SHA256

COMMON_ROWS = {"rect": 2076, "convex": 481}
"""Test rows of the originals that are also training rows, by chance; of the others about none."""
_FEW = 100
"""One in so many rows may be repeated, or be in both files, without telling anything."""


def known_contents(spec: DatasetSpec) -> set[str]:
    """Digests that prove content to be the original's: one seen, or one rebuilt exactly."""
    rebuilt = {spec.recipe.sha256} if spec.recipe and spec.recipe.exact else set()
    return rebuilt | ({spec.content_sha256} if spec.content_sha256 else set())


def recorded_trust(name: str, origin: str, sha256: str) -> Trust:
    """The trust of results that were written before they recorded it: what their digest proves."""
    if origin == "regenerated" or name == PHOTOGRAPHS:
        return ""
    known = {MNIST_SHA256} if name == MNIST.name else known_contents(DATASETS[name])
    return "verified" if sha256 in known else "unverified"


def is_plausible(content: Content, spec: DatasetSpec) -> bool:
    """Whether content whose digest is not a known one may be a copy of the original.

    Where the original's digest is known, only a law can vouch for the rows that differ.
    """
    known = known_rows(spec.name, content)
    if known is None or not known.agree.all():
        return False
    if repeated_rows(content, spec):
        return False
    training = lawful(spec.name, content.pixels, content.labels)
    test = lawful(spec.name, content.test_pixels, content.test_labels)
    if training is None or test is None:
        return not known_contents(spec)
    return bool(training.rows.all() and test.rows.all())


def rows_in_common(content: Content) -> int:
    """How many test rows have an image that is also one of the training or validation rows."""
    training = {row.tobytes() for row in content.pixels}
    return sum(row.tobytes() in training for row in content.test_pixels)


def repeated_rows(content: Content, spec: DatasetSpec) -> str:
    """What repeats itself more than in any original, as a clause; empty where nothing does."""
    most = max(2, len(content.test_labels) // _FEW)
    common, by_chance = rows_in_common(content), COMMON_ROWS.get(spec.name, 0)
    if common > max(most, by_chance * 1.1):
        return f"its test rows seem to hold training rows: {common} are in both files"
    (_, times), *_ = Counter(row.tobytes() for row in content.test_pixels).most_common(1)
    return f"one image stands {times} times among its test rows" if times > most else ""
