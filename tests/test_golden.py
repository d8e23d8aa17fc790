"""Two small studies have the stored results; `python -m tests.golden` rewrites those."""

from __future__ import annotations

from pathlib import Path

from tests import golden


def test_two_small_studies_have_the_stored_results(tmp_path: Path) -> None:
    expected = {
        str(path.relative_to(golden.FOLDER)): path.read_text(encoding="utf-8")
        for path in golden.FOLDER.glob("*/*")
    }
    found = golden.golden_files(tmp_path)
    assert sorted(found) == sorted(expected)
    different = [golden.differences(name, expected[name], found[name]) for name in sorted(found)]
    assert not any(different), "if intended: python -m tests.golden\n" + "\n".join(different)


def test_differences_are_shown_by_line_except_in_the_last_digits_of_a_cost() -> None:
    before = "a,12,0.5\nb,13,389.126005859375\nc,14,9.55e-35\n"
    assert golden.differences("x.csv", before, before) == ""
    assert golden.differences("x.csv", before, before.replace("6005", "6009")) == ""
    for old, new in (("389.1", "389.2"), ("12", "13"), ("0.5", "0.51"), ("b", "c"), ("e-35", "")):
        shown = golden.differences("x.csv", before, before.replace(old, new, 1))
        assert any(line.startswith("-") and old in line for line in shown.splitlines()[2:])
        assert any(line.startswith("+") and new in line for line in shown.splitlines()[2:])
