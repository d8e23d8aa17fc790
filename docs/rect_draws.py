"""Draw rect with eight seeds and check the recipe's seed: python docs/rect_draws.py [FOLDER]

An RBF SVM with fixed gamma and C is trained on the 1000 training rows of each draw and tested on
its 50 000 test rows. The recipe should have the seed with the median error (of eight, the lower of
the two in the middle); otherwise the exit code is 1. If FOLDER is given, each draw is also written
to FOLDER/SEED/rect.npz, for `dae train --data-dir FOLDER/SEED`.
"""

from __future__ import annotations

import statistics
import sys
from pathlib import Path

import numpy as np
from sklearn.svm import SVC

from dae_cli.data.dataset import Content
from dae_cli.data.datasets import DATASETS
from dae_cli.data.recipes.shapes import RECT_SEED, generate_rect

SEEDS = range(8)
GAMMA, C = 10**-1.25, 1.0
"""Parameters that SVM_rbf selected on the validation rows of recipe 1."""
BLOCKS = 10


def main(folder: Path | None) -> bool:
    """Print the error of each draw, their spread and the median seed; return whether it is ours."""
    errors: dict[int, float] = {}
    for seed in SEEDS:
        drawn = generate_rect(DATASETS["rect"], seed)
        errors[seed] = error_percent(drawn)
        print(f"seed {seed}: {errors[seed]:.3f} %", flush=True)
        if folder is not None:
            (folder / str(seed)).mkdir(parents=True, exist_ok=True)
            arrays = {"X": drawn.pixels, "Y": drawn.labels}
            arrays |= {"Xtest": drawn.test_pixels, "Ytest": drawn.test_labels}
            np.savez_compressed(folder / str(seed) / "rect.npz", allow_pickle=False, **arrays)
    low, *_, high = ordered = sorted(errors.values())
    mean, deviation = statistics.mean(ordered), statistics.stdev(ordered)
    print(f"{low:.2f} to {high:.2f} %, mean {mean:.2f}, sd {deviation:.2f}")
    median = min(seed for seed in SEEDS if errors[seed] == statistics.median_low(ordered))
    print(f"the median is seed {median}, the recipe has seed {RECT_SEED}")
    return median == RECT_SEED


def error_percent(drawn: Content) -> float:
    """Test error of the fixed SVM, trained on the training rows of a draw."""
    n = DATASETS["rect"].n_train
    machine = SVC(kernel="rbf", gamma=GAMMA, C=C).fit(drawn.pixels[:n], drawn.labels[:n])
    images = np.array_split(drawn.test_pixels, BLOCKS)
    labels = np.array_split(drawn.test_labels, BLOCKS)
    wrong = [(machine.predict(x) != y).sum() for x, y in zip(images, labels, strict=True)]
    return 100 * int(sum(wrong)) / len(drawn.test_labels)


if __name__ == "__main__":
    sys.exit(not main(Path(sys.argv[1]) if sys.argv[1:] else None))
