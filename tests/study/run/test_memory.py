"""The memory of a worker: a whole run of the paper's largest network."""

from __future__ import annotations

import pickle
import subprocess
import sys
import textwrap
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from dae_cli.engines.choice import can_be_had
from dae_cli.engines.names import ENGINES, EngineName
from dae_cli.study.run.folder import Job

MakeJob = Callable[..., Job]
STATUS = Path("/proc/self/status")

# The high-water mark of this program alone: ru_maxrss would begin with that of the tests.
PROGRAM = """
    import pickle, re, sys
    from pathlib import Path
    from dae_cli.study.run.execute import execute
    from dae_cli.study.progress import Silent
    row = execute(pickle.loads(Path(sys.argv[1]).read_bytes()), Silent(), "dae")
    assert not row.error, row.error
    print(re.search(r"VmHWM:\\s*(\\d+) kB", Path("/proc/self/status").read_text())[1])
"""


@pytest.mark.slow
@pytest.mark.skipif(not STATUS.exists(), reason="needs /proc")
@pytest.mark.parametrize("engine", ENGINES)
def test_a_run_of_three_layers_of_1000_units_stays_under_1_gib(
    make_job: MakeJob, tmp_path: Path, engine: EngineName
) -> None:
    if not can_be_had(engine):
        pytest.skip(f"the engine {engine} cannot be had here")
    job = make_job(
        model={"hidden": (1000, 1000, 1000)},
        pretrain={"epochs": 1, "batch_size": 20},
        finetune={"max_epochs": 1, "patience": 1, "batch_size": 20, "learning_rate": 0.05},
        subset=None,  # all 8000 rows to train on, all 50 000 to count
    )
    (tmp_path / "job").write_bytes(pickle.dumps(replace(job, engine=engine)))
    command = [sys.executable, "-c", textwrap.dedent(PROGRAM), str(tmp_path / "job")]
    told = subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout
    assert int(told) / 2**20 < 1
