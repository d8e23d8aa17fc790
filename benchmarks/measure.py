"""Measurements: steps on one thread, cells of a study on two cores, memory of a worker."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import Callable, Mapping
from functools import partial
from itertools import islice, pairwise
from pathlib import Path
from time import perf_counter

import numpy as np
import torch
from scipy.linalg.blas import sgemm
from torch.utils.data import DataLoader, TensorDataset

from benchmarks import ours, peers
from benchmarks.results import COMPILED, IN_MEMORY, LOADER, OURS, PRODUCTS, WEIGHTS, Figure
from dae_cli.machine import THREAD_VARIABLES

Widths = tuple[int, ...]
TRAINED: tuple[Widths, ...] = ((784, 1000), (784, 2000), (784, 1000, 1000, 1000, 2))
"""Layer widths: (inputs, hidden) of autoencoders; inputs to classes of a network."""
DAE = str(Path(sys.executable).with_name("dae"))
BATCH, RATE, DESTRUCTION = 20, 0.02, 0.25
ROWS, STEPS, SIDE = 10_000, 50, 2048
"""Rows of the training set, steps per turn, and side of the matrices for sgemm."""
SHARE = ("pretrain.epochs=1", "finetune.max_epochs=3")
FIXED = (*SHARE, f"subset.train={BATCH}", f"subset.valid={BATCH}", "subset.test=50000")
SHARES = 26
"""The cells of icml2008 ran 20 or 40 epochs per layer, then 44 to 111. In presented rows of each
phase, this is 26 times SHARE, within 10 %."""

Turn = Callable[[], float]
"""Runs a contender's part of a round and returns its measurement."""


def take_turns(contenders: Mapping[str, Turn], rounds: int) -> dict[str, list[float]]:
    """Return the measurements of each contender, one per round, after a warm-up round.

    Contenders take turns, so that disturbances affect all of them, and the order rotates.
    """
    values: dict[str, list[float]] = {name: [] for name in contenders}
    order = deque(contenders)
    for _ in range(1 + rounds):
        for name in order:
            values[name].append(contenders[name]())
        order.rotate(-1)
    return {name: own[1:] for name, own in values.items()}


def steps(widths: Widths, engine: str, device: torch.device, rounds: int) -> list[Figure]:
    """Measure a step of each contender and, on the CPU, the machine's limits in the same rounds.

    A pretraining step has five products and reads and writes the weights at least once. A
    fine-tuning step has three products per layer (two for the first, whose inputs need no error),
    reads the weights in the forward pass, and reads and writes them in the backward pass.
    """
    pretraining, weights = len(widths) == 2, [below * above for below, above in pairwise(widths)]
    products = 5 * weights[0] if pretraining else 3 * sum(weights) - weights[0]
    moved = 4 * (2 if pretraining else 3) * sum(weights)
    name = f"{'pretraining' if pretraining else 'fine-tuning'} {'-'.join(map(str, widths))}"
    turns, units = step_turns(widths, engine, device), {"sgemm": "GFLOP/s", "memory": "GB/s"}
    if device.type == "cpu":
        turns |= machine_turns(sum(weights))
    values = take_turns(turns, rounds)
    return [
        Figure(name, PRODUCTS, "GFLOP", [2e-9 * BATCH * products]),
        Figure(name, WEIGHTS, "GB", [1e-9 * moved]),
        *(Figure(name, who, units.get(who.partition(",")[0], "ms"), values[who]) for who in turns),
    ]


def step_turns(widths: Widths, engine: str, device: torch.device) -> dict[str, Turn]:
    """Return turns of all available contenders, in milliseconds per step."""
    data = ours.synthetic(ROWS)
    tensors = peers.tensors_of(data.train)[: 1 if len(widths) == 2 else 2]
    there = partial(peers.in_memory, *(tensor.to(device) for tensor in tensors), batch=BATCH)
    trained: dict[str, Callable[[int], object]] = {}
    if device.type == "cpu":
        loader = DataLoader(TensorDataset(*tensors), batch_size=BATCH, shuffle=True)
        trained[LOADER] = _peer(widths, loader.__iter__, device)
    trained[IN_MEMORY] = _peer(widths, there, device)
    if shutil.which(os.environ.get("CXX", "g++")):
        trained[COMPILED] = _peer(widths, there, device, compiled=True)
    trained[OURS] = ours.Training(widths, data, engine, device)

    def milliseconds(take: Callable[[int], object]) -> float:
        started = perf_counter()
        take(STEPS)
        if device.type == "cuda":
            torch.cuda.synchronize()
        return (perf_counter() - started) / STEPS * 1e3

    return {who: partial(milliseconds, take) for who, take in trained.items()}


def _peer(
    widths: Widths, batches: peers.Batches, device: torch.device, compiled: bool = False
) -> Callable[[int], object]:
    model: torch.nn.Module = peers.classifier(widths)
    loss: peers.Loss = peers.label_loss
    if len(widths) == 2:
        model, loss = peers.TiedAutoencoder(*widths), peers.reconstruction_loss
        batches = partial(peers.corrupted, batches, round(DESTRUCTION * widths[0]))
    cost = torch.compile(loss) if compiled else loss
    steps = peers.train(model.to(device), batches, cost, RATE)
    return lambda count: sum(islice(steps, count))


def machine_turns(floats: int) -> dict[str, Turn]:
    """Return turns that measure the machine's limits.

    They are each library's sgemm of two square matrices, in GFLOP/s, and reading and writing memory
    as large as the weights, which may be in the caches, in GB/s.
    """
    a, b, c = (np.full((SIDE, SIDE), 0.5, dtype=np.float32) for _ in range(3))
    x, y, z, weights = map(torch.from_numpy, (a, b, c, np.ones(floats, dtype=np.float32)))
    products: dict[str, Callable[[], object]] = {
        "sgemm, numpy": lambda: np.matmul(a, b, out=c),
        # .T gives Fortran order and avoids copies
        "sgemm, scipy": lambda: sgemm(1, a.T, b.T, c=c.T, overwrite_c=1),
        "sgemm, torch": lambda: torch.mm(x, y, out=z),
    }
    turns: dict[str, Turn] = {who: partial(_rate, 2 * SIDE**3, p) for who, p in products.items()}
    return turns | {"memory": partial(_rate, 8 * floats, weights.neg_, max(1, 10**7 // floats))}


def _rate(amount: float, work: Callable[[], object], repeats: int = 1) -> float:
    started = perf_counter()
    for _ in range(repeats):
        work()
    return repeats * amount / (perf_counter() - started) / 1e9


def cells(study: str, engine: str) -> list[Figure]:
    """Time a share of a study's cells: ours, the peer, ours again.

    Each also runs with one minibatch of training and validation rows, which measures the time that
    does not grow with the epochs. The results are this fixed time plus SHARES times the rest.
    """

    def whole(option: str, *command: str) -> float:
        fixed = _seconds(*command, *(option + setting for setting in FIXED))
        share = _seconds(*command, *(option + setting for setting in SHARE))
        return fixed + SHARES * (share - fixed)

    replicate = (DAE, "replicate", study, "--jobs=2", f"--engine={engine}", "--replace")
    with tempfile.TemporaryDirectory() as out:
        # A first run fills the caches of data and kernels, which are not timed.
        _seconds(*replicate, f"--out={out}/before", *(f"--set={setting}" for setting in FIXED))
        first = whole("--set=", *replicate, f"--out={out}/first")
        peer = whole("", sys.executable, "-m", "benchmarks.peers", study)
        second = whole("--set=", *replicate, f"--out={out}/second")
    name, replicated = f"cells of {Path(study).name}", "dae replicate --jobs 2"
    return [Figure(name, IN_MEMORY, "s", [peer]), Figure(name, replicated, "s", [first, second])]


def memory(experiment: str, engine: str) -> Figure:
    """Measure the peak memory of `dae train`; call it before starting other processes."""
    shortly = ("--set=pretrain.epochs=1", "--set=finetune.max_epochs=1")
    with tempfile.TemporaryDirectory() as out:
        _seconds(DAE, "train", experiment, "--engine", engine, "--out", out, *shortly)
    most = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    mebibytes = most / (1 << 20 if sys.platform == "darwin" else 1 << 10)
    return Figure("peak memory of a worker", f"dae train {experiment}", "MiB", [mebibytes])


def _seconds(*command: str) -> float:
    """Time a command; its libraries choose their number of threads."""
    environment = {name: v for name, v in os.environ.items() if name not in THREAD_VARIABLES}
    root, started = Path(__file__).resolve().parent.parent, perf_counter()
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr[-4000:]}")
    return perf_counter() - started
