"""One message for all problems, aligned."""

from __future__ import annotations

from dae_cli.config.problems import Problem, config_error, did_you_mean


def test_short_places_stand_in_a_column_as_in_the_design() -> None:
    problems = [Problem("--set a=1", "unknown key"), Problem("--set long=1", "must be 2\nexcerpt")]
    assert str(config_error("x", problems)) == (
        "2 problems with x:\n"
        "  --set a=1      unknown key\n"
        "  --set long=1   must be 2\n"
        "      excerpt"
    )


def test_long_places_stand_on_their_own_line() -> None:
    message = str(config_error("x", [Problem("p" * 60, "must be 2")]))
    assert message == f"1 problem with x:\n  {'p' * 60}\n      must be 2"


def test_equal_problems_stand_once_and_the_exit_code_is_2() -> None:
    error = config_error("x", [Problem("a", "b"), Problem("a", "b")])
    assert str(error).startswith("1 problem with x:")
    assert error.exit_code == 2


def test_did_you_mean_ignores_case_and_stays_silent_when_nothing_is_near() -> None:
    assert did_you_mean("Masking", ["masking", "gaussian"]) == "; did you mean masking?"
    assert did_you_mean("xyz", ["masking", "gaussian"]) == ""
