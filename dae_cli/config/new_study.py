"""The files of a first study on data of the user's own: its declaration, what is shared, its cells.

Sizes go by the number of rows, from three layers of 1000 units and 50 epochs of 10 000 rows, which
the studies of the paper's data have here.
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
"""Percent of the inputs that are destroyed, beside none."""
_PRESENTED = 500_000
"""Rows that are presented to each layer: 50 epochs of 10 000."""
_MANY_ROWS = 5000
"""Training rows from which on there are three layers."""
_SLOW_SVM = 20_000
"""Training rows from which on an SVM takes longest of all."""


@dataclass(frozen=True)
class NewStudy:
    """A study to be written: `command` is its path in the comments, `spec` what its data are."""

    command: str
    declaration: Declaration
    why: Mapping[str, str]
    spec: DatasetSpec

    def files(self) -> dict[str, str]:
        """The text of each file by its name, study.yaml last."""
        data = {f"{self.spec.name}{DATA_SUFFIX}": self._declared()}
        cells = {f"{name}.yaml": self._cell(name, *cell) for name, cell in self._cells.items()}
        shared = self._shared() if self.spec.n_classes else self._shared_of_filters()
        return data | cells | {STUDY_FILE: shared}

    @property
    def _cells(self) -> dict[str, tuple[str, str]]:
        """By name: what a cell is, and its settings."""
        # Of very few inputs, none would be destroyed.
        levels = [level for level in _LEVELS if round(level / 100 * self.spec.n_pixels)]
        kind = ("saa", "sda") if self.spec.n_classes else ("ae", "dae")
        what = "stacked autoencoders" if self.spec.n_classes else "an autoencoder"
        cells = {kind[0]: (f"{kind[0].upper()}: {what}, no corruption", _destroyed(0))}
        for level in levels:
            about = f"{what}, {level} % of the inputs destroyed in pretraining"
            cells[f"{kind[1]}-{level}"] = (f"Denoising: {about}", _destroyed(level))
        if self.spec.n_classes:
            cells["nnet"] = (
                "The same network without pretraining, from random weights",
                "pretrain: {epochs: 0}",
            )
            slow = self.spec.n_train >= _SLOW_SVM
            cells["svm-rbf"] = (
                "An SVM with a Gaussian kernel; C and gamma are selected on validation rows"
                + (f". Of {self.spec.n_train} rows it may take hours" if slow else ""),
                "svm: {kernel: rbf}",
            )
        return cells

    def _cell(self, name: str, what: str, settings: str) -> str:
        return f"{_comment(what)}#   dae replicate {self.command} --only {name}\n{settings}\n"

    def _declared(self) -> str:
        """The declaration, each key with its reason, and the keys that it leaves out."""
        spec, declared = self.spec, self.declaration
        head = _comment(
            "Data of your own: which file, which column holds the labels, how values are scaled "
            f"and rows are split. {contents(spec)}. All keys: docs/your-data.md"
        )
        lines = [
            f"{head}#   dae data list {self.command}{spec.name}{DATA_SUFFIX}",
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
            lines.append("resize: true # images of other sizes are brought to this one")
        if not declared.scale:
            lines.append("# scale: minmax # not needed: all values have their place in [0, 1]")
        if split := declared.split.model_dump(exclude_none=True, exclude={"seed"}):
            lines.append(
                "# A fraction of the rows of each class, drawn by the seed, or a file of rows."
            )
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
# Stacked denoising autoencoders on data of your own, beside an SVM and a network without
# pretraining.
#   dae replicate {self.command}
#   dae replicate {self.command} --seeds 5    adds seeds; what is done is not run again
#   dae search {self.command}                 selects settings on validation rows
title: {quoted(f"{self.spec.name}: stacked denoising autoencoders")}
shared:
  dataset: {self.spec.name}{DATA_SUFFIX}
{self._sizes(f"{depth} layers of {self._units} units")}\
  model: {model}
  pretrain: {{learning_rate: 0.1, epochs: {epochs}{batch}}}
  # Ends once {longest // 5} epochs have not made the validation error smaller.
  finetune: {{learning_rate: 0.1, max_epochs: {longest}, patience: {longest // 5}{batch}}}
# What `dae search` selects, with as many trials of every network.
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
# Autoencoders on data of your own, which has no labels: their filters, with and without corruption.
#   dae replicate {self.command}
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
    title: "Filters by destruction, the same units"
    cells: {one_line(list(self._cells))}
"""
        return text

    def _sizes(self, layers: str) -> str:
        """The comment over the sizes: where they come from."""
        rows = self.spec.n_train
        why = "and about the steps that 50 epochs of 10 000 rows have."
        if rows < 10_000:
            why = "fewer than the 3 layers of 1000 units that 10 000 rows have in the paper's "
            why += "studies here, and more epochs, so that there are enough steps."
        better = " `dae search` finds better ones." if self.spec.n_classes else ""
        return _comment(f"{rows} training rows: {layers}, {why}{better}", "  ")

    @property
    def _units(self) -> int:
        """About four times the inputs, and fewer than there are rows: from 20 to 1000."""
        most = min(4 * self.spec.n_pixels, self.spec.n_train // 4, 1000)
        return max(round(most / 50) * 50, 20)

    @property
    def _batch(self) -> str:
        """A setting for so few rows that the usual minibatch is larger."""
        return f", batch_size: {self.spec.n_train}" if self.spec.n_train < 20 else ""


def name_of_data(stem: str) -> str:
    """A name for the data of a file: letters, digits, - and _, and that of no other data set."""
    name = re.sub(r"[^A-Za-z0-9_-]+", "-", stem).strip("-_") or "data"
    return f"my-{name}" if name in (*DATASETS, PHOTOGRAPHS) else name


def contents(spec: DatasetSpec) -> str:
    """What the data are, in words."""
    parts = [spec.n_train, spec.n_valid, spec.n_test] if spec.n_classes else [spec.n_train]
    rows = " + ".join(map(str, parts))
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
