"""Fine-tuning: the whole network by the labels, with early stopping on the validation error.

The parameters kept are those of the lowest validation error, the earliest epoch among equals.
The test rows play no part (ICML 2008, section 2.4 and table 1; patience is ours, the paper does
not give its rule). A learning rate that decreases, weight decay and a mean over several epochs'
validation errors are not the paper's, and off unless they are asked for (docs/notes.md).
"""

from __future__ import annotations

from fractions import Fraction
from functools import partial

from dae_cli.config.schema import Experiment
from dae_cli.data.dataset import Dataset
from dae_cli.engines.engine import Engine
from dae_cli.training.divergence import Place
from dae_cli.training.epoch import present
from dae_cli.training.evaluation import count_wrong
from dae_cli.training.hooks import Hooks
from dae_cli.training.inputs import Pixels
from dae_cli.training.state import EpochRecord, TrainingState, copy_of, network_from
from dae_cli.training.steps import FinetuningStep
from dae_cli.training.streams import Purpose, shuffled, stream


def finetune(
    experiment: Experiment, dataset: Dataset, state: TrainingState, engine: Engine, hooks: Hooks
) -> None:
    """Train until patience or epochs run out; `state` moves on with each epoch.

    Raises:
        DivergedError: the cost or a parameter was not finite.
    """
    settings = experiment.finetune
    if state.network is None:
        state.network = network_from(state.autoencoders, dataset.n_classes)
    inputs = Pixels(dataset.train, settings.batch_size)
    step = FinetuningStep(state.network, inputs, dataset.train.labels, engine)
    while not _finished(state, settings.max_epochs, settings.patience):
        epoch = state.epoch + 1
        mean = present(
            shuffled(len(inputs), stream(experiment.seed, Purpose.FINETUNE_ORDER, state.epoch)),
            settings.batch_size,
            partial(
                step.take,
                learning_rate=settings.learning_rate / (1.0 + settings.decrease * state.epoch),
                weight_decay=settings.weight_decay,
            ),
            total=step.total,
            state=state,
            place=Place("finetune", None, epoch, settings),
            hooks=hooks,
        )
        wrong = count_wrong(state.network, dataset.valid, engine)
        state.epoch = epoch
        percent = 100.0 * wrong / len(dataset.valid)
        state.history.append(EpochRecord("finetune", None, epoch, mean, wrong, percent))
        if _is_best(state, settings.window):
            state.best, state.best_wrong, state.best_epoch = copy_of(state.network), wrong, epoch
        hooks.epoch_done(state)
    state.phase = "done"
    hooks.phase_done(state)


def _is_best(state: TrainingState, window: int) -> bool:
    """Tell whether the last epoch has a lower validation error than the best one before it.

    Where there are not so many epochs as the window is wide, those that there are are averaged:
    the first ones have the most errors, so it is to no early epoch's advantage.
    """
    wrong = [r.valid_wrong for r in state.history if r.valid_wrong is not None]

    def mean(epoch: int) -> Fraction:
        judged = wrong[max(0, epoch - window) : epoch]
        return Fraction(sum(judged), len(judged))

    return state.best_wrong is None or mean(state.epoch) < mean(state.best_epoch)


def _finished(state: TrainingState, max_epochs: int, patience: int) -> bool:
    return state.epoch >= max_epochs or state.epoch - state.best_epoch >= patience
