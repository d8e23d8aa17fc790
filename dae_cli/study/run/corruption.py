"""What was done to a layer while it was trained, in a few words."""

from __future__ import annotations

from dae_cli.config.schema import PretrainedExperiment


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
    noise = ""
    if corruption.kind == "gaussian" and corruption.sigma:
        noise = f"Gaussian noise, σ {corruption.sigma:g}"
    elif corruption.destruction:
        how = "destroyed" if corruption.kind == "masking" else "salt and pepper"
        noise = f"{100 * corruption.destruction:g} % {how}"
    return ", ".join([*([noise] if noise else []), *penalties]) or "no corruption"
