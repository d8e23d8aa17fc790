"""The records of a run folder: read strictly, and whatever lies there, no other error than ours."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dae_cli.errors import RunFolderError
from dae_cli.study.run.provenance import Environment, environment
from dae_cli.study.run.records import MAX_BYTES, Status, read_record

RESULT = {"n_test": 200, "n_wrong": 7, "valid_error_percent": 5.0, "best_epoch": 3, "epochs": 8}
STATUS: dict[str, Any] = {
    "state": "done",
    "run": "convex-sda2-25-s0-0a1b2c3d",
    "cell": "convex-25",
    "data": {"origin": "original", "sha256": "a" * 64, "source": "a file"},
    "minutes": 1.5,
    "written": "2026-01-01T00:00:00+00:00",
    "result": RESULT,
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "status.json"


def _refused(path: Path, content: bytes, kind: type[Any] = Status) -> str:
    path.write_bytes(content)
    with pytest.raises(RunFolderError) as caught:
        read_record(path, kind)
    assert caught.value.exit_code == 2
    assert str(path) in str(caught.value)
    assert len(str(caught.value)) < len(str(path)) + 600
    return str(caught.value)


def _with(section: str | None = None, **changes: Any) -> bytes:
    changed = STATUS | changes if section is None else STATUS | {section: STATUS[section] | changes}
    return json.dumps(changed).encode()


def test_what_a_run_writes_is_read(path: Path, in_process: Any) -> None:
    path.write_text(json.dumps(STATUS))
    status = read_record(path, Status)
    assert status.result is not None
    assert (status.state, status.result.n_wrong, status.data.sha256) == ("done", 7, "a" * 64)
    folder = in_process.folder("convex-25")
    assert read_record(folder / "status.json", Status).state == "done"
    assert read_record(folder / "environment.json", Environment).engine == "torch"
    failed = in_process.folder("convex-50")
    status = read_record(failed.with_name(failed.name + ".partial") / "status.json", Status)
    assert (status.state, status.result) == ("failed", None)
    assert status.error.startswith("diverged")


def test_an_svm_has_a_selection_and_trials_in_place_of_epochs(path: Path) -> None:
    none = {"best_epoch": None, "epochs": None}
    of_svm = none | {"selected": "degree 3, gamma 1e-07, C 0.316", "trials": 61}
    path.write_bytes(_with("result", **of_svm))
    result = read_record(path, Status).result
    assert result is not None
    assert (result.is_of_svm, result.trials, result.best_epoch) == (True, 61, None)
    for lacking in ({"trials": None}, {"selected": ""}, {"epochs": 3}, {"best_epoch": 3}):
        told = _refused(path, _with("result", **of_svm | lacking))
        assert "expected best_epoch and epochs of a network, or selected and trials" in told


def test_keys_of_a_later_version_are_passed_over(path: Path) -> None:
    path.write_bytes(_with(more={"x": [1]}))
    assert read_record(path, Status).cell == "convex-25"


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (_with("result", n_wrong="7"), "result.n_wrong is '7': input should be a valid integer"),
        (_with("result", n_wrong=7.5), "result.n_wrong is 7.5"),
        (_with("result", n_wrong=True), "result.n_wrong is True"),
        (_with("result", n_wrong=-1), "result.n_wrong is -1"),
        (_with("result", n_wrong=None), "result.n_wrong is None"),
        (_with("result", n_wrong=201), "result: n_wrong is 201, more than n_test, 200"),
        (_with("result", best_epoch=9), "result: best_epoch is 9, more than epochs, 8"),
        (_with("result", best_epoch=None), "result: expected best_epoch and epochs of a network"),
        (_with("result", trials=3), "result: expected best_epoch and epochs of a network, or "),
        (_with("result", selected="C 1"), "result.selected is 'C 1': string should match"),
        (_with("result", n_test=0), "result.n_test is 0"),
        (_with("result", n_test=10**400), "result.n_test is 1000"),
        (_with("result", valid_error_percent=float("nan")), "result.valid_error_percent is nan"),
        (_with("result", valid_error_percent=float("inf")), "result.valid_error_percent is inf"),
        (_with("result", valid_error_percent=100.5), "result.valid_error_percent is 100.5"),
        (_with(result=None), "state is done, but there is no result"),
        (_with(result=[1]), "result is [1]"),
        (_with(state="finished"), "state is 'finished'"),
        (_with(minutes="1.5"), "minutes is '1.5'"),
        (_with(minutes=float("nan")), "minutes is nan"),
        (_with(minutes=-1), "minutes is -1"),
        (_with("data", sha256="a" * 63), "data.sha256 is 'aaa"),
        (_with("data", origin="found"), "data.origin is 'found'"),
        (b'{"state": "done"}', "cell is missing; data is missing; minutes is missing"),
        (b"{}", "state is missing; cell is missing; data is missing; and 1 more"),
    ],
)
def test_a_value_that_cannot_be_is_told_with_its_place(
    path: Path, content: bytes, told: str
) -> None:
    assert told in _refused(path, content)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "cannot be read"),
        (b"{", "cannot be read"),
        (b"null", "expected a mapping"),
        (b"[]", "expected a mapping"),
        (b"7", "expected a mapping"),
        (b"\xff\xfe", "cannot be read"),
        (b'"\\ud800"', "cannot be read"),
        (b"[" * 100_000, "cannot be read"),
        (b'{"state":' * 100_000, "cannot be read"),
        (b'{"data":' + b"[" * 5_000 + b"]" * 5_000 + b"}", "cannot be read"),
        (b"9" * 900_000, "cannot be read"),
        (b'"' + b"x" * MAX_BYTES, f"larger than {MAX_BYTES} bytes"),
        (b"\0" * 3_000_000, f"larger than {MAX_BYTES} bytes"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_what_is_no_record_is_refused(path: Path, content: bytes, told: str) -> None:
    assert told in _refused(path, content)
    assert "cannot be read" in _refused(path, content, Environment)


def test_a_folder_in_the_place_of_a_file_is_refused(path: Path) -> None:
    path.mkdir()
    with pytest.raises(RunFolderError, match=r"status\.json: cannot be read \(Is a directory\)"):
        read_record(path, Status)


def test_a_folder_without_the_file_is_no_run(path: Path) -> None:
    with pytest.raises(RunFolderError, match=r"not a run folder \(there is no status\.json\)"):
        read_record(path, Status)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"threads": "1"}, "threads is '1'"),
        ({"threads": 0}, "threads is 0"),
        ({"engine": ["torch"]}, "engine is ['torch']"),
        ({"packages": {"torch": 2}}, "packages.torch is 2"),
        ({"surprise": 1}, "surprise is 1: extra inputs are not permitted"),
        ({"earlier": [{"commit": "abc"}]}, "earlier.0.versions is missing"),
    ],
)
def test_a_damaged_environment_is_told_with_its_place(
    path: Path, changes: dict[str, Any], told: str
) -> None:
    whole = environment("cpu", "torch", 1, "dae").as_dict()
    path.write_text(json.dumps(whole))
    assert read_record(path, Environment).as_dict() == whole
    assert told in _refused(path, json.dumps(whole | changes).encode(), Environment)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)


def test_no_value_in_any_place_raises_anything_else(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    path = tmp_path_factory.mktemp("records") / "status.json"
    places = st.sampled_from([(None, key) for key in STATUS] + [("result", key) for key in RESULT])

    @settings(max_examples=150, deadline=None)
    @given(places, JSON)
    def holds(place: tuple[str | None, str], value: object) -> None:
        section, key = place
        path.write_bytes(_with(section, **{key: value}))
        try:
            read_record(path, Status)
        except RunFolderError as error:
            assert str(path) in str(error)

    holds()


def test_no_key_of_a_strangers_record_drives_the_terminal(path: Path) -> None:
    path.write_bytes(b'{"\\u001b[31m\\u007f": 1}')
    with pytest.raises(RunFolderError) as caught:
        read_record(path, Environment)
    assert str(caught.value).isprintable()
