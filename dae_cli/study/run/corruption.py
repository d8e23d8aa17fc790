"""What was done to a layer while it was trained, in a few words."""

from __future__ import annotations

from dae_cli.config.schema import CORRUPTIONS, PretrainedExperiment


def corruption_told(experiment: PretrainedExperiment) -> str:
    """Return `25 % destroyed`, `Gaussian noise, σ 0.5`, `weight decay 0.001`, `no corruption`.

    `not pretrained` where that took no epoch.
    """
    pretrain, corruption = experiment.pretrain, experiment.corruption
    if pretrain.epochs == 0:
        return "not pretrained"
    penalties = []
    if pretrain.weight_decay:
        penalties.append(f"weight decay {pretrain.weight_decay:g}")
    if pretrain.contraction:
        penalties.append(f"contraction {pretrain.contraction:g}")
    kind = CORRUPTIONS[corruption.kind]
    level = corruption.sigma if kind.level == "sigma" else 100 * corruption.destruction
    noise = [kind.words.format(level)] if level else []
    return ", ".join([*noise, *penalties]) or "no corruption"
