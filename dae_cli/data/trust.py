"""How far content is to be trusted as the original of a set.

*verified*: its digest, or its archive's, is the published one; *plausible*: other bytes, but the
known rows of the original stand at their places, and every label obeys the law of the set;
*unverified*: neither, and taken all the same since the user said so; empty: regenerated.
"""

from __future__ import annotations

from dae_cli.data.cache import file_digest
from dae_cli.data.content import Content
from dae_cli.data.dataset import Trust
from dae_cli.data.datasets import DATASETS, DatasetSpec
from dae_cli.data.genuine import GENUINE_ROWS, known_rows, lawful, repeated_rows
from dae_cli.data.misreadings import likeliest_misreading
from dae_cli.data.user_files import UserFiles
from dae_cli.errors import DataError


def judge(
    files: UserFiles, content: Content, sha256: str, spec: DatasetSpec, accept_unverified: bool
) -> tuple[Trust, str]:
    """How far the user's files of a set are to be trusted, and why.

    Raises DataError where nothing shows that they are the original and the user does not accept
    them all the same, and where they are what dae regenerates.
    """
    known = spec.known_sha256
    if spec.recipe and sha256 == spec.recipe.sha256 and sha256 not in known:
        raise DataError(
            f"{files}: is the set that dae regenerates, not the original; "
            "take it out of the data folder"
        )
    if sha256 in known:
        return "verified", "verified: the published content"
    if files.archive and spec.archive and file_digest(files.paths[0], "sha1") == spec.archive.sha1:
        return "verified", "verified: the published archive"
    common = f"; {content.common_rows}" if content.common_rows else ""
    if is_plausible(content, spec):
        why = "other bytes than the published ones, but the rows that are known stand in it"
        return "plausible", f"plausible: {why}{common}"
    if nothing_is_known(spec):
        return "unverified", f"unverified: nothing is known to compare it with{common}"
    found = likeliest_misreading(content, spec)
    if known:
        expected = " or ".join(f"{digest[:12]}…" for digest in sorted(known))
        found += f"; its content has SHA-256 {sha256[:12]}…, expected {expected}"
    if accept_unverified:
        return "unverified", f"unverified: {found}{common}"
    raise DataError(
        f"{files}: is not the original {spec.name}: {found}; supply the original file, in its "
        "original order, or take this one out of the data folder; --accept-unverified takes it "
        "as it is, and says so beside every verdict"
    )


def recorded_trust(name: str, origin: str, sha256: str) -> Trust:
    """The trust of results that were written before they recorded it: what their digest proves."""
    if origin == "regenerated" or (spec := DATASETS.get(name)) is None:
        return ""
    return "verified" if sha256 in spec.known_sha256 else "unverified"


def nothing_is_known(spec: DatasetSpec) -> bool:
    """Whether there is nothing that content could be compared with."""
    return not (spec.archive or spec.known_sha256 or spec.law or spec.name in GENUINE_ROWS)


def is_plausible(content: Content, spec: DatasetSpec) -> bool:
    """Whether content whose digest is not a known one may be a copy of the original.

    Where the original's digest is known, only a law can vouch for the rows that differ.
    """
    known = known_rows(spec, content)
    if known is None or not known.agree.all() or repeated_rows(content, spec):
        return False
    laws = [lawful(spec, *rows) for rows in content.parts.values()]
    return all(law.rows.all() if law else not spec.known_sha256 for law in laws)
