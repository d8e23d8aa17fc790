"""The files that `dae new` writes: the declaration of the data, study.yaml and the cells.

The number of rows determines layer sizes and epochs. They are scaled from the studies on the
paper's data: three layers of 1000 units and 50 epochs of 10 000 rows.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass

from dae_cli.config.dump import one_line, quoted
from dae_cli.config.names import DATA_SUFFIX, STUDY_FILE
from dae_cli.data.datasets import DATASETS, PHOTOGRAPHS, DatasetSpec
from dae_cli.data.own.declaration import Declaration
from dae_cli.errors import some

_LEVELS = (25, 50)
"""Destruction of the denoising cells, in percent of the inputs."""
_PRESENTED = 500_000
"""Number of rows presented to each layer: 50 epochs of 10 000."""
_MANY_ROWS = 5000
"""Number of training rows from which three layers are used instead of two."""
_SLOW_SVM = 20_000
"""Number of training rows from which the SVM takes longer than the networks."""


@dataclass(frozen=True)
class NewStudy:
    """A study to write: `command` is its path as comments show it, `spec` describes its data."""

    command: str
    declaration: Declaration
    why: Mapping[str, str]
    spec: DatasetSpec

    def files(self) -> dict[str, str]:
        """Return the text of each file by name, study.yaml last."""
        data = {f"{self.spec.name}{DATA_SUFFIX}": self._declared()}
        cells = {f"{name}.yaml": self._cell(name, *cell) for name, cell in self._cells.items()}
        shared = self._shared() if self.spec.n_classes else self._shared_of_filters()
        return data | cells | {STUDY_FILE: shared}

    @property
    def _cells(self) -> dict[str, tuple[str, str]]:
        """Description and settings of each cell, by name."""
        # With very few inputs, a level may round to no destroyed input at all.
        levels = [level for level in _LEVELS if round(level / 100 * self.spec.n_pixels)]
        kind = ("saa", "sda") if self.spec.n_classes else ("ae", "dae")
        stacked = "stacked " if self.spec.n_classes else ""
        about = f"{kind[0].upper()}: {stacked}autoencoder without corruption"
        cells = {kind[0]: (about, _destroyed(0))}
        for level in levels:
            about = f"{stacked}denoising autoencoder; pretraining sets {level} % of the inputs to 0"
            name = "SdA" if self.spec.n_classes else "DAE"
            cells[f"{kind[1]}-{level}"] = (f"{name}: {about}", _destroyed(level))
        if self.spec.n_classes:
            cells["nnet"] = (
                "NNet: the same network without pretraining, started from random weights",
                "pretrain: {epochs: 0}",
            )
            slow = self.spec.n_train >= _SLOW_SVM
            cells["svm-rbf"] = (
                "SVM with a Gaussian (RBF) kernel; C and gamma are selected on the validation rows"
                + (f". With {self.spec.n_train} training rows this may take hours" if slow else ""),
                "svm: {kernel: rbf}",
            )
        return cells

    def _cell(self, name: str, what: str, settings: str) -> str:
        return f"{_comment(what)}#   dae replicate {self.command} --only {name}\n{settings}\n"

    def _declared(self) -> str:
        """The declaration, with a reason for each key that was inferred."""
        spec, declared = self.spec, self.declaration
        head = _comment("Your data: files, labels, scale of the values, and split of the rows.")
        found = _comment(f"Found: {contents(spec)}.")
        lines = [
            f"{head}{found}# All keys: docs/your-data.md",
            f"#   dae data list {self.command}{spec.name}{DATA_SUFFIX}",
            f"file: {quoted(declared.file)}",
        ]
        if declared.label:
            lines.append(f"label: {quoted(declared.label)} # {_some_classes(spec)}")
        settings = {"ignore": declared.ignore, "image": declared.image, "scale": declared.scale}
        for key, value in settings.items():
            if value:
                reason = f" # {self.why[key]}" if key in self.why else ""
                text = quoted if key == "ignore" else str
                lines.append(f"{key}: {one_line(value, text)}{reason}")
        if declared.resize:
            lines.append("resize: true # resizes images of other sizes to `image`")
        if not declared.scale:
            reason = "all values are in [0, 1]"
            if spec.levels == 255:
                reason = "in image files, 0 becomes 0 and 255 becomes 1"
            lines.append(f"# No `scale` is needed: {reason}.")
        if split := declared.split.model_dump(exclude_none=True, exclude={"seed"}):
            lines.append("# Fractions are drawn at random from each class, with `seed`.")
            lines.append("# Instead of a fraction, give the path of a file or folder of rows.")
            lines.append(f"split: {one_line({**split, 'seed': declared.split.seed}, quoted)}")
        return "\n".join(lines) + "\n"

    def _shared(self) -> str:
        depth = 3 if self.spec.n_train >= _MANY_ROWS else 2
        model = one_line({"hidden": [self._units] * depth})
        batch = self._batch
        epochs = _within(_PRESENTED / self.spec.n_train, 10, 300)
        longest = _within(2 * _PRESENTED / self.spec.n_train, 50, 500)
        trained = [name for name in self._cells if name.startswith(("saa", "sda"))]
        return f"""\
# Stacked denoising autoencoders on your own data, compared with an SVM and with a network without
# pretraining. Each cell is a file of this folder; it adds its settings to the shared ones below.
#   dae replicate {self.command}              trains all cells and writes a report
#   dae replicate {self.command} --seeds 5    runs more seeds; finished runs are not repeated
#   dae search {self.command}                 selects hyperparameters on the validation rows
title: {quoted(f"{self.spec.name}: stacked denoising autoencoders")}
shared:
  dataset: {self.spec.name}{DATA_SUFFIX}
{self._sizes(f"{depth} layers of {self._units} units")}\
  model: {model}
  pretrain: {{learning_rate: 0.1, epochs: {epochs}{batch}}}
  # Early stopping: training ends after {longest // 5} epochs without a lower validation error.
  finetune: {{learning_rate: 0.1, max_epochs: {longest}, patience: {longest // 5}{batch}}}
# `dae search` tries 8 settings of each cell from these ranges (log: on a logarithmic scale).
search:
  - cells: {one_line(trained)}
    trials: 8
    space:
      pretrain.learning_rate: {{low: 0.01, high: 0.3, log: true}}
      finetune.learning_rate: {{low: 0.02, high: 0.5, log: true}}
  - cells: [nnet]
    trials: 8
    space:
      finetune.learning_rate: {{low: 0.02, high: 0.5, log: true}}
"""

    def _shared_of_filters(self) -> str:
        epochs = _within(_PRESENTED / self.spec.n_train, 10, 300)
        text = f"""\
# Autoencoders on your own data without labels: compares filters with and without corruption.
#   dae replicate {self.command}    trains all cells and writes a report
title: {quoted(f"{self.spec.name}: filters of denoising autoencoders")}
shared:
  dataset: {self.spec.name}{DATA_SUFFIX}
{self._sizes(f"{self._units} units")}\
  model: {{hidden: [{self._units}]}}
  pretrain: {{learning_rate: 0.1, epochs: {epochs}{self._batch}}}
"""
        if self.spec.is_image:
            text += f"""\
figures:
  - name: by-destruction
    title: "Filters of the same units, by destruction"
    cells: {one_line(list(self._cells))}
"""
        return text

    def _sizes(self, layers: str) -> str:
        """The comment that explains layer sizes and epochs."""
        rows = self.spec.n_train
        text = f"Chosen for {rows} training rows: {layers}. The studies that replicate the paper "
        text += "have 10,000 rows, 3 layers of 1000 units and 50 epochs."
        if rows < 10_000:
            text += " With fewer rows an epoch has fewer updates, so there are more epochs here."
        if rows > 10_000:
            text += " With more rows an epoch has more updates, so there are fewer epochs here."
        return _comment(text, "  ")

    @property
    def _units(self) -> int:
        """Units per layer, 20 to 1000: at most four per input and one per four training rows."""
        most = min(4 * self.spec.n_pixels, self.spec.n_train // 4, 1000)
        return max(round(most / 50) * 50, 20)

    @property
    def _batch(self) -> str:
        """A `batch_size` if there are fewer training rows than a default minibatch has."""
        return f", batch_size: {self.spec.n_train}" if self.spec.n_train < 20 else ""


def name_of_data(stem: str) -> str:
    """Name the data after a file: letters, digits, - and _; not the name of another data set."""
    name = re.sub(r"[^A-Za-z0-9_-]+", "-", stem).strip("-_") or "data"
    return f"my-{name}" if name in (*DATASETS, PHOTOGRAPHS) else name


def contents(spec: DatasetSpec) -> str:
    """Describe the data: rows of each split, shape and classes."""
    rows = f"{spec.n_train} training"
    if spec.n_classes:
        rows += f", {spec.n_valid} validation and {spec.n_test} test"
    values = "x".join(map(str, (*spec.image, *([3] if spec.channels > 1 else []))))
    shape = f"images of {values}" if spec.is_image else f"rows of {spec.n_pixels} values"
    return f"{rows} {shape}, {_some_classes(spec)}"


def _some_classes(spec: DatasetSpec) -> str:
    return f"{spec.n_classes} classes: {some(spec.classes, 4)}" if spec.n_classes else "no labels"


def _destroyed(percent: int) -> str:
    return f"corruption: {{destruction: {percent / 100:g}}}"


def _within(number: float, least: int, most: int) -> int:
    return max(least, min(most, round(number)))


def _comment(text: str, indent: str = "") -> str:
    lead = f"{indent}# "
    return textwrap.fill(text, 100, initial_indent=lead, subsequent_indent=lead) + "\n"
