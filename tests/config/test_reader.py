"""YAML is read strictly, with lines, within bounds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dae_cli.config.entries import Place, Plain, plain
from dae_cli.config.reader import read_file, read_override


@pytest.fixture
def read(tmp_path: Path) -> Callable[[str], tuple[Plain, list[str]]]:
    """Read text as the file a.yaml: its plain value and its problems as `where text`."""

    def read_text(text: str) -> tuple[Plain, list[str]]:
        path = tmp_path / "a.yaml"
        path.write_bytes(text.encode())
        entry, problems = read_file(path, "a.yaml")
        value = plain(entry) if entry is not None else None
        return value, [f"{problem.where} {problem.text}" for problem in problems]

    return read_text


Read = Callable[[str], tuple[Plain, list[str]]]


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("1e-3", 0.001),
        ("1E5", 100000.0),
        (".25", 0.25),
        ("5.", 5.0),
        ("-2.5e+2", -250.0),
        ("12", 12),
        ("-3", -3),
        ("true", True),
        ("false", False),
        ("null", None),
        ("", None),
    ],
)
def test_numbers_and_constants(read: Read, written: str, value: object) -> None:
    found, problems = read(f"a: {written}\n")
    assert found == {"a": value}
    assert isinstance(found, dict)
    assert type(found["a"]) is type(value)
    assert problems == []


@pytest.mark.parametrize(
    "written",
    [
        *("no", "yes", "on", "off", "True", "NO", "010", "0x10", "1_000", "1:30", ".inf", ".nan"),
        *("2008-07-05", "9" * 30, "'1'", '"true"', "e5", ".", "1e"),
    ],
)
def test_what_yaml_1_1_converts_silently_stays_text(read: Read, written: str) -> None:
    found, problems = read(f"a: {written}\n")
    assert found == {"a": written.strip("'\"")}
    assert problems == []


def test_keys_are_never_converted(read: Read) -> None:
    assert read("no: 1\n1: 2\nnull: 3\n")[0] == {"no": 1, "1": 2, "null": 3}


def test_duplicate_keys_are_told_with_both_lines_and_reading_goes_on(read: Read) -> None:
    _, problems = read("a: 1\nb: {c: 1, c: 2}\na: 2\n")
    assert problems == [
        "a.yaml:2 the key c is given twice; first on line 2",
        "a.yaml:3 the key a is given twice; first on line 1",
    ]


def test_syntax_error_has_line_reason_excerpt_and_mark(read: Read) -> None:
    _, (problem,) = read("dataset: convex\nmodel: {hidden: [1000, 1000\nseed: 0\n")
    first, excerpt, mark = problem.splitlines()
    assert first.startswith("a.yaml:3 not valid YAML: ")
    assert "expected ',' or ']'" in first
    assert (excerpt, mark.strip()) == ("seed: 0", "^")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: !!python/object/apply:os.system [ls]\n", "a.yaml:1 the tag"),
        ("a: 1\nb: !!float 3\n", "a.yaml:2 the tag 'tag:yaml.org,2002:float' is not allowed"),
        ("a: !!int three\n", "a.yaml:1 the tag"),
        ("a: 1\n---\nb: 2\n", "a.yaml:2 a second document starts here"),
        ("a: &x {b: 1}\nc:\n  <<: *x\n", "a.yaml:3 merge keys (<<) are not supported"),
        ("[1, 2]: 3\n", "a.yaml:1 a key must be one word"),
        ("a: *nothing\n", "a.yaml:1 *nothing refers to nothing above it"),
        ("a: &x [*x]\n", "a.yaml:1 *x refers to nothing above it"),
        ("a: 1\nb: \x07\n", "a.yaml:2 the character"),
        ("a: 1\n\tb: 2\n", "a.yaml:2 not valid YAML"),
        ("a: " + "[" * 50 + "]" * 50, "nested deeper than 10 levels"),
        ("a: " + "[" * 50_000, "nested deeper than 10 levels"),
        ("a: [" + "1, " * 6000 + "]", "more than 5000 values"),
        ("a: '" + "x" * 100_001 + "'", "larger than 100000 bytes"),
    ],
)
def test_refused_with_its_line(read: Read, text: str, words: str) -> None:
    assert words in " | ".join(read(text)[1])


def test_aliases_work_and_their_expansion_is_bounded(read: Read) -> None:
    assert read("a: &x [1, 2]\nb: *x\n") == ({"a": [1, 2], "b": [1, 2]}, [])
    bomb = "a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1]\n"
    for i in range(1, 9):
        bomb += f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n"
    (problem,) = read(bomb)[1]
    assert "more than 5000 values, aliases written out" in problem


def test_text_that_is_not_utf8_is_refused_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "latin.yaml"
    path.write_bytes(b"a: 1\nb: caf\xe9\n")
    _, (problem,) = read_file(path, "latin.yaml")
    assert (problem.where, problem.text[:14]) == ("latin.yaml:2", "not UTF-8 text")


def test_windows_text_reads_the_same(read: Read) -> None:
    assert read("\ufeffa: 1\r\nb: 2\r\n") == ({"a": 1, "b": 2}, [])


def test_a_missing_file_and_a_folder_are_problems(tmp_path: Path) -> None:
    assert "cannot be read" in read_file(tmp_path / "no.yaml", "no.yaml")[1][0].text
    assert "cannot be read" in read_file(tmp_path, "folder")[1][0].text


def test_control_characters_never_reach_a_message(read: Read) -> None:
    _, (problem,) = read('"\\e[31m": 1\n"\\e[31m": 2\n')
    assert problem.isprintable()


@pytest.mark.parametrize("escape", ["\\x7f", "\\N", "\\e", "\\u202e", "\\P", "\\uD800"])
def test_a_quoted_value_is_shown_with_its_escapes(escape: str) -> None:
    entry, problems = read_override(f'"{escape}"', Place("--set a=…", 0, "a"))
    assert problems == []
    assert entry is not None
    assert entry.written().isprintable()
    assert "\\u" in entry.written()


@given(text=st.text(max_size=60) | st.text("[]{}:,-?*&!|>'\"#%@` \n\t0123456789.eab", max_size=60))
def test_no_text_whatever_makes_the_reader_fail(text: str) -> None:
    entry, problems = read_override(text, Place("--set a=…", 0, "a"))
    assert entry is not None or problems
