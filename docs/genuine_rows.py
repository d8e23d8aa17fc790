"""Write the digests of genuine rows that the package ships: python docs/genuine_rows.py FOLDER

FOLDER contains NAME.npz for each of the eight sets, with X (60, 784), y, and for each row its split
(train, valid, test) and the end of the split that it is from (first, last).
"""

from __future__ import annotations

import csv
import io
import sys
from pathlib import Path

import numpy as np

from dae_cli.data.dataset import canonical_pixels
from dae_cli.data.datasets import DATASETS
from dae_cli.data.trust import COLUMNS, FILE, row_digests

ROOT = Path(__file__).resolve().parent.parent


def main(folder: Path) -> None:
    """Write the digests of the genuine rows in `folder`."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for name, spec in DATASETS.items():
        if spec.archive is None:
            continue
        with np.load(folder / f"{name}.npz", allow_pickle=False) as arrays:
            X, labels, splits, ends = (arrays[key] for key in ("X", "y", "split", "end"))
        digests = row_digests(canonical_pixels(X, spec, name))
        first = {"train": 1, "valid": spec.n_train + 1, "test": 1}
        for k, (split, end) in enumerate(zip(splits.tolist(), ends.tolist(), strict=True)):
            same = [j for j in range(len(ends)) if (splits[j], ends[j]) == (split, end)]
            row = first[split] + same.index(k) + (spec.rows[split] - len(same)) * (end == "last")
            part = "test" if split == "test" else "training"
            writer.writerow([name, part, row, labels[k], f"{X[k].mean():.3f}", digests[k]])
    (ROOT / "dae_cli" / "data" / FILE).write_text(text.getvalue(), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
