"""A process uses one thread in every library, and no more memory than promised."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.children import Child
from tests.support.commands import Ended
from tests.support.tiny import destruction_cells, read_csv, snapshot, write_study

ROOT = Path(__file__).resolve().parents[1]
Start = Callable[..., Child]
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")

# Do what `python -m dae_cli` does, then print the number of threads of each library.
PROGRAM = """
    import json, runpy, sys
    import numpy, scipy.linalg.blas, sklearn.svm, torch  # with as many threads as they like
    from threadpoolctl import threadpool_info
    sys.argv = ["dae", "train", "tiny/rect-0", "--engine", "torch", "--quiet"]
    try:
        runpy.run_module("dae_cli", run_name="__main__", alter_sys=True)
    except SystemExit as ended:
        assert not ended.code
    threads = {info["filepath"]: info["num_threads"] for info in threadpool_info()}
    print(json.dumps({**threads, "torch": torch.get_num_threads()}))
"""


@pytest.mark.usefixtures("tiny")
def test_a_process_that_did_a_run_has_one_thread_in_every_library() -> None:
    freely = {name: value for name, value in os.environ.items() if name not in THREADS}
    ended = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(PROGRAM)],
        env={"PYTHONPATH": str(ROOT), **freely},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    threads = json.loads(ended.stdout.splitlines()[-1])
    assert len(threads) > 2  # at least a BLAS and an OpenMP
    assert threads == dict.fromkeys(threads, 1)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("engine", ["torch", "compiled"])
def test_a_run_of_three_layers_of_1000_units_stays_under_1_gib(
    child: Callable[..., Child], tiny: Path, engine: str
) -> None:
    """This is the paper's largest network, on all rows."""
    if not Path("/proc/self/status").exists():
        pytest.skip("needs /proc")
    settings = {
        "dataset": "rect",
        "model": {"hidden": [1000, 1000, 1000]},
        "corruption": {"destruction": 0.25},
        "pretrain": {"learning_rate": 0.1, "epochs": 5},
        "finetune": {"learning_rate": 0.05, "max_epochs": 5, "patience": 5, "batch_size": 20},
    }
    write_study(Path(), "large", {"rect-25": settings}, shared={})
    command = child("replicate", "large", "--engine", engine, executed=True)
    peak = 0
    while command.poll(0.2) is None:
        try:
            status = Path(f"/proc/{command.pid}/status").read_text()
        except OSError:
            break
        found = re.search(r"VmHWM:\s*(\d+) kB", status)
        peak = max(peak, int(found[1])) if found else peak
    command.wait().succeeded()
    assert 0 < peak / 2**20 < 1


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("engine", ["torch", "compiled"])
def test_results_are_the_same_for_any_number_of_jobs(
    dae: Callable[..., Ended], tiny_data: Path, monkeypatch: pytest.MonkeyPatch, engine: str
) -> None:
    """The layers are wide enough for a BLAS to split a product among threads."""
    monkeypatch.setenv("DAE_DATA_DIR", str(tiny_data))
    cells = destruction_cells(0, 25, 50)
    for settings in cells.values():
        settings["model"] = {"hidden": [300, 200]}
    write_study(Path(), cells=cells)
    found = []
    for jobs in ("1", "2", "3"):
        words = ("replicate", "tiny", "--engine", engine, "--jobs", jobs, "--out", jobs)
        dae(*words).succeeded()
        found.append(snapshot(Path(jobs) / "runs", (".safetensors", ".npy")))
    assert found[0] and found[0] == found[1] == found[2]


# Workers that cannot start

ENDS_AT_ONCE = """\
import os, signal, sys
if "tracker" not in " ".join(sys.orig_argv):  # a helper, which is not meant
    print("libgomp: no room for threads", file=sys.stderr, flush=True)
    {how}
"""


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        pytest.param("os._exit(7)", ("exit code 7", "libgomp: no room for threads"), id="exit"),
        pytest.param(
            "os.kill(os.getpid(), signal.SIGILL)",
            ("SIGILL", "libgomp: no room for threads"),
            id="signal",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            "sys.modules['numpy'] = None", ("numpy",), id="import", marks=pytest.mark.slow
        ),
    ],
)
def test_the_reason_why_workers_cannot_start_is_reported(
    child: Start, tiny: Path, tmp_path: Path, how: str, reason: tuple[str, ...]
) -> None:
    """The message has their exit code or signal and the last lines of their stderr."""
    folder = tmp_path / "at-start"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(ENDS_AT_ONCE.format(how=how))
    environment = {"PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)])}
    ended = child("replicate", "tiny", "--jobs", "2", environment=environment).wait()
    ended.failed(1, "--jobs 1", *reason)
    assert "memory" not in ended.err
    assert not list(tiny.glob("runs/*"))


# Environment variables of the libraries, set for other programs


@pytest.mark.slow
def test_settings_of_joblib_and_numba_stop_no_worker_and_no_engine(
    child: Start, tiny: Path
) -> None:
    Path(".numba_config.yaml").write_text("disable_jit: 1\nnum_threads: 0\n")
    environment = {
        "NUMBA_NUM_THREADS": "0",
        "JOBLIB_MULTIPROCESSING": "0",
        "JOBLIB_START_METHOD": "nonsense",
        "JOBLIB_TEMP_FOLDER": "/proc/nonsense",
        "LOKY_MAX_CPU_COUNT": "nonsense",
        "LOKY_PICKLER": "nonsense",
    }
    words = ("replicate", "tiny", "--jobs", "2", "--engine", "compiled")
    child(*words, environment=environment, executed=True).wait().succeeded()
    rows = read_csv(tiny / "runs.csv")
    assert [(row["error"], row["engine"]) for row in rows] == [("", "compiled")] * 2


@pytest.mark.slow
def test_with_numba_disabled_all_workers_use_torch(child: Start, tiny: Path) -> None:
    words = ("replicate", "tiny", "--jobs", "2", "--engine", "auto", "--device", "cpu")
    environment = {"NUMBA_DISABLE_JIT": "1"}
    ended = child(*words, environment=environment, executed=True).wait().succeeded()
    assert ended.err.count("NUMBA_DISABLE_JIT") == 1
    rows = read_csv(tiny / "runs.csv")
    assert [(row["error"], row["engine"]) for row in rows] == [("", "torch")] * 2


@pytest.mark.slow
def test_settings_of_torch_end_no_command(child: Start, done: Path) -> None:
    environment = {
        "TORCH_LOGS": "bad",
        "TORCH_LOGS_FORMAT": "zz",
        "TORCH_LOGS_OUT": "/proc/nonsense",
        "PYTORCH_JIT": "zz",
    }
    (run,) = done.glob("runs/rect-*-0-s0-*")
    child("evaluate", run, environment=environment, executed=True).wait().succeeded()
