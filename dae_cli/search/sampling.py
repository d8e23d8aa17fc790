"""Draw the settings of a trial with optuna's samplers, seeded for each trial, draw and key.

Every draw has its own random stream, named by the seed, the trial's number and the key. Trial 17 of
a random search therefore has the same settings in every process. Those of the model-based sampler
(TPE) depend only on these streams and the earlier trials.

Repeating the settings of an earlier trial would repeat its result. Such settings are drawn again
from further streams, until they are new or the space seems exhausted. Since TPE tends to propose
the same settings again, each redraw draws more of the keys at random.

Optuna stores nothing: each draw uses an in-memory study with the earlier trials.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from dae_cli.config.search_cells import Values
from dae_cli.config.search_space import Choices, Domain, Value
from dae_cli.errors import ConfigError
from dae_cli.study.rows import TrialState

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.samplers import BaseSampler
    from optuna.trial import FrozenTrial

SamplerName = Literal["random", "tpe"]
STARTUP_TRIALS = 10
"""Number of random trials before TPE has a model."""
WITHOUT_MODEL = 10
"""Redraw k draws k of ten keys at random, on average; from this redraw on, it is all of them."""
REDRAWS = 50
"""Number of draws after which a trial may repeat earlier settings, as in a small space."""
DIGITS = 4
"""Significant digits of a drawn number, so that files with it are easy to read."""


def require_extra() -> None:
    """Check that the packages of the extra `search` are installed, and silence optuna.

    Raises:
        ConfigError: one of them is not installed.
    """
    try:
        import optuna
        import ruamel.yaml  # noqa: F401
    except ImportError as error:
        raise ConfigError(
            f"dae search needs optuna and ruamel.yaml ({error}); run "
            "pip install '.[search]' in dae's source folder"
        ) from error
    optuna.logging.set_verbosity(optuna.logging.ERROR)


def draw(
    space: Mapping[str, Domain],
    sampler: SamplerName,
    seed: int,
    number: int,
    earlier: Mapping[int, FrozenTrial],
) -> dict[str, Value]:
    """Return the drawn values of a trial with all digits; `rounded` turns them into settings.

    `earlier` maps numbers (from 1) to trials of the cell; later ones are ignored.
    """
    import optuna

    lost = earlier_trial(space, "failed", {})
    before = [earlier.get(k, lost) for k in range(1, number)]
    tried = [rounded(space, trial.params) for trial in before if not trial.user_attrs["failed"]]
    with warnings.catch_warnings(action="ignore"):  # optuna warns about experimental arguments
        domains = {key: _distribution(domain) for key, domain in space.items()}
        study = optuna.create_study(sampler=optuna.samplers.RandomSampler())
        study.add_trials(before)
        study.ask()
        trial = study.get_trials(deepcopy=False)[-1]
        for redraw in range(REDRAWS):
            drawn: dict[str, Value] = {}
            for key, domain in domains.items():
                stream = f"{sampler} {seed} {trial.number} {key}" + (f" {redraw}" if redraw else "")
                key_sampler = _sampler(sampler, stream, redraw)
                drawn[key] = key_sampler.sample_independent(study, trial, key, domain)
            if rounded(space, drawn) not in tried:
                break
    return drawn


def rounded(space: Mapping[str, Domain], drawn: Values) -> dict[str, Value]:
    """Return the settings of a trial: numbers with DIGITS digits, on their step, in their range."""
    return {key: _rounded(domain, drawn[key]) for key, domain in space.items()}


def _rounded(domain: Domain, value: Value) -> Value:
    if isinstance(domain, Choices) or not isinstance(value, float):
        return value
    if domain.step is not None:
        return domain.on_step(value)
    return min(domain.high, max(domain.low, float(f"{value:.{DIGITS}g}")))


def earlier_trial(
    space: Mapping[str, Domain],
    state: TrialState | Literal["unfinished"],
    drawn: Values,
    error_percent: float | None = None,
    errors_by_epoch: Mapping[int, float] | None = None,
) -> FrozenTrial:
    """Return a trial for a sampler: drawn values, and validation errors if there are any.

    TPE ranks a pruned trial by `errors_by_epoch`.
    """
    from optuna.trial import TrialState as State
    from optuna.trial import create_trial

    states = {"complete": State.COMPLETE, "pruned": State.PRUNED, "unfinished": State.RUNNING}
    return create_trial(
        state=states.get(state, State.FAIL),
        value=error_percent,
        params=dict(drawn),
        distributions={key: _distribution(space[key]) for key in drawn},
        user_attrs={"failed": state == "failed"},  # optuna's FAIL also includes diverged trials
        intermediate_values=dict(errors_by_epoch or {}),
    )


def _sampler(name: SamplerName, stream: str, redraw: int) -> BaseSampler:
    from optuna.samplers import RandomSampler, TPESampler

    digest = hashlib.sha256(f"dae search {stream}".encode()).digest()
    seed = int.from_bytes(digest[:4], "big")
    if name == "random" or seed % WITHOUT_MODEL < redraw:
        return RandomSampler(seed=seed)
    return TPESampler(
        seed=seed,
        n_startup_trials=STARTUP_TRIALS,
        multivariate=False,  # the streams rely on keys being drawn independently
        constant_liar=True,  # counts unfinished trials as well
    )


def _distribution(domain: Domain) -> BaseDistribution:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if isinstance(domain, Choices):
        choices: list[Any] = list(domain.values)
        return CategoricalDistribution(choices)
    low, high, step = domain.low, domain.high, domain.step
    if isinstance(low, int) and isinstance(high, int):
        return IntDistribution(low, high, log=domain.log, step=int(step or 1))
    return FloatDistribution(low, high, log=domain.log, step=step)
