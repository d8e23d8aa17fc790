"""How the settings of a trial are drawn.

Every draw has a random stream of its own, named by the seed, the trial's number and the key. So
trial 17 of a random search has the same settings whoever makes it and whenever; those of the
model-based sampler (TPE) depend on nothing but these and the trials before.

Settings that an earlier trial of the cell has would give its very result: they are drawn again,
from further streams, until they are new or the space seems used up. The model's favourite comes
out of it again and again: with each draw more keys are drawn without it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, cast

from dae_cli.config.search_space import Choices, Domain, Value
from dae_cli.search.storage import ROW, quiet

if TYPE_CHECKING:
    from optuna import Study
    from optuna.distributions import BaseDistribution
    from optuna.samplers import BaseSampler
    from optuna.trial import FrozenTrial, Trial

SamplerName = Literal["random", "tpe"]
STARTUP_TRIALS = 10
"""Trials that TPE draws at random before it has a model."""
WITHOUT_MODEL = 10
"""Draws after which no key is drawn from the model any more; at the k-th, k of ten keys are not."""
REDRAWS = 50
"""Draws after which a trial repeats an earlier one: a small space has no more to give."""
DIGITS = 4
"""Significant digits of a drawn number, so that a file with it can be read by people."""


def sampler_of(name: SamplerName, seed: int, space: Mapping[str, Domain]) -> BaseSampler:
    """Return optuna's sampler for a space, seeded anew for each trial, draw and key."""
    from optuna.samplers import BaseSampler, RandomSampler, TPESampler

    def seeded(number: int, redraw: int, key: str) -> BaseSampler:
        text = f"dae search {name} {seed} {number} {key}" + (f" {redraw}" if redraw else "")
        own = int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")
        if name == "random" or own % WITHOUT_MODEL < redraw:
            return RandomSampler(seed=own)
        with quiet():
            return TPESampler(
                seed=own,
                n_startup_trials=STARTUP_TRIALS,
                multivariate=False,  # each key by itself, which the streams rely on
                constant_liar=True,  # trials that others are making count as well
            )

    class ByNumber(BaseSampler):
        def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, Any]:
            return {key: distribution_of(domain) for key, domain in space.items()}

        def sample_relative(
            self, study: Study, trial: FrozenTrial, search_space: dict[str, Any]
        ) -> dict[str, Any]:
            trials = study.get_trials(deepcopy=False)
            before = [t.params for t in trials if t.number < trial.number and tells(t)]
            for redraw in range(REDRAWS):
                drawn = {
                    key: self._drawn(study, trial, key, search_space[key], redraw) for key in space
                }
                if drawn not in before:
                    break
            return drawn

        def sample_independent(
            self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: Any
        ) -> Any:
            return self._drawn(study, trial, param_name, param_distribution, 0)

        def _drawn(
            self, study: Study, trial: FrozenTrial, key: str, distribution: Any, redraw: int
        ) -> Any:
            own = seeded(trial.number, redraw, key)
            with quiet():
                return own.sample_independent(study, trial, key, distribution)

    return ByNumber()


def tells(trial: FrozenTrial) -> bool:
    """Tell whether a trial has a result, or will have one: of failed ones, those that diverged."""
    return trial.state.name != "FAIL" or trial.user_attrs.get(ROW, {}).get("state") == "diverged"


def distribution_of(domain: Domain) -> BaseDistribution:
    """Return the distribution that drawing from a domain leaves in the storage."""
    from optuna.distributions import (
        CategoricalDistribution,
        FloatDistribution,
        IntDistribution,
    )

    if isinstance(domain, Choices):
        choices: list[Any] = list(domain.values)
        with quiet():
            return CategoricalDistribution(choices)
    low, high, step = domain.low, domain.high, domain.step
    if isinstance(low, int) and isinstance(high, int):
        return IntDistribution(low, high, log=domain.log, step=int(step or 1))
    return FloatDistribution(low, high, log=domain.log, step=step)


def draw(trial: Trial, space: Mapping[str, Domain]) -> dict[str, Value]:
    """Return the settings of a trial; those that were drawn before stay as they were."""
    return {key: _drawn(trial, key, domain) for key, domain in space.items()}


def _drawn(trial: Trial, key: str, domain: Domain) -> Value:
    with quiet():
        if isinstance(domain, Choices):
            return cast(Value, trial.suggest_categorical(key, list(domain.values)))
        low, high, step = domain.low, domain.high, domain.step
        if isinstance(low, int) and isinstance(high, int):
            return trial.suggest_int(key, low, high, step=int(step or 1), log=domain.log)
        value = trial.suggest_float(key, low, high, step=step, log=domain.log)
        return rounded(value, low, high) if step is None else domain.on_step(value)


def rounded(value: float, low: float, high: float) -> float:
    """Return the number with few digits, still within its range."""
    return min(high, max(low, float(f"{value:.{DIGITS}g}")))
