"""Errors in files and `--set`: all are reported at once, with place, value and remedy."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from itertools import product
from pathlib import Path

import yaml

from tests.entry_points.config import problems, settings
from tests.support.commands import Ended
from tests.support.tiny import snapshot

WHOLE = """\
dataset: convex
model: {hidden: [30, 20]}
corruption: {destruction: 0.25}
pretrain: {learning_rate: 0.1, epochs: 2}
finetune: {learning_rate: 0.1, max_epochs: 3, patience: 2}
"""
DIGITS = """\
dataset: mnist
model: {hidden: [8]}
corruption: {destruction: 0.25}
pretrain: {learning_rate: 0.1, epochs: 2}
"""
PHOTOS = """\
dataset: photographs
model: {hidden: [8]}
corruption: {kind: gaussian, sigma: 0.5}
pretrain: {loss: squared-error, learning_rate: 0.02, epochs: 2}
"""
SVM = "dataset: convex\nsvm: {kernel: rbf}\n"
POLY = SVM.replace("rbf", "poly")
STUDY = """\
title: a study
shared:
  model: {hidden: [30, 20]}
  pretrain: {learning_rate: 0.1, epochs: 2}
  finetune: {learning_rate: 0.1, max_epochs: 3, patience: 2}
"""
CELLS = {
    "convex-0": "dataset: convex\n",
    "convex-25": "dataset: convex\ncorruption: {destruction: 0.25}\n",
}
FILE = "./x.yaml"
AT = "experiments/mine/"
RBM = "pretrain.kind=rbm  corruption.destruction=0"


def write(text: str) -> str:
    """Write x.yaml, and return its path."""
    Path(FILE).write_text(text, encoding="utf-8")
    return FILE


def write_cells(study: str = STUDY, cells: Mapping[str, str] = CELLS) -> str:
    """Write experiments/mine, replacing an earlier one, and return the study's name."""
    folder = Path(AT)
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    for file, text in {"study": study, **cells}.items():
        (folder / f"{file}.yaml").write_text(text, encoding="utf-8")
    return "mine"


def rows(table: str) -> list[list[str]]:
    """Return the rows of a table with ` | ` between columns."""
    return [[part.strip() for part in line.split(" | ")] for line in table.strip().splitlines()]


def words(text: str) -> list[str]:
    """Return the parts of a column, which have two spaces between them."""
    return text.split("  ")


def has(text: str, part: str) -> bool:
    """Whether a text contains a word, number or place that is not part of a longer one."""
    return bool(re.search(rf"(?<![\w.-]){re.escape(part)}(?![\w-]|\.\w)", text))


def assert_reported(found: list[str], place: str, *parts: str) -> None:
    """Assert that exactly one problem was found, at this place and with all these parts."""
    assert len(found) == 1, (place, found)
    assert found[0].startswith(place), (place, found)
    rest = found[0].removeprefix(place)
    for part in parts:
        assert has(rest, part), (part, found)


def assert_all_reported(found: list[str], expected: Iterable[tuple[str, ...]]) -> None:
    """Assert that exactly these problems were found, in this order."""
    for one, (place, *parts) in zip(found, expected, strict=True):
        assert_reported([one], place, *parts)


WRONG = """
corruption.destruction=a lot | 0 | 1
corruption.destruction=.nan | 0 | 1
corruption.destruction=true | 0 | 1
corruption.destruction=15 | 0 | 1 | did you mean 0.15?
corruption.destruction=2.5 % | number | 0 | 1 | did you mean 0.025?
corruption.sigma=1e999 | 0 | 100
corruption.kind=maskin | masking, gaussian, salt-and-pepper | did you mean masking?
dataset=Convex | did you mean convex?
dataset=a=b | basic | rot-bg-img | convex | mnist | photographs
pretrain.learning_rate=1e-999 | 0 | 1000
pretrain.kind=RBM | autoencoder, rbm | did you mean rbm?
pretrain.epochs=2.0 | whole | 0 | 100000
pretrain.epochs=true | whole | 0 | 100000
pretrain.epochs=~ | whole | 0 | 100000
pretrain.epochs=10000000000000000000000000000000000000000 | whole | 0 | 100000
model.tied=yes | true or false | did you mean true?
model.tied=NO | true or false | did you mean false?
model.hidden=[] | 1 | 20 | 100000
model.hidden=[5,5,5,5,5,5,5,5,5,5,5,5,5,5,5,5,5,5,5,5,5] | 1 | 20 | 100000
model.hidden=500 | 1 | 20 | 100000 | such as [1000, 1000, 1000]
model.hidden=[500, 0] | item 2 | 0 | 1 | 100000
model.hidden=[500, 20.0] | item 2 | 20.0 | whole | 1 | 100000
model=3 | hidden, tied, init
subset=some | train, valid, test
subset={train: 0, valid: 1, test: 1} | subset.train | 1
pretrain.lerning_rate=0.1 | did you mean pretrain.learning_rate?
learning_rate=1 | pretrain.learning_rate or finetune.learning_rate?
finetune.epochs=1 | finetune.max_epochs or pretrain.epochs?
model.xyz=1 | model.hidden, model.tied, model.init
model={hiden: [3]} | model.hiden | did you mean model.hidden?
/etc/passwd=3 | dataset, model, corruption, pretrain, finetune, subset, seed
"""


def test_each_wrong_value_is_reported_with_place_expectation_and_suggestion() -> None:
    file = write(WHOLE)
    for given, *parts in rows(WRONG):
        assert_reported(problems(file, given), f"--set {given}", *parts)


# Key, valid values, invalid values, parts of the message; and overrides that the key needs.
BOUNDS = f"""
corruption.destruction | 0  0.05  .97 | -.1  1  1.5 | 0  1
corruption.sigma | 0  100 | -1  100.1 | 0  100 | corruption.kind=gaussian  corruption.destruction=0
corruption.pepper | -100  100 | -100.5  101 | -100  100 | corruption.kind=salt-and-pepper
corruption.salt | -100  100 | -101  100.5 | -100  100 | corruption.kind=salt-and-pepper
pretrain.learning_rate | 1e-300  1000 | 0  -0.1  1000.1 | 0  1000
pretrain.epochs | 0  100000 | -1  100001 | 0  100000
pretrain.batch_size | 1  6000 | 0  100001 | 1  100000
pretrain.gibbs_steps | 1  1000 | 0  1001 | 1  1000 | {RBM}
pretrain.weight_decay | 0  1 | -1e-9  1.1 | 0  1
pretrain.contraction | 0  1000000 | -1  1000001 | 0  1000000
finetune.learning_rate | 1e-300  1000 | 0.0  1e4 | 0  1000
finetune.max_epochs | 1  100000 | 0  100001 | 1  100000
finetune.patience | 1  100000 | 0  100001 | 1  100000
finetune.window | 1  100000 | 0  100001 | 1  100000
finetune.decrease | 0  1000 | -1  1001 | 0  1000
finetune.weight_decay | 0  1 | -1  2 | 0  1
finetune.batch_size | 1  6000 | 0  100001 | 1  100000
seed | 0  4294967295 | -1  4294967296 | 0  4294967295
rows | 20  60000 | 0  60001 | 1  60000
patches.side | 4  64 | 3  65 | 4  64
patches.count | 100  5000000 | 99  5000001 | 100  5000000
patches.cutoff | 1e-9  1 | 0  1.01 | 0  1
patches.deviation | 1e-9  100 | 0  101 | 0  100
svm.gammas | [1e-9, 1000] | [0]  [1001] | item 1  0  1000
svm.degrees | [1, 20] | [0]  [21] | item 1  1  20
svm.offsets | [0, 1000] | [-1]  [1001] | item 1  0  1000
svm.destructions | [0, 0.99] | [-0.1]  [1] | item 1  0  1
svm.penalties | [1e-9, 1000000000] | [0]  [1e10] | item 1  0  1000000000
"""


def test_a_number_may_be_at_its_bounds_but_not_beyond() -> None:
    files = {"rows": DIGITS, "patches": PHOTOS, "svm": POLY}
    for key, allowed, refused, parts, *more in rows(BOUNDS):
        file = write(files.get(key.partition(".")[0], WHOLE))
        with_it = words(more[0]) if more else []
        for one in words(allowed):
            assert problems(file, f"{key}={one}", *with_it) == [], one
        for one in words(refused):
            found = [text for text in problems(file, f"{key}={one}", *with_it) if key in text]
            assert_reported(found, f"--set {key}={one}", *words(parts))


FORMS: list[tuple[tuple[str, ...], tuple[str, ...]]] = [
    (("seed",), ("--set seed", "key=value")),
    (("model..tied=true",), ("--set model..tied=true", "key=value")),
    (("a." * 11 + "b=1",), ("key=value",)),
    (("a." * 10 + "b=1",), ("keys are",)),
    (("seed=1", "seed=1"), ("--set seed=1", "twice")),
    (("model={tied: true}", "model.tied=false"), ("--set model.tied=false", "model={tied:")),
    (("model.tied=true", "model={tied: false}"), ("--set model={tied: false}", "model.tied")),
    (("subset={train: 1, train: 2}",), ("train", "twice")),
    (("seed=" + "1" * 100_001,), ("--set seed=111", "100000")),
    (("seed=3\nsubset: 4",), (r"--set 'seed=3\nsubset: 4'", "YAML")),
    (("seed=\udfff",), (r"--set 'seed=\udfff'", "UTF-8")),
    (("mo\x1bdel.tied=true",), (r"--set 'mo\x1bdel.tied=true'", "did you mean model?")),
    (("seed=\0",), (r"--set 'seed=\x00'", "character")),
]


def test_an_argument_without_a_valid_key_and_value_is_reported() -> None:
    file = write(WHOLE)
    for arguments, parts in FORMS:
        found = problems(file, *arguments)
        assert any(all(part in one for part in parts) for one in found), (arguments, found)
    assert settings(file, "seed = 3")["x"]["seed"] == 3


def test_the_problems_of_a_file_and_of_set_are_reported_together_in_order() -> None:
    text = (
        "dataset: convx\n"
        "model: {hidden: [30, 20], hidden: [3]}\n"
        "corruption: {destruction: 1.5}\n"
        "pretrain:\n"
        "  learning_rate: 0.1\n"
        "  epoch: 4\n"
    )
    found = problems(write(text), "seed=x", "nonsense", "corruption.sigma=-1")
    expected = [
        ("x.yaml:2", "hidden", "2"),
        ("x.yaml:1 dataset: convx", "rot-bg-img", "photographs", "did you mean convex?"),
        ("x.yaml:3 corruption.destruction: 1.5", "0", "1"),
        ("x.yaml:6 pretrain.epoch: 4", "did you mean pretrain.epochs?"),
        ("--set seed=x", "4294967295"),
        ("--set nonsense", "key=value"),
        ("--set corruption.sigma=-1", "0", "100"),
        ("x.yaml pretrain.epochs", "missing", "0", "100000"),
        ("x.yaml finetune", "missing", "learning_rate, max_epochs, patience"),
    ]
    assert_all_reported(found, expected)


def test_wrong_settings_are_exit_code_2_of_every_command_and_nothing_is_written(
    dae: Callable[..., Ended], tiny: Path, tmp_path: Path
) -> None:
    before = snapshot(tmp_path)
    batch, hidden = "pretrain.batch_size=101", "model.hidden=[0]"
    for command in ("show", "replicate", "report", "verify"):
        ended = dae(command, "tiny", "--set", batch, "--set", hidden)
        ended.failed(2, "2 problems with tiny", f"--set {batch}", f"--set {hidden}")
        assert ended.out == ""
    assert snapshot(tmp_path) == before


def test_no_key_is_reported_as_missing_in_a_file_that_cannot_be_read() -> None:
    for text, part in (("- dataset\n", "x.yaml:1"), ("3\n", "x.yaml:1"), ("a: [\n", "x.yaml:2")):
        (unreadable,) = problems(write(text))
        assert part in unreadable and "missing" not in unreadable
    for text in ("", "# nothing yet\n", "{}\n", "null\n"):
        found = problems(write(text))
        assert [one.split()[:2] for one in found] == [
            ["x.yaml", key] for key in ("dataset", "model", "pretrain", "finetune")
        ]


# Overrides, then parts of the message. The place is the first override unless another is given.
CONTRADICTIONS = """
corruption.kind=gaussian | x.yaml:3 corruption.destruction: 0.25 | corruption.sigma | 0 | AS SET
corruption.sigma=.3 | masking | corruption.destruction | default
corruption={kind: salt-and-pepper, sigma: 1} | corruption.sigma | corruption.destruction
corruption.pepper=.1 | pepper | salt-and-pepper
corruption.destruction=1e-4 | none | 784 | round(0.0001 x 784) = 0 | larger
corruption.destruction=.9999 | all | 784 | round(0.9999 x 784) = 784 | smaller
corruption.destruction=.01 | none | layer 1 | round(0.01 x 30) = 0 | larger
corruption.destruction=.05  model.hidden=[30, 9, 30] | none | layer 2 | round(0.05 x 9) = 0
pretrain.batch_size=6001 | 1 | 6000 | convex
finetune.batch_size=91  subset={train: 90, valid: 1, test: 1} | 1 | 90 | subset.train
subset={train: 19, valid: 1, test: 1}  pretrain.batch_size=19 | finetune.batch_size | 20
subset={train: 6001, valid: 1, test: 1} | subset.train | 1 | 6000 | convex
subset={train: 90, valid: 2001, test: 1} | subset.valid | 1 | 2000 | convex
subset={train: 90, valid: 1, test: 50001} | subset.test | 1 | 50000 | convex
model.hidden=[100000, 10000] | 1,078,400,000 | 4 GB | 1,000,000,000
pretrain.kind=rbm | x.yaml:3 corruption.destruction: 0.25 | 0 | AS SET
corruption={kind: gaussian, destruction: 0, sigma: 1}  pretrain.kind=rbm | corruption.sigma | 0
pretrain={kind: rbm, loss: squared-error}  corruption.destruction=0 | pretrain.loss | cross-entropy
pretrain.weight_decay=.1  RBM | 0
pretrain.contraction=.1  RBM | 0
model.tied=false  RBM | true
pretrain.gibbs_steps=2 | pretrain.kind | rbm
pretrain={kind: autoencoder, persistent: true} | pretrain.persistent | rbm
pretrain.batch_size=100001 | 1 | 100000
"""
ALLOWED = """
corruption={kind: gaussian, destruction: 0, sigma: .3}
corruption.destruction=0
RBM
pretrain={kind: autoencoder, gibbs_steps: 1, persistent: false, sample_visible: true}
model.hidden=[1000, 2]  corruption.destruction=.1
model.hidden=[100000, 9216]
pretrain.batch_size=6000  finetune.batch_size=6000
pretrain={epochs: 0, batch_size: 6001}
subset={train: 19, valid: 1, test: 1}  finetune.batch_size=1  pretrain.batch_size=19
subset={train: 6000, valid: 2000, test: 50000}
corruption.destruction=.02
corruption.destruction=.98
"""


def test_settings_that_contradict_each_other_are_reported_with_a_remedy() -> None:
    file = write(WHOLE)
    for together, *parts in rows(CONTRADICTIONS):
        set_ = words(together.replace("RBM", RBM))
        as_set = f"--set {set_[0]}"
        if parts[-1] == "AS SET":
            assert_reported(problems(file, *set_), *parts[:-1], as_set)
        else:
            assert_reported(problems(file, *set_), as_set, *parts)


def test_settings_that_only_seem_to_contradict_each_other_are_allowed() -> None:
    """The last code is not corrupted, 10⁹ weights are allowed, and 0 epochs need no batch."""
    file = write(WHOLE)
    for (together,) in rows(ALLOWED):
        assert problems(file, *words(together.replace("RBM", RBM))) == [], together


LAYOUTS: list[tuple[str, str, tuple[str, ...]]] = [
    ("a: !!python/object/apply:os.system [ls]\n", "x.yaml:1", ("tag",)),
    ("seed: 1\nmodel: !!float 3\n", "x.yaml:2", ("tag:yaml.org,2002:float",)),
    ("seed: 1\n---\nseed: 2\n", "x.yaml:2", ("document",)),
    ("subset: &x {train: 1}\nmodel:\n  <<: *x\n", "x.yaml:3", ("<<",)),
    ("model: &x [*x]\n", "x.yaml:1", ("*x",)),
    ("seed: 1\nmodel: \x07\n", "x.yaml:2", ("character",)),
    ("dataset: convex\nmodel: {hidden: [1, 2\nseed: 0\n", "x.yaml:3", ("YAML", "seed: 0 ^")),
    ("seed: 1\nmodel: {hidden: [3]}\nseed: 2\n", "x.yaml:3", ("seed", "line 1")),
    ("\nsubset: {train: 1, train: 2}\n", "x.yaml:2", ("train", "line 2")),
    ("seed: " + "[" * 50_000, "x.yaml:1", ("10",)),
    ("seed: '" + "x" * 100_001 + "'", "x.yaml", ("100000",)),
    ('"\\e[31m": 1\n"\\e[31m": 2\n', "x.yaml:2", ("line 1",)),
]


def test_yaml_with_more_than_plain_values_is_rejected_at_its_line() -> None:
    for text, place, parts in LAYOUTS:
        found = [one for one in problems(write(text)) if all(has(one, part) for part in parts)]
        assert len(found) == 1, (text[:60], found)
        assert found[0].startswith(f"{place} "), (text[:60], found)


def test_a_file_may_be_as_large_as_its_bounds() -> None:
    for levels in (10, 11):  # the file's own mapping is the first level
        (found,) = problems(write(f"{WHOLE}x: {'[' * levels}{']' * levels}\n"))
        assert found.startswith("x.yaml:6") and ("10" in found) == (levels == 11)
    padded = WHOLE + "#" * (100_000 - len(WHOLE) - 1) + "\n"
    assert problems(write(padded)) == []
    assert "100000" in problems(write(padded + "#"))[0]
    nodes = sum(isinstance(event, yaml.NodeEvent) for event in yaml.parse(WHOLE))
    for values in (5000, 5001):
        (found,) = problems(write(f"{WHOLE}x: [{'1, ' * (values - nodes - 2)}]\n"))
        assert ("5000" in found) == (values == 5001)


def test_aliases_are_expanded_and_an_alias_bomb_is_rejected() -> None:
    text = WHOLE.replace("learning_rate: 0.1", "learning_rate: &rate 0.5", 1)
    text = text.replace("learning_rate: 0.1", "learning_rate: *rate")
    assert settings(write(text))["x"]["finetune"]["learning_rate"] == 0.5
    bomb = "a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1]\n"
    for i in range(1, 9):
        bomb += f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n"
    (found,) = problems(write(bomb))
    assert found.startswith("x.yaml:4 ") and "5000" in found


def test_text_must_be_utf_8_with_or_without_a_mark_and_lines_may_end_as_on_windows() -> None:
    Path(FILE).write_bytes(b"dataset: convex\nmodel: caf\xe9\n")
    assert_reported(problems(FILE), "x.yaml:2", "UTF-8")
    Path(FILE).write_bytes(b"\xef\xbb\xbf" + WHOLE.replace("\n", "\r\n").encode())
    assert problems(FILE) == []
    write_cells()
    Path(AT, "convex-0.yaml").unlink()
    Path(AT, "convex-0.yaml").mkdir()
    (found,) = problems("mine")
    assert found.startswith(f"{AT}convex-0.yaml ") and "missing" not in found


def test_text_that_yaml_1_1_converts_silently_stays_text() -> None:
    for word in ("no", "010", "0x10", "1_000", "1:30", "2008-07-05", "e5", "1e", "."):
        assert_reported(problems(write(f"{WHOLE}seed: {word}\n")), f"x.yaml:6 seed: {word} ")
    for word in ("yes", "off", "True", "y", "'true'", "1"):
        assert_reported(
            problems(write(WHOLE.replace("20]", f"20], tied: {word}"))), "x.yaml:2 model.tied: "
        )
    for key in ("no: 1", "1: 2", "null: 3"):
        assert_reported(problems(write(f"{WHOLE}{key}\n")), f"x.yaml:6 {key} ")


def test_a_reader_of_settings_executes_nothing(tmp_path: Path) -> None:
    mark = tmp_path / "executed"
    for text in ("seed: {}\n", "{}\n", "? {}\n: 1\n"):
        tagged = text.format(f"!!python/object/apply:os.mkdir [{mark}]")
        assert problems(write(tagged)) and problems(write(WHOLE + tagged))
        assert problems(write(WHOLE), f"seed={tagged}")
    assert not mark.exists()


def test_a_value_is_shown_with_escapes_and_shortened_if_it_is_long() -> None:
    for escape, there in ((r"\x7f", "7f"), (r"\e", "1b"), (r"\u202e", "202e"), (r"\P", "2029")):
        (found,) = problems(write(WHOLE.replace("convex", f'"{escape}"')))
        assert found.startswith("x.yaml:1 dataset: ") and there in found, found
    for length, shown in ((60, "x" * 60), (61, "x" * 59 + "…")):
        assert_reported(
            problems(write(f"{WHOLE}seed: {'x' * length}\n")), f"x.yaml:6 seed: {shown} "
        )


def test_problems_of_all_files_of_a_study_are_reported_together() -> None:
    study = (
        "titel: a study\n"
        "shared:\n"
        "  model: {hidden: [30]}\n"
        "  pretrain: {learning_rate: 0.1, epochs: -1}\n"
        "per_dataset:\n"
        "  convx: {seed: 1}\n"
        "  rect: {seed: 1}\n"
        "  convex: {dataset: rect}\n"
        "  xyz: {seed: 1}\n"
    )
    wrong = "dataset: convex\ncorruption: {destruction: 2}\n"
    write_cells(study, {"a": "dataset: convex\n", "b": wrong, "c": "dataset: [\n"})
    Path(AT, "d.yml").write_text("dataset: convex\n")
    expected = [
        (f"{AT}study.yaml:1 titel: a study", "did you mean title?"),
        (f"{AT}study.yaml title", "missing"),
        (f"{AT}study.yaml:4 shared.pretrain.epochs: -1", "0", "100000"),
        (f"{AT}study.yaml:6 per_dataset.convx: {{seed: 1}}", "did you mean convex?"),
        (f"{AT}study.yaml:8 per_dataset.convex.dataset: rect",),
        (f"{AT}study.yaml:9 per_dataset.xyz: {{seed: 1}}", "basic, rot, bg-rand"),
        (f"{AT}d.yml", "d.yaml"),
        (f"{AT}b.yaml:2 corruption.destruction: 2", "0", "1"),
        (f"{AT}c.yaml:2", "YAML"),
        ("--set seed=x", "4294967295"),
        (f"{AT}study.yaml finetune", "missing", "a, b", "learning_rate"),
    ]
    assert_all_reported(problems("mine", "seed=x"), expected)


STUDIES = """
paper: [1] | paper: [1] | text
reference: models | reference: models | destruction | did you mean model?
per_dataset: [convex] | per_dataset: [convex] | mapping
per_dataset: {convex: {sed: 3}} | per_dataset.convex.sed: 3 | did you mean per_dataset.convex.seed?
seed: 3 | seed: 3 | did you mean shared.seed?
svm: {kernel: rbf} | svm: {kernel: rbf} | did you mean shared.svm?
xyz: 3 | xyz: 3 | title, paper, reference, claims, shared
"""


def test_a_wrong_study_file_is_reported_at_its_line() -> None:
    for line, place, *parts in rows(STUDIES):
        assert_reported(
            problems(write_cells(f"{STUDY}{line}\n")), f"{AT}study.yaml:6 {place}", *parts
        )
    for title in ("3", "1e3", "' '"):
        assert_reported(
            problems(write_cells(STUDY.replace("a study", title))), f"{AT}study.yaml:1", "text"
        )
    for text in ("", "- title\n"):
        assert_reported(
            problems(write_cells(text)),
            f"{AT}study.yaml",
            "title, paper, reference, claims, shared",
        )
    (found, *missing) = problems(write_cells("title: t\nshared: 3\n"))
    assert found.startswith(f"{AT}study.yaml:2 shared: 3 ")
    assert all("missing" in one and "convex-0, convex-25" in one for one in missing)
    assert_reported(problems(write_cells("title: t\ntitle: u\n", {"a": SVM})), f"{AT}study.yaml:2")
    write_cells(STUDY + "per_dataset:\n  rect: {seed: 1}\n")  # no cell uses this data set
    for set_ in ((), ("dataset=rect", "corruption.destruction=0.25")):
        assert any("study.yaml:7 per_dataset.rect" in one for one in problems("mine", *set_))


def test_identical_cells_are_reported_and_an_invalid_cell_does_not_affect_others() -> None:
    write_cells(cells={"a": "dataset: rect\n", "b": "dataset: rect\nseed: 0\n"})
    assert_reported(problems("mine"), f"{AT}b.yaml", "a")
    write_cells()
    assert_reported(
        problems("mine", "corruption.destruction=.5"), f"{AT}convex-25.yaml", "convex-0"
    )
    assert problems("mine", "corruption.destruction=.5", only=["convex-25"]) == []
    assert_reported(problems(write_cells(cells={})), "experiments/mine", ".yaml")
    write_cells(cells={"a": "dataset: convex\n", "b": "dataset: convx\n"})
    assert problems("mine/a") == []
    assert len(problems("mine/b")) == len(problems("mine")) == 1


# A file, an override, and parts of the message. The place is the override unless another is given.
FILTERS = """
digits | patches.side=8 | patches | photographs | x.yaml:1
photos | rows=100 | patches.count | x.yaml:1
photos | pretrain.loss=cross-entropy | squared-error
unsaid | seed=1 | x.yaml:4 pretrain: {learning_rate | pretrain.loss | squared-error
digits | model.hidden=[8,4] | one
digits | pretrain.epochs=0 | 1
digits | rows=10 | x.yaml:4 pretrain: {learning_rate: 0.1, epochs: 2} | 1 | 10
digits | pretrain.batch_size=60001 | 1 | 60000
patches | pretrain.batch_size=200 | 1 | 100
digits | finetune.learning_rate=0.1 | dataset, patches, rows, model, corruption, pretrain, seed
digits | corruption.destruction=0.0001 | none | 784
patches | corruption={kind: masking, sigma: 0, destruction: .02} | none | 16
"""


def test_settings_that_do_not_apply_to_experiments_on_filters_are_reported() -> None:
    unsaid = PHOTOS.replace("loss: squared-error, ", "")
    patches = f"{PHOTOS}patches: {{side: 4, count: 100}}\n"
    files = {"digits": DIGITS, "photos": PHOTOS, "unsaid": unsaid, "patches": patches}
    for file, set_, *parts in rows(FILTERS):
        place = [] if parts[0].startswith("x.yaml") else [f"--set {set_}"]
        assert_reported(problems(write(files[file]), set_), *place, *parts)
    assert problems(write(DIGITS), "rows=20") == []
    assert problems(write(PHOTOS), "pretrain.batch_size=100000") == []


# A file, an added line or an override, and parts of the message.
MIXED = """
digits | subset: {train: 5, valid: 5, test: 5} | x.yaml:1 | finetune | rows
net | rows: 100 | mnist | subset
net | patches: {side: 8} | photographs
svm | rows: 5 | x.yaml:2 | remove
svm | patches: {side: 8} | x.yaml:2 | remove
svm | corruption: {destruction: 0.25} | x.yaml:2 | remove
photos | finetune: {learning_rate: 1, max_epochs: 1, patience: 1} | x.yaml:1 | labels | basic
photos | svm: {kernel: rbf} | x.yaml:1 | labels | svm (x.yaml:5) | basic
photos | subset: {train: 5, valid: 5, test: 5} | x.yaml:1 | labels | subset (x.yaml:5) | mnist
net | dataset=photographs | --set dataset=photographs | labels | finetune (x.yaml:5) | convex
svm | dataset=photographs | --set dataset=photographs | labels | svm (x.yaml:2) | convex
digits | dataset=convex | finetune is missing
"""


def test_sections_that_do_not_apply_are_reported_with_the_kind_of_experiment() -> None:
    files = {"net": WHOLE, "digits": DIGITS, "photos": PHOTOS, "svm": SVM}
    for name, more, *parts in rows(MIXED):
        added, set_ = ("", [more]) if "=" in more else (f"{more}\n", [])
        found = problems(write(files[name] + added), *set_)
        assert any(all(has(one, part) for part in parts) for one in found), (more, found)
        assert all(has(one, "x.yaml") or has(one, "--set") for one in found), found
    study = "title: t\nshared: {dataset: photographs}\n"
    found = problems(write_cells(study, {"a": "svm: {kernel: rbf}\n"}))
    assert_reported(found, f"{AT}study.yaml:2 dataset", "labels", f"svm ({AT}a.yaml:1)", "mnist")


def test_any_combination_of_sections_resolves_or_is_reported() -> None:
    sections = {
        "dataset": ("rect", "mnist", "photographs"),
        "finetune": ("{learning_rate: 1, max_epochs: 1, patience: 1}",),
        "svm": ("{kernel: poly}",),
        "rows": ("30",),
        "patches": ("{side: 8}", "null"),
        "subset": ("{train: 20, valid: 5, test: 5}",),
        "pretrain": ("{loss: squared-error, learning_rate: 1, epochs: 1}",),
    }
    resolved = 0
    for values in product(*((None, *some) for some in sections.values())):
        lines = [f"{key}: {v}\n" for key, v in zip(sections, values, strict=True) if v]
        found = problems(write("model: {hidden: [3]}\n" + "".join(lines)))
        resolved += not found
    assert resolved == 9


def test_a_study_cannot_mix_filters_and_networks_or_draw_figures_of_networks() -> None:
    found = problems(write_cells(STUDY, {"net": "dataset: convex\n", "filters": PHOTOS}))
    assert any(one.startswith(f"{AT}study.yaml") and has(one, "net") for one in found), found
    figures = "figures:\n  - {name: x, title: X, cells: [net]}\n"
    found = problems(write_cells(STUDY + figures, {"net": "dataset: convex\n"}))
    assert_reported(found, f"{AT}study.yaml", "mnist", "photographs")


FIGURES = """
SOUND} | :3 figures item 1 | cells
{name: -x, title: X, cells: [a]} | :3 figures item 1: name: -x | text
SOUND, cells: [a], knd: zoom} | :3 figures item 1: knd: zoom | did you mean kind?
SOUND, cells: [a], kind: zom} | :3 figures item 1: kind: zom | filters, zoom, patches, components
SOUND, cells: [a], kind: zoom} | :3 figures item 1 | units | zoom
SOUND, cells: [a], units: [1]} | :3 figures item 1 | units | zoom
SOUND, cells: [a], expect: {measure: locality}} | :3 figures item 1: expect | grows
SOUND, cells: [a], expect: {measure: locality, at_least: 1, grows: true}} | :3 figures item 1
x | :3 figures item 1: x | name, title
"""


def test_a_wrong_figure_is_reported_at_its_line() -> None:
    def drawn(figure: str) -> str:
        return f"title: t\nfigures:\n  - {figure.replace('SOUND', '{name: x, title: X')}\n"

    cells = {"a": DIGITS, "b": DIGITS.replace("0.25", "0.5")}
    at = f"{AT}study.yaml"
    for figure, place, *parts in rows(FIGURES):
        assert_reported(problems(write_cells(drawn(figure), cells)), at + place, *parts)
    found = problems(write_cells(drawn("SOUND, cells: [a, bb]}"), cells))
    assert_reported(found, f"{at}:3 figures item 1: cells: [a, bb]", "x", "did you mean b?")
    found = problems(write_cells(drawn("SOUND, cells: [a], kind: zoom, units: [8]}"), cells))
    assert_reported(found, f"{at}:3 figures item 1: units: [8]", "x", "a", "8", "0", "7")
    one = "  - {name: x, title: X, cells: [a]}\n"
    twice = f"title: t\nfigures:\n{one}{one}"
    assert_reported(problems(write_cells(twice, cells)), f"{at}:4 figures item 2", "x")
    for wrong in ("figures: []", "figures: x"):
        found = problems(write_cells(f"title: t\n{wrong}\n", cells))
        assert_reported(found, f"{at}:2 {wrong}", "name, title")
    zoom = "  - {name: z, title: Z, kind: zoom, cells: [a, b], units: [0, 7], scale: tile}\n"
    grows = "  - {name: g, title: G, cells: [a], expect: {measure: locality, grows: true}}\n"
    assert problems(write_cells(f"title: t\nfigures:\n{one}{zoom}{grows}", cells)) == []


EVERY_KEY = """\
title: t
paper: p
reference: model
claims: true
shared:
  model: {hidden: [8]}
  corruption: {kind: masking}
  pretrain: {learning_rate: 0.1, epochs: 2}
per_dataset:
  mnist: {seed: 3}
search:
  - cells: a
    space:
      units: {low: 5, high: 9, step: 2}
      corruption.kind: {choices: [masking]}
    trials: 3
    sampler_seed: 4
    prune: {after_trials: 3, from_epoch: 5}
figures:
  - name: f
    title: F
    cells: [a]
    kind: zoom
    units: [3]
    scale: tile
    paper: p
    claim: c
    expect: {measure: locality, at_least: 0.5}
"""


def test_a_misspelt_key_anywhere_in_a_study_file_is_reported_at_its_line_with_the_right_one() -> (
    None
):
    cells = {"a": "dataset: mnist\n"}
    assert problems(write_cells(EVERY_KEY, cells)) == []
    for number, line in enumerate(EVERY_KEY.splitlines(), start=1):
        for key in re.finditer(r"[\w.]+(?=:)", line):
            lines = EVERY_KEY.splitlines()
            lines[number - 1] = f"{line[: key.end()]}x{line[key.end() :]}"
            found = problems(write_cells("\n".join(lines), cells))
            unknown = [one for one in found if one.startswith(f"{AT}study.yaml:{number} ")]
            assert any(f"{key[0]}?" in one and "did you mean" in one for one in unknown), found


SVMS = """
{kernel: rbd} | svm.kernel: rbd | rbf, poly | did you mean rbf?
{kernel: rbf, gammas: 0.1} | svm.gammas: 0.1 | 1 | 50 | 0 | 1000
{kernel: rbf, penalties: [1, 0]} | svm.penalties: [1, 0] | item 2 | 1000000000
{kernel: poly, degrees: [2.5]} | svm.degrees: [2.5] | item 1 | 2.5 | whole | 20
{kernel: rbf, degrees: [2]} | svm.degrees: [2] | poly | x.yaml:2
{kernel: rbf, offsets: [1]} | svm.offsets: [1] | poly | x.yaml:2
{kernel: rbf, refine: no} | svm.refine: no | true or false | did you mean false?
{kernel: rbf, widen: 1} | svm.widen: 1 | true or false
rbf | svm: rbf | kernel, gammas, degrees, offsets, destructions, penalties, widen, refine
"""


def test_a_wrong_svm_is_reported_at_its_line() -> None:
    for svm, place, *parts in rows(SVMS):
        assert_reported(
            problems(write(f"dataset: convex\nsvm: {svm}\n")), f"x.yaml:2 {place}", *parts
        )
    unknown = ("x.yaml:2 svm.kernal: rbf", "did you mean svm.kernel?")
    missing = ("x.yaml svm.kernel", "rbf, poly")
    assert_all_reported(
        problems(write("dataset: convex\nsvm: {kernal: rbf}\n")), (unknown, missing)
    )
    subset = "subset: {train: 6001, valid: 10, test: 10}\n"
    assert_reported(problems(write(SVM + subset)), "x.yaml:3 subset.train: 6001", "1", "6000")
    # This is too small for a network's minibatches, but an SVM has none.
    assert problems(write(SVM + "subset: {train: 10, valid: 10, test: 10}\n")) == []


def test_a_cell_is_a_network_or_an_svm_and_not_both() -> None:
    keys = ("model", "corruption", "pretrain", "finetune")
    expected = [(f"x.yaml:{line} {key}: ", "x.yaml:6") for line, key in enumerate(keys, start=2)]
    assert_all_reported(problems(write(WHOLE + "svm: {kernel: rbf}\n")), expected)
    shared = "title: t\nshared:\n  svm: {kernel: rbf}\n"
    found = problems(write_cells(shared, {"a": "dataset: convex\nmodel: {hidden: [5]}\n"}))
    assert_reported(found, f"{AT}a.yaml:2 model: {{hidden: [5]}}", f"{AT}study.yaml:3")


def test_a_setting_that_applies_to_no_cell_is_reported_with_those_that_do() -> None:
    write_cells(cells={"sda": CELLS["convex-25"], "rbf": SVM, "poly": POLY})
    given = "finetune.max_epochs=9"
    found = problems("mine/rbf", given)
    assert_reported(found, f"--set {given}", "mine/rbf", "finetune", "dataset, svm, subset, seed")
    assert_reported(problems("mine/sda", "svm.kernel=rbf"), "--set svm.kernel=rbf", "mine/sda")
    found = problems("mine", "model.tied=false", only=["rbf", "poly"])[:1]
    assert_reported(found, "--set model.tied=false", "dataset, svm, subset, seed")
    assert problems("mine", given, "svm.refine=false") == []


SPACES = """
pretrain.rate: {low: 1, high: 2} | pretrain.rate | did you mean
seed: {low: 1, high: 2} | seed
subset.train: {low: 1, high: 2} | subset.train
model.hidden: {choices: [3]} | model.hidden | units | layers
units: 5 | units: 5 | low | high
units: {low: 5} | units | high
units: {low: 6, high: 6} | units | low | high
units: {low: 0, high: 6} | units: 0 | whole | 1 | 100000
layers: {low: 1, high: 21} | layers: 21 | whole | 1 | 20
layers: {low: 0, high: 2} | layers: 0 | whole | 1 | 20
layers: {low: true, high: 2} | layers: true | whole | 1 | 20
layers: {choices: [1, 1]} | layers.choices: [1, 1] | twice
pretrain.learning_rate: {choices: [1, 1.0]} | pretrain.learning_rate.choices | twice
layers: {choices: [1], low: 1} | layers.low: 1 | choices
units: {low: 1, high: 6, step: 2} | units | low | high
units: {low: 1, high: 6, step: 0} | units.step: 0 | whole | 0
units: {low: 1, high: 6, step: null} | units.step: null | whole | 0
units: {low: null, high: 6} | units: null | whole | 1 | 100000
layers: {choices: null} | layers.choices: null | list
units: {low: 1, high: 6, log: yes} | units.log: yes | true or false
units: {low: 1, high: 6, log: true, step: 5} | units | log | step
model.init: {low: 1, high: 2} | model.init | glorot, tutorial | choices:
model.init: {choices: [glorott]} | model.init: glorott | did you mean glorot?
pretrain.epochs: {low: 0, high: 9, log: true} | pretrain.epochs | 0 | low
"""
UNITS = "space: {units: {low: 1, high: 2}}"
SECTIONS = """
search: convex | search: convex | cells | space
search: [] | search: [] | cells | space
search: [convex] | search item 1: convex | cells, space, trials, sampler_seed, prune
search: [{cells: convex-0}] | search item 1 | space
search: [{cell: convex-0, UNITS}] | search item 1.cell: convex-0 | did you mean cells?
search: [{cells: [convex-0, 3], UNITS}] | search item 1.cells: [convex-0, 3]
search: [{cells: convex-0, space: {}}] | search item 1.space: {} | low | high
search: [{cells: convex-0, UNITS, prune: {from_epch: 1}}] | search item 1.prune.from_epch: 1
search: [{cells: convex-0, UNITS, prune: 3}] | search item 1.prune: 3 | after_trials, from_epoch
search: [{cells: convex-0, UNITS, prune: {from_epoch: 0}}] | search item 1.prune.from_epoch: 0 | 1
search: [{cells: convex-0, UNITS, trials: null}] | search item 1.trials: null | 1 or more
search: [{cells: convex-0, UNITS, trials: 0}] | search item 1.trials: 0 | 1 or more
search: [{cells: convex-0, UNITS, sampler_seed: -1}] | search item 1.sampler_seed: -1 | 0 or more
search: [{cells: convex-0, UNITS, prune: {after_trials: 1.5}}] | search item 1.prune.after_trials
"""


def section(space: str, cells: str = "convex-*", more: str = "") -> str:
    """Return a study.yaml with a search: globs on line 7, first range on line 9."""
    return f"{STUDY}search:\n  - cells: {cells}\n    space:\n      {space}\n{more}"


def test_a_wrong_search_section_is_reported_at_its_line_by_every_command() -> None:
    for line, place, *parts in rows(SECTIONS):
        found = problems(write_cells(f"{STUDY}{line.replace('UNITS', UNITS)}\n"))
        assert_reported(found[:1], f"{AT}study.yaml:6 {place}", *parts)
    for space, place, *parts in rows(SPACES):
        found = problems(write_cells(section(space)))
        rest = [one.partition("study.yaml:9 ")[2] for one in found]
        assert_reported([one.removeprefix("search item 1.space.") for one in rest], place, *parts)
    assert problems("mine", search=True) == problems("mine")
    (unknown,) = problems(write_cells(section("nothing: {low: 1, high: 2}")))
    assert "the keys are units, layers, " in unknown
    assert not re.search(r"\b(seed|subset|svm|rows)\b", unknown), "keys that cannot be searched"


def test_a_search_must_match_each_cell_once_and_keep_it_valid() -> None:
    def searched(text: str, **cells: str) -> list[str]:
        return problems(write_cells(text, CELLS | cells), search=True)

    at = f"{AT}study.yaml"
    units = "units: {low: 10, high: 20}"
    assert_reported(
        searched(section(units, "[convex-0, convx-25]")), f"{at}:7 cells: convx-25", "convex-25?"
    )
    assert_reported(searched(section(units, "xyz")), f"{at}:7 cells: xyz", "convex-0, convex-25")
    again = "  - {cells: convex-25, space: {layers: {low: 1, high: 2}}}\n"
    assert_reported(searched(section(units, more=again)), f"{at}:10", "convex-25", f"{at}:7")
    noise = "dataset: convex\ncorruption: {kind: gaussian, sigma: 1}\n"
    choices = "corruption.destruction: {choices: [0, 0.25]}"
    found = searched(section(choices, "noise"), noise=noise)
    assert_reported(found, f"{at}:9 space.corruption.destruction:", "noise", "0.25")
    # All ends of all ranges are tried, and combinations of them.
    space = f"{units}\n      corruption.destruction: {{low: 0.01, high: 0.5}}"
    assert_reported(searched(section(space, "convex-0")), f"{at}:9", "10")
    assert_reported(searched(section(units, "rbf"), rbf=SVM), f"{at}:7", "rbf")
    write_cells(section(units, "convex-0"))
    (unknown,) = problems("mine", only=["convex-25"], search=True)
    assert "convex-25" in unknown and has(unknown, "convex-0")
    (without,) = searched(STUDY)
    assert at in without


NAMES: list[tuple[str, tuple[str, ...]]] = [
    ("icml208", ("'icml208'", "did you mean icml2008?", "dae ls STUDY")),
    ("convex-25", ("did you mean icml2008/convex-25 or mine/convex-25 or smoke/convex-25?",)),
    ("icml2008/convex-26", ("'convex-26'", "icml2008/convex-25?", "convex-0, convex-10")),
    ("icml2008/convex-25/x", ("'icml2008/convex-25/x'",)),
    ("", ("''", "studies: mine, filters-mnist,", "2 more; dae ls")),
    ("mine/../a", ("'mine/../a'", "/", ".yaml")),
    ("no.yaml", ("no.yaml",)),
    (".", ("study.yaml",)),
    ("a" * 5000, ("a" * 80,)),
    ("a\0b.yaml", (r"'a\x00b.yaml'",)),
    ("\x1b[31m", (r"'\x1b[31m'",)),
    ("icml2008/\n", (r"'\n'",)),
    ("\udcff/", (r"'\udcff/'",)),
]


def test_an_unknown_name_is_reported_with_a_suggestion_and_the_known_names() -> None:
    write_cells()
    for name, parts in NAMES:
        (found,) = problems(name)
        assert all(part in found for part in parts), (name[:80], found)
        assert "a" * 81 not in found
    assert_reported(
        problems("mine", only=["convex-26"]), "", "did you mean convex-25?", "convex-0, convex-25"
    )
    assert_reported(problems("mine", only=["rot-*"]), "", "rot-*", "convex-0, convex-25")
    write_cells(cells={"\x1b[31m": SVM})  # must not be sent to a terminal
    assert r"\x1b[31m" in problems("mine/x")[0]
    assert r"\x1b[31m" in problems("mine", only=["x"])[0]
