"""Draw small faults in `dae_cli` and see whether the tests of each room find them.

    python -m tests.mutations --seed 1                 list the faults that a seed draws
    python -m tests.mutations --seed 1 --run OUT.csv   try each against the tests of its room
    … --jobs 2                                         two at a time, each in a copy of its own

Each fault is put into a copy of the repository, so that the working tree stays as it is. A room's
tests stop at the first failure. The faults: a sign, a comparison, an index, a call left out,
two arguments swapped.
"""

from __future__ import annotations

import argparse
import ast
import copy
import csv
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from queue import SimpleQueue

ROOT = Path(__file__).resolve().parents[1]
LEAST = 3
"""Faults that each room has at least."""

ROOMS: dict[str, tuple[str, str]] = {
    "models": ("models", "equations rbm corruption engines training bits extension"),
    "engines": ("engines compilation", "engines bits engine_option equations"),
    "training": ("training", "training stopped_anywhere checkpoints bits train replicate"),
    "config": ("config", "config_* own_data new light_commands search extension"),
    "data": (
        "data",
        "recipes data_* own_data new encode sources downloads natural_images mnist trust home "
        "extension",
    ),
    "figures": (
        "figures",
        "sheets filters_command filter_studies plots report report_page golden data_commands "
        "own_data",
    ),
    "filters": ("filters", "filter_measures filter_studies filters_command"),
    "svm": ("svm", "svm result_readers checkpoints train golden"),
    "study": (
        "study",
        "replicate train run_folders evaluate golden report statistics claims verify "
        "result_readers filter_studies filters_command svm smoke processes stopping faults cluster "
        "compare "
        "commit lacking_data results_folders numerics reference",
    ),
    "search": ("search", "search committed_results cluster numerics"),
    "api": ("api", "encode estimator"),
    "commands": (
        "commands",
        "light_commands help train replicate evaluate report verify data_commands "
        "filters_command new encode search engine_option stopping cluster docs home compare "
        "scripts",
    ),
    "root": (
        "files csvfile tensors stopping machine errors import_path __main__",
        "whole_files result_readers checkpoints replicate light_commands processes stopping faults "
        "strangers_files",
    ),
}
"""What each room is made of in `dae_cli`, and the test files that hold it, tests/test_NAME.py.

Names of which there is nothing are passed over.
"""

_COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
}
_SIGNS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
}


@dataclass(frozen=True)
class Fault:
    """A node of a file, and what stands in its place."""

    room: str
    path: str
    line: int
    kind: str
    before: str
    after: str
    start: int
    end: int

    def put_into(self, tree: Path) -> None:
        """Change the file in a copy of the repository."""
        path = tree / self.path
        source = path.read_bytes()
        path.write_bytes(source[: self.start] + self.after.encode() + source[self.end :])


def faults_of(path: Path, room: str) -> list[Fault]:
    """Return every fault that can be put into a file."""
    source = path.read_bytes()
    starts = [0]
    for line in source.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))

    def place(node: ast.expr | ast.stmt) -> tuple[int, int]:
        assert node.end_lineno is not None and node.end_col_offset is not None
        return (
            starts[node.lineno - 1] + node.col_offset,
            starts[node.end_lineno - 1] + node.end_col_offset,
        )

    found = []
    for node in _nodes(ast.parse(source)):
        for kind, changed in _changes(node):
            start, end = place(node)
            before, after = source[start:end].decode(), ast.unparse(changed)
            if isinstance(changed, ast.expr):
                after = f"({after})"
            if ast.unparse(changed) != ast.unparse(node):
                name = path.relative_to(ROOT).as_posix()
                found.append(Fault(room, name, node.lineno, kind, before, after, start, end))
    return found


def _nodes(node: ast.AST) -> Iterator[ast.expr | ast.stmt]:
    """Yield what is computed: no annotations, no decorators, no insides of f-strings."""
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns", "decorator_list"):
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.JoinedStr) or not isinstance(child, ast.AST):
                continue
            if isinstance(child, (ast.expr, ast.stmt)):
                yield child
            yield from _nodes(child)


def _changes(node: ast.expr | ast.stmt) -> Iterator[tuple[str, ast.expr | ast.stmt]]:
    changed = copy.deepcopy(node)
    match changed:
        case ast.Compare(ops=[operator]):
            changed.ops = [_COMPARISONS[type(operator)]()]
            yield "comparison", changed
        case ast.BinOp(op=operator) if type(operator) in _SIGNS:
            changed.op = _SIGNS[type(operator)]()
            yield "sign", changed
        case ast.UnaryOp(op=ast.USub() | ast.Not(), operand=operand):
            yield "sign", operand
        case ast.Subscript(slice=ast.Constant(value=int(index)), ctx=ast.Load()):
            changed.slice = ast.Constant(index + 1)
            yield "index", changed
        case ast.Subscript(slice=ast.Slice(lower=ast.Constant(value=int(index))), ctx=ast.Load()):
            assert isinstance(changed.slice, ast.Slice)
            changed.slice.lower = ast.Constant(index + 1)
            yield "index", changed
        case ast.Expr(value=ast.Call()):
            yield "call left out", ast.Pass()
        case ast.Call(func=function, args=[one, other, *more]) if not (
            any(isinstance(argument, ast.Starred) for argument in changed.args)
            or ast.unparse(function) in ("isinstance", "getattr", "hasattr", "setattr")
        ):
            changed.args = [other, one, *more]
            yield "arguments swapped", changed


def draw(seed: int, count: int) -> list[Fault]:
    """Draw faults: a few for each room, the others in proportion to what a room has to offer."""
    offered = {room: _offered(room, parts.split()) for room, (parts, _) in ROOMS.items()}
    sizes = [len(faults) for faults in offered.values()]
    rest = max(0, count - LEAST * len(ROOMS))
    rooms = [*ROOMS] * LEAST + random.Random(seed).choices([*ROOMS], sizes, k=rest)
    return [
        fault
        for room, faults in offered.items()
        for fault in _drawn(faults, rooms.count(room), random.Random(f"{seed} {room}"))
    ]


def _drawn(faults: list[Fault], count: int, choose: random.Random) -> list[Fault]:
    """Draw a kind, then one of its faults, so that the most frequent kind is not most of them."""
    drawn: set[Fault] = set()
    while len(drawn) < min(count, len(faults)):
        kind = choose.choice(sorted({fault.kind for fault in faults}))
        drawn.add(choose.choice([fault for fault in faults if fault.kind == kind]))
    return sorted(drawn, key=lambda fault: (fault.path, fault.start))


def _offered(room: str, parts: list[str]) -> list[Fault]:
    package = ROOT / "dae_cli"
    files = [
        path
        for part in parts
        for path in sorted([*package.glob(f"{part}.py"), *package.glob(f"{part}/**/*.py")])
    ]
    return [fault for path in files for fault in faults_of(path, room)]


def try_out(fault: Fault, tree: Path, words: list[str]) -> str:
    """Run pytest with a fault in a copy of the repository; return what failed first, or nothing."""
    sound = (tree / fault.path).read_bytes()
    fault.put_into(tree)
    try:
        ended = subprocess.run(
            [sys.executable, "-m", "pytest", "-x", "-q", "-m", "not slow and not network", *words],
            cwd=tree,
            env={**os.environ, "PYTHONPATH": str(tree)},
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        (tree / fault.path).write_bytes(sound)
    if ended.returncode == 0:
        return ""
    failed = [line for line in ended.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
    return failed[0].split(" - ")[0].partition(" ")[2] if failed else ended.stdout[-200:].strip()


def found_by(trees: SimpleQueue[Path], fault: Fault) -> str:
    """Try a fault in a copy of the repository that nobody uses."""
    tree = trees.get()
    try:
        names = ROOMS[fault.room][1].split()
        files = [path for name in names for path in sorted(tree.glob(f"tests/test_{name}.py"))]
        return try_out(fault, tree, [str(path) for path in files])
    finally:
        trees.put(tree)


def copy_of_tree(folder: Path) -> Path:
    """Copy what tests need into a folder of the same depth, so that test data are found."""
    tree = folder / "dae"
    names = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    for name in names:
        if (ROOT / name).is_file():
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, tree / name)
    return tree


def main() -> None:
    """List faults, or try them and write a table."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutations", description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--count", type=int, default=60)
    parser.add_argument("--room", choices=ROOMS, help="this room alone")
    parser.add_argument("--run", type=Path, metavar="OUT.csv", help="try them, and write a table")
    parser.add_argument("--jobs", type=int, default=1, help="faults that are tried at a time")
    options = parser.parse_args()
    faults = [f for f in draw(options.seed, options.count) if options.room in (None, f.room)]
    columns = ["room", "place", "kind", "before", "after", "found_by", "remark"]
    rows = []
    os.environ.setdefault("DAE_TEST_DATA", str(ROOT.parent / "shared" / "data"))
    with (
        tempfile.TemporaryDirectory(prefix="dae-mutations-") as folder,
        ThreadPoolExecutor(options.jobs) as threads,
    ):
        trees = SimpleQueue[Path]()
        for number in range(options.jobs if options.run else 0):
            trees.put(copy_of_tree(Path(folder) / str(number)))
        found = threads.map(partial(found_by, trees), faults) if options.run else faults
        for fault, finder in zip(faults, found, strict=True):
            row = [fault.room, f"{fault.path}:{fault.line}", fault.kind]
            row += [" ".join(fault.before.split()), " ".join(fault.after.split())]
            if isinstance(finder, str):
                row.append(finder)
            print(" | ".join(row), flush=True)
            rows.append([*row, ""])  # the remark is ours: why a fault makes no difference
    if options.run:
        with options.run.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerows([columns, *rows])
        missed = sum(not row[-2] for row in rows)
        print(f"{len(rows) - missed} of {len(rows)} found")


if __name__ == "__main__":
    main()
