"""trials.csv: what is written comes back to the last digit, and nothing else is taken."""

from __future__ import annotations

from pathlib import Path

import pytest

from dae_cli.baselines.kernels import Kernel
from dae_cli.baselines.machines import Trial
from dae_cli.baselines.trials import read_trials, trials_csv
from dae_cli.errors import RunFolderError

POLY = (
    Trial(Kernel("poly", 0.1 + 0.2, 7), 10**0.5, 30, 120, 250, True, 1.25),
    Trial(Kernel("poly", 1e-7, 20), 1e9, 0, 120, 1, False, 0.0),
)
RBF = (Trial(Kernel("rbf", 0.00562), 17.8, 7, 120, 300, True, 3.0),)


@pytest.mark.parametrize(("kind", "trials"), [("poly", POLY), ("rbf", RBF), ("rbf", ())])
def test_trials_come_back_as_they_were(
    tmp_path: Path, kind: str, trials: tuple[Trial, ...]
) -> None:
    path = tmp_path / "trials.csv"
    path.write_text(trials_csv(trials))
    again = read_trials(path, "poly" if kind == "poly" else "rbf", 300, 120)
    assert again == trials
    assert [trial.seconds for trial in again] == [trial.seconds for trial in trials]


def test_a_line_reads_like_the_trial() -> None:
    header, line = trials_csv(RBF).splitlines()
    assert header == (
        "kernel,gamma,degree,penalty,n_wrong,valid_error_percent,n_support,converged,seconds"
    )
    assert line == "rbf,0.00562,,17.8,7,5.8333,300,true,3.00"


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("kernel,", "colonel,", ":1: its columns are not kernel, gamma"),
        ("rbf,", "poly,", ":2: kernel is 'poly', expected 'rbf'"),
        ("0.00562", "nan", ":2: gamma is 'nan', expected a number of 0 or more"),
        ("0.00562", "0", ":2: gamma is '0', expected a number above 0"),
        ("17.8", "much", ":2: penalty is 'much', expected a number"),
        (",,", ",3,", ":2: degree is '3', expected nothing"),
        (",7,", ",121,", ":2: n_wrong is '121', expected a whole number from 0 to 120"),
        (",7,", ",8,", ":2: valid_error_percent is '5.8333', expected 6.6667 for 8 of 120 rows"),
        (",300,", ",301,", ":2: n_support is '301', expected a whole number from 1 to 300"),
        ("true", "yes", ":2: converged is 'yes', expected true or false"),
        ("3.00", "-3", ":2: seconds is '-3', expected a number of 0 or more"),
        (",3.00", "", ":2: 8 values found, 9 expected"),
        ("\nrbf", "\n\x1b[2Jrbf", ":2: kernel is "),
    ],
)
def test_a_damaged_file_is_refused(tmp_path: Path, old: str, new: str, words: str) -> None:
    path = tmp_path / "trials.csv"
    path.write_text(trials_csv(RBF).replace(old, new, 1))
    with pytest.raises(RunFolderError) as raised:
        read_trials(path, "rbf", 300, 120)
    message = str(raised.value)
    assert words in message
    assert message.endswith("remove the run's folder to have it made anew")
    assert message.isprintable()


def test_a_trial_that_stands_twice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "trials.csv"
    path.write_text(trials_csv((*RBF, *RBF)))
    with pytest.raises(RunFolderError, match="a trial stands in it twice"):
        read_trials(path, "rbf", 300, 120)


def test_a_missing_and_a_huge_file_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(RunFolderError, match="no such file"):
        read_trials(tmp_path / "trials.csv", "rbf", 300, 120)
    monkeypatch.setattr("dae_cli.baselines.trials.MAX_BYTES", 20)
    (tmp_path / "trials.csv").write_text(trials_csv(RBF))
    with pytest.raises(RunFolderError, match="larger than 20 bytes"):
        read_trials(tmp_path / "trials.csv", "rbf", 300, 120)
