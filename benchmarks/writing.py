"""RESULTS.md and the generated parts of docs/performance.md, from a run's figures alone."""

from __future__ import annotations

import re
from pathlib import Path

from benchmarks import tables
from benchmarks.bars import epoch_operations, finetuning_operations, plan_of, widths
from benchmarks.epochs import MASKING
from benchmarks.figures import About, Table
from benchmarks.growth import DEPTH, EPOCHS, ROWS, UNITS, trained_rows
from benchmarks.plan import CELLS, HELP, MEMORY, PROFILE, WORKERS
from dae_cli.files import write_text

METHOD = """\
Contenders take turns, a part of an epoch each, in one process of one thread (where nothing else
is said), after a round to warm up; figures are medians over the rounds, and ratios medians of the
ratios within a round. Data are random grey values: what they are costs no time. The peers are
plain PyTorch as its users write it (`benchmarks/peers.py`): modules, autograd, `torch.optim.SGD`,
the same network, loss, batch and number of updates, and masks of the same exact count, drawn with
the faster of two idioms. Ours are the product's own steps (`benchmarks/ours.py`): gathering from
bytes, masks, update, cost. Fine-tuning is without validation on both sides. A pretraining step
counts as five products of 2·m·d·h operations, a fine-tuning step as three for each layer but the
first, which has two; the best sgemm multiplies two square matrices of {square}."""

SHARE = """\
Both sides do 1/{share} of every cell: of its epochs of pretraining, of the epochs of fine-tuning
that `results/icml2008/runs.csv` records, each with its validation, and of the test rows (each
rounded to whole epochs). They do it again with one minibatch of each split, which leaves what does
not grow with the training: for ours the start of the command and of its workers, reading the data,
checkpoints, pictures and report, for the peer reading the data. The time of the whole is what does
not grow, once, and {share} times the rest. The peer does one cell after the other with torch's
default threads, and the start of its process is left out; its cells are spread over the rounds, and
those of a round stand for all seven by their share of the multiplications."""

WHOLE = """\
Both sides do every cell whole, with the epochs of fine-tuning that `results/icml2008/runs.csv`
records; the peer one cell after the other with torch's default threads."""


def results_page(table: Table) -> str:
    """Return RESULTS.md."""
    plan = plan_of(table)
    share = WHOLE if plan.cell_share == 1 else SHARE.format(share=plan.cell_share)
    sections = [
        "# Benchmarks",
        _made(table.about),
        _machine(table.about),
        "## What must be reached",
        tables.bar_table(table),
        METHOD.format(square=plan.square),
    ]
    for measure, operations in (
        *((plan.pretraining(units, 20), epoch_operations(plan, units)) for units in widths(plan)),
        (plan.finetuning(20), finetuning_operations(plan)),
        (plan.pretraining(plan.units, 100), epoch_operations(plan, plan.units)),
    ):
        sections += _epochs(table, measure, operations)
    for title, measure, first, text in (
        ("The seven cells of icml2008", CELLS, "command", share),
        ("Workers", WORKERS, "workers", "Pretraining, batch 20, one thread each, at one time."),
        ("Answer of the command line", HELP, "command", ""),
        ("Memory", MEMORY, "command", "All rows of rect-img; one epoch of each phase; one run."),
        ("Masks of the peers", MASKING, "idiom", f"{plan.inputs} components, 20 rows."),
    ):
        sections += [f"## {title}", text, _or_nothing(table, measure, first)]
    sections.append("Where the time of a step goes: [docs/performance.md](../docs/performance.md).")
    return "\n\n".join(section for section in sections if section) + "\n"


def performance_page(text: str, table: Table) -> str:
    """Return the text of docs/performance.md with its generated parts renewed.

    Raises:
        ValueError: a mark is missing or stands twice.
    """
    plan = plan_of(table)
    few = trained_rows(plan)
    growth = [
        f"An epoch of pretraining {plan.inputs}-{plan.units}, by the rows of the set:",
        tables.growth_table(table, ROWS, "rows:"),
        f"An epoch of pretraining {plan.rows} rows, by the hidden units:",
        tables.growth_table(table, UNITS, "units:"),
        f"One epoch of every layer of {plan.units} units, then one of fine-tuning, {few} rows:",
        tables.growth_table(table, DEPTH, "layers:"),
        f"So many epochs of one layer, then as many of fine-tuning, {few} rows:",
        tables.growth_table(table, EPOCHS, "epochs:"),
        "Steps of pretraining in so many processes at a time:",
        tables.workers_table(table, WORKERS),
    ]
    blocks = {
        "measured": f"{_made(table.about)}\n\n{_machine(table.about)}",
        "compared": tables.bar_table(table),
        "profile": f"{tables.profile_table(table)}\n\n{tables.sgemm_line(table, PROFILE)}",
        "growth": "\n\n".join(growth),
    }
    for mark, content in blocks.items():
        text = _between(text, mark, f"\n{content}\n")
    return text


def write_pages(table: Table, results: Path, performance: Path) -> None:
    """Write RESULTS.md and renew docs/performance.md."""
    renewed = performance_page(performance.read_text(encoding="utf-8"), table)
    write_text(results, results_page(table))
    write_text(performance, renewed)


def _made(about: About) -> str:
    lines = {
        "normal": "Written by `make bench`",
        "full": "Written by `make bench` with `--full`",
        "quick": "**A quick run with tiny sizes, to try the benchmarks: its figures mean "
        "nothing.** Written by `python -m benchmarks.engine --quick`",
    }
    at = f"at commit {about.commit}" if about.commit else "without a commit"
    if about.commit.endswith("-dirty"):
        at += " (**with changes that were not committed**)"
    source = "[results.csv](../benchmarks/results.csv)"
    return f"{lines[about.mode]} {at}, {about.measured}; every round is in {source}."


def _machine(about: About) -> str:
    rows = (
        ("processor", about.cpu),
        ("cores", about.cores),
        ("vector instructions", about.vectors),
        ("system", about.system),
        ("libraries", about.libraries),
        ("ours", f"`--engine auto`: {about.engine}"),
    )
    return tables.markdown(("", ""), rows)


def _epochs(table: Table, measure: str, operations: float) -> list[str]:
    title = f"## {measure[:1].upper()}{measure[1:]}"
    if not table.of(measure):
        return [title, "Not measured."]
    lines = tables.headroom(table, measure, operations), tables.sgemm_line(table, measure)
    return [title, tables.epoch_table(table, measure, operations), *lines]


def _or_nothing(table: Table, measure: str, first: str) -> str:
    return tables.plain_table(table, measure, first) if table.of(measure) else "Not measured."


def _between(text: str, mark: str, content: str) -> str:
    pattern = rf"(<!-- {mark}: [^>]*-->\n).*?(\n<!-- end -->)"
    new, count = re.subn(pattern, lambda m: f"{m[1]}{content}{m[2]}", text, flags=re.DOTALL)
    if count != 1:
        raise ValueError(f"there are {count} places marked '{mark}', expected 1")
    return new
