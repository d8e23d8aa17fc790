"""The journal of trials: what a killed writer leaves, and how settings are drawn."""

from __future__ import annotations

from pathlib import Path

import pytest

from dae_cli.config.domains import Choices, Domain, Range
from dae_cli.errors import OutputError
from dae_cli.search.sampling import SamplerName, draw, rounded, sampler_of
from dae_cli.search.storage import is_url, known_studies, open_storage, open_study
from dae_cli.study.tables.trial_rows import from_text

SPACE: dict[str, Domain] = {
    "units": Range(100, 900, step=100),
    "pretrain.learning_rate": Range(0.001, 0.1, log=True),
    "layers": Choices((1, 2, 3)),
}


def test_half_a_line_of_a_killed_writer_is_cut_by_the_next(tmp_path: Path) -> None:
    journal = tmp_path / "trials.journal"
    study = open_study(str(journal), "a")
    study.ask()
    whole = journal.read_bytes()
    journal.write_bytes(whole + b'{"op_code": 4, "wor')
    study.ask()
    assert journal.read_bytes().startswith(whole + b"{")
    open_storage.cache_clear()
    assert len(open_study(str(journal), "a").trials) == 2


def test_a_journal_in_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=r"file/trials\.journal: is no journal that can be used"):
        open_storage(str(tmp_path / "file" / "trials.journal"))


def test_asking_what_there_is_makes_nothing(tmp_path: Path) -> None:
    assert known_studies(str(tmp_path / "trials.journal")) == ()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["random", "tpe"])
def test_a_trial_that_was_killed_while_it_drew_draws_what_is_lacking(
    tmp_path: Path, name: SamplerName
) -> None:
    whole = open_study(str(tmp_path / "a.journal"), "a", sampler_of(name, 5, SPACE))
    expected = draw(whole.ask(), SPACE)
    broken = open_study(str(tmp_path / "b.journal"), "a", sampler_of(name, 5, SPACE))
    trial = broken.ask()
    draw(trial, {"units": SPACE["units"]})
    assert draw(trial, SPACE) == expected


@pytest.mark.parametrize("name", ["random", "tpe"])
def test_settings_are_not_drawn_twice_while_the_space_has_others(
    tmp_path: Path, name: SamplerName
) -> None:
    space: dict[str, Domain] = {"layers": Choices((1, 2)), "model.init": Choices(("a", "b"))}
    study = open_study(str(tmp_path / "a.journal"), "a", sampler_of(name, 0, space))
    drawn = []
    for _ in range(5):
        trial = study.ask()
        drawn.append(draw(trial, space))
        study.tell(trial, 1.0)
    assert len({tuple(values.values()) for values in drawn[:4]}) == 4
    assert drawn[4] in drawn[:4]


def test_the_favourite_of_the_model_is_not_drawn_for_ever(tmp_path: Path) -> None:
    space: dict[str, Domain] = {
        "layers": Choices((1, 2, 3)),
        "model.init": Choices(("a", "b", "c")),
        "pretrain.epochs": Choices((20, 40, 60)),
    }
    study = open_study(str(tmp_path / "a.journal"), "a", sampler_of("tpe", 0, space))
    drawn = []
    for _ in range(20):
        trial = study.ask()
        drawn.append(tuple(draw(trial, space).values()))
        study.tell(trial, 0.0 if drawn[-1][0] == 1 else 1.0)
    assert len(set(drawn)) == 20
    assert sum(values[0] == 1 for values in drawn) == 9  # all there are of the best


def test_settings_of_a_trial_that_failed_by_no_fault_of_theirs_are_drawn_again(
    tmp_path: Path,
) -> None:
    from optuna.trial import TrialState

    space: dict[str, Domain] = {"layers": Choices((1, 2, 3))}
    for seed in range(4):
        study = open_study(
            str(tmp_path / "a.journal"), f"{seed}", sampler_of("random", seed, space)
        )
        drawn = []
        for number in range(4):
            trial = study.ask()
            drawn.append(draw(trial, space)["layers"])
            study.tell(trial, *([None, TrialState.FAIL] if number == 0 else [1.0]))
        assert sorted(drawn[1:]) == [1, 2, 3]


def test_a_study_that_is_known_is_read_without_a_line_in_the_journal(tmp_path: Path) -> None:
    journal = tmp_path / "trials.journal"
    open_study(str(journal), "a").ask()
    before = journal.read_bytes()
    assert len(open_study(str(journal), "a").trials) == 1
    assert journal.read_bytes() == before


def test_a_stepped_range_is_drawn_on_its_steps_whatever_digits_they_need(tmp_path: Path) -> None:
    space: dict[str, Domain] = {"pretrain.learning_rate": Range(0.1, 0.5, step=0.00125)}
    study = open_study(str(tmp_path / "a.journal"), "a", sampler_of("random", 0, space))
    drawn = [draw(study.ask(), space)["pretrain.learning_rate"] for _ in range(20)]
    on_steps = {float(f"{0.1 + 0.00125 * k:.5f}") for k in range(321)}
    assert set(drawn) <= on_steps
    assert any(len(str(value)) > 6 for value in drawn)  # more than four digits
    assert from_text(space, {"pretrain.learning_rate": str(drawn[0])}) is not None
    assert from_text(space, {"pretrain.learning_rate": "0.4062"}) is None
    assert Range(0.1, 0.5, step=0.1).on_step(0.3000000001) == 0.3
    assert Range(10, 40, step=10).on_step(20) == 20


def test_drawn_numbers_are_short_and_stay_within_their_range() -> None:
    assert rounded(0.0123456, 0.01, 0.1) == 0.01235
    assert rounded(0.0123456, 0.01, 0.0123456) == 0.0123456
    assert rounded(0.0123441, 0.0123441, 0.1) == 0.0123441


def test_a_url_is_told_from_a_path() -> None:
    assert is_url("postgresql+psycopg://host/db")
    assert not is_url("/shared/trials.journal")
    assert not is_url("C:\\trials.journal")
