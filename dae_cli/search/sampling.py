"""How the settings of a trial are drawn: optuna's samplers, seeded for each trial, draw and key.

Every draw has a random stream of its own, named by the seed, the trial's number and the key. So
trial 17 of a random search has the same settings whoever makes it and whenever; those of the
model-based sampler (TPE) depend on nothing but these and the trials before.

Settings that an earlier trial of the cell has would give its very result: they are drawn again,
from further streams, until they are new or the space seems used up. The model's favourite comes
out of it again and again: with each draw more keys are drawn without it.

Optuna stores nothing: each draw uses a study in memory, filled with the trials before.
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
"""Trials that TPE draws at random before it has a model."""
WITHOUT_MODEL = 10
"""Draws after which no key is drawn from the model any more; at the k-th, k of ten keys are not."""
REDRAWS = 50
"""Draws after which a trial repeats an earlier one: a small space has no more to give."""
DIGITS = 4
"""Significant digits of a drawn number, so that a file with it can be read by people."""


def require_extra() -> None:
    """Make sure that what a search needs besides is there, and let it not write to the terminal.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        import optuna
        import ruamel.yaml  # noqa: F401
    except ImportError as error:
        raise ConfigError(
            f"dae search needs optuna and ruamel.yaml ({error}); install them with: "
            "pip install '.[search]' where dae's source is"
        ) from error
    optuna.logging.set_verbosity(optuna.logging.ERROR)


def draw(
    space: Mapping[str, Domain],
    sampler: SamplerName,
    seed: int,
    number: int,
    earlier: Mapping[int, FrozenTrial],
) -> dict[str, Value]:
    """Return what is drawn for a trial, with all its digits; `rounded` makes settings of it.

    Of the `earlier` trials of the cell, by their numbers (from 1), later ones do not count.
    """
    import optuna

    lost = earlier_trial(space, "failed", {})
    before = [earlier.get(k, lost) for k in range(1, number)]
    tried = [rounded(space, trial.params) for trial in before if not trial.user_attrs["failed"]]
    with warnings.catch_warnings(action="ignore"):  # on parts of its interface
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
    """Return the settings of a trial: numbers with few digits, on their steps, in their ranges."""
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
    """Return what a sampler knows of a trial: drawn values, and validation errors where there are.

    By `errors_by_epoch` TPE ranks a pruned trial.
    """
    from optuna.trial import TrialState as State
    from optuna.trial import create_trial

    states = {"complete": State.COMPLETE, "pruned": State.PRUNED, "unfinished": State.RUNNING}
    return create_trial(
        state=states.get(state, State.FAIL),
        value=error_percent,
        params=dict(drawn),
        distributions={key: _distribution(space[key]) for key in drawn},
        user_attrs={"failed": state == "failed"},  # which gives no result, unlike diverged
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
        multivariate=False,  # each key by itself, which the streams rely on
        constant_liar=True,  # unfinished trials count as well
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
