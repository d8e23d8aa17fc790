"""How the settings of a trial are drawn.

Every draw has a random stream of its own, named by the seed, the trial's number and the key. So
trial 17 of a random search has the same settings whoever makes it and whenever; those of the
model-based sampler (TPE) depend on nothing but these and the trials before.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, cast

from dae_cli.config.search_space import Choices, Domain, Value
from dae_cli.search.storage import quiet

if TYPE_CHECKING:
    from optuna import Study
    from optuna.samplers import BaseSampler
    from optuna.trial import FrozenTrial, Trial

SamplerName = Literal["random", "tpe"]
STARTUP_TRIALS = 10
"""Trials that TPE draws at random before it has a model."""
DIGITS = 4
"""Significant digits of a drawn number, so that a file with it can be read by people."""


def sampler_of(name: SamplerName, seed: int) -> BaseSampler:
    """Return optuna's sampler, seeded anew for each trial and key."""
    from optuna.samplers import BaseSampler, RandomSampler, TPESampler

    def seeded(number: int, key: str) -> BaseSampler:
        text = f"dae search {name} {seed} {number} {key}"
        own = int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")
        if name == "random":
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
            return {}

        def sample_relative(
            self, study: Study, trial: FrozenTrial, search_space: dict[str, Any]
        ) -> dict[str, Any]:
            return {}

        def sample_independent(
            self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: Any
        ) -> Any:
            own = seeded(trial.number, param_name)
            with quiet():
                return own.sample_independent(study, trial, param_name, param_distribution)

    return ByNumber()


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
        return rounded(trial.suggest_float(key, low, high, step=step, log=domain.log), low, high)


def rounded(value: float, low: float, high: float) -> float:
    """Return the number with few digits, still within its range."""
    return min(high, max(low, float(f"{value:.{DIGITS}g}")))
