"""If the machine fails, the message says what failed and where, and no existing result is lost.

The faults are real: a full disk, a limit that the kernel enforces, a clock that jumps. Once the
fault is gone, the same command ends with the same bits as without it.
"""

from __future__ import annotations

import functools
import os
import shutil
import signal
import subprocess
import sys
import time
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.support.children import Child, wait_until
from tests.support.commands import Ended
from tests.support.compare import assert_same_results, assert_unchanged, assert_whole
from tests.support.disks import Disk, mounted
from tests.support.limits import files_of_at_most, memory_of_at_most, without_rights
from tests.support.tiny import read_csv, read_json, snapshot

pytestmark = [pytest.mark.usefixtures("tiny"), pytest.mark.timeout(240)]

Dae = Callable[..., Ended]
Start = Callable[..., Child]

PICTURES = (
    "error_vs_destruction.png",
    "learning_curves.png",
    "filters/rect.png",
    "filters/rect-0.png",
    "filters/rect-25.png",
)


@pytest.fixture
def sound(finished: tuple[Path, Ended]) -> Path:
    """The results of a study without faults."""
    return finished[0]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    """A disk of 4 MiB."""
    with mounted(tmp_path) as small:
        yield small


# Full disks


def test_a_checkpoint_that_cannot_be_written_fails_its_run_which_resumes_later(
    dae: Dae, child: Start, tiny: Path, sound: Path
) -> None:
    ended = child("replicate", "tiny", prepare=files_of_at_most(50_000)).wait()
    ended.failed(1, "checkpoint.safetensors", "File too large", "make room")
    assert [row["n_wrong"] for row in read_csv(tiny / "runs.csv")] == ["", ""]
    assert all("File too large" in row["error"] for row in read_csv(tiny / "runs.csv"))
    assert_whole(tiny)
    assert len(list(tiny.glob("runs/*.partial/checkpoint.safetensors"))) == 2
    again = dae("replicate", "tiny").succeeded()
    assert again.err.count("resumed") == 2
    assert_same_results(tiny, sound)


@pytest.mark.parametrize("failing", ["runs.csv", "error_vs_destruction.png"])
def test_a_table_or_plot_that_cannot_be_written_ends_the_command_and_is_written_later(
    dae: Dae, child: Start, done: Path, sound: Path, failing: str
) -> None:
    size = (done / failing).stat().st_size
    for name in (failing, "REPORT.md"):
        (done / name).unlink()
    before = snapshot(done)
    ended = child("replicate", "tiny", prepare=files_of_at_most(size - 1)).wait()
    ended.failed(1, f"results/tiny/{failing}", "File too large", "make room")
    assert_unchanged(before, done)
    assert_whole(done)
    dae("replicate", "tiny").succeeded()
    assert_same_results(done, sound)


def test_the_error_names_a_cache_that_cannot_be_written_and_the_variable_to_move_it(
    child: Start, tmp_path: Path
) -> None:
    cache = tmp_path / "cache"
    environment = {"DAE_CACHE_DIR": str(cache)}
    ended = child(
        "replicate", "tiny", prepare=files_of_at_most(50_000), environment=environment
    ).wait()
    ended.failed(2, "File too large", "DAE_CACHE_DIR")
    assert not list(cache.glob("*rect*"))
    assert not Path("results").exists()


def test_a_full_disk_at_a_checkpoint_fails_that_run_and_keeps_the_finished_one(
    child: Start, disk: Disk, sound: Path
) -> None:
    out = disk.seen / "results"
    first = min((sound / "runs").iterdir())
    shutil.copytree(first, out / "runs" / first.name)
    before = snapshot(out)
    # Room for the small files, the first checkpoint and a part of the second.
    disk.leave(disk.blocks([first / "checkpoint.safetensors"]) + 20)
    words = ("replicate", "tiny", "--seeds", "2", "--out", disk.path / "results")
    ended = child(*words, inside=disk.inside).wait()
    ended.failed(1, "checkpoint.safetensors", "No space left on device", "make room")
    assert_unchanged(before, out)
    assert_whole(out)
    errors = {row["run"]: row["error"] for row in read_csv(out / "runs.csv")}
    assert errors.pop(first.name) == ""
    assert len(errors) == 3 and any("make room" in error for error in errors.values())
    disk.make_room()
    child(*words, inside=disk.inside).wait().succeeded()
    for run in (sound / "runs").iterdir():
        checkpoint = out / "runs" / run.name / "checkpoint.safetensors"
        assert checkpoint.read_bytes() == (run / checkpoint.name).read_bytes()


def test_a_full_disk_at_the_report_keeps_every_run_and_the_same_command_writes_it_later(
    child: Start, disk: Disk, sound: Path
) -> None:
    out = disk.seen / "results"
    shutil.copytree(sound, out)
    for name in ("REPORT.md", *PICTURES):
        (out / name).unlink()
    before = snapshot(out)
    disk.leave(disk.blocks(sound / name for name in PICTURES))
    words = ("replicate", "tiny", "--out", disk.path / "results")
    ended = child(*words, inside=disk.inside).wait()
    ended.failed(1, str(disk.path / "results" / "REPORT.md"), "No space left", "make room")
    assert_unchanged(before, out)
    assert_whole(out)
    disk.make_room()
    child(*words, inside=disk.inside).wait().succeeded()
    assert_same_results(out, sound)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_disk_that_fills_at_any_moment_loses_nothing_and_the_same_command_succeeds_later(
    child: Start, disk: Disk, sound: Path
) -> None:
    out = disk.seen / "results"
    words = ("replicate", "tiny", "--out", disk.path / "results")
    needed = disk.blocks(path for path in sound.rglob("*") if path.is_file())
    failed = 0
    for blocks in range(0, needed + 24, 3):
        disk.leave(blocks)
        ended = child(*words, inside=disk.inside).wait()
        failed += ended.code
        if ended.code:
            ended.failed(1, "No space left on device", "make room")
        assert_whole(out)
        before = {
            name: content
            for name, content in snapshot(out).items()
            if name.startswith("runs/") and ".partial" not in name
        }
        disk.make_room()
        child(*words, inside=disk.inside).wait().succeeded()
        assert_unchanged(before, out)
        assert_same_results(out, sound)
        shutil.rmtree(out)
    assert failed > 10


def test_a_cache_without_room_for_kernels_changes_no_result(
    child: Start, dae: Dae, disk: Disk, tiny: Path, sound: Path, session_cache: Path
) -> None:
    for path in session_cache.glob("rect-*"):
        (disk.seen / path.name).symlink_to(path)
    disk.leave(0)
    environment = {"DAE_CACHE_DIR": str(disk.path)}
    child("replicate", "tiny", environment=environment, inside=disk.inside).wait().succeeded()
    assert_same_results(tiny, sound)


@pytest.mark.slow
def test_workers_need_no_shared_memory(child: Start, tiny: Path, sound: Path) -> None:
    if os.geteuid() or not Path("/dev/shm").is_dir():
        pytest.skip("only the superuser can hide /dev/shm from a command")
    script = 'mount -t tmpfs -o ro,size=4k none /dev/shm && exec "$@"'
    inside = ("unshare", "--mount", "sh", "-c", script, "sh")
    child("replicate", "tiny", "--jobs", "2", inside=inside).wait().succeeded()
    assert_same_results(tiny, sound)


# Folders that cannot be written to


def without_permission(child: Start, *words: str) -> Ended:
    return child(*words, prepare=without_rights()).wait()


@pytest.mark.parametrize(
    "words",
    [
        ("replicate", "tiny"),
        pytest.param(("replicate", "tiny", "--force"), marks=pytest.mark.slow),
        ("train", "tiny/rect-0"),
    ],
    ids=" ".join,
)
def test_a_folder_without_permission_is_refused_before_anything_is_computed(
    child: Start, done: Path, words: tuple[str, ...]
) -> None:
    before = snapshot(done)
    for folder in (done / "runs", done):
        folder.chmod(0o555)
    try:
        ended = without_permission(child, *words)
    finally:
        for folder in (done, done / "runs"):
            folder.chmod(0o755)
    ended.failed(2, "results/tiny", "Permission denied", "--out")
    assert "started" not in ended.err
    assert snapshot(done) == before


def test_a_parent_without_permission_is_refused_and_the_error_names_the_folder(
    child: Start, tmp_path: Path
) -> None:
    (tmp_path / "locked").mkdir(mode=0o555)
    ended = without_permission(child, "replicate", "tiny", "--out", "locked/new")
    ended.failed(2, "locked/new", "Permission denied", "--out")


@pytest.mark.parametrize("command", ["replicate", "train"])
def test_a_read_only_disk_is_refused_before_anything_is_computed(
    child: Start, disk: Disk, sound: Path, command: str
) -> None:
    out = disk.seen / "results"
    shutil.copytree(sound, out)
    before = snapshot(out)
    disk.make_read_only()
    folder = disk.path / "results" / ("runs" if command == "train" else "")
    name = "tiny/rect-0" if command == "train" else "tiny"
    ended = child(command, name, "--out", folder, inside=disk.inside).wait()
    ended.failed(2, str(folder), "Read-only file system", "--out")
    assert "started" not in ended.err
    assert snapshot(out) == before


def test_the_error_names_a_disk_that_becomes_read_only_in_a_run_which_resumes_later(
    child: Start, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAE_CHECKPOINT_SECONDS", "0.05")
    out = disk.seen / "results"
    words = ("--set", "pretrain.epochs=600", "--only", "rect-0", "--out", disk.path / "results")
    command = child("replicate", "tiny", *words, inside=disk.inside)
    wait_until(lambda: list(out.glob("runs/*.partial/checkpoint.safetensors")), command)
    command.send(signal.SIGSTOP)  # so that it does not end before the disk is read-only
    disk.make_read_only()
    before = snapshot(out, (".safetensors", ".yaml"))
    command.send(signal.SIGCONT)
    command.wait().failed(1, "Read-only file system")
    assert_unchanged(before, out)
    disk.make_writable()
    ended = child("replicate", "tiny", *words, inside=disk.inside).wait().succeeded()
    assert "resumed" in ended.err
    assert_whole(out)


# Memory


def enlarge(*units: int) -> None:
    """Give one cell of the study larger layers."""
    cell = Path("experiments/tiny/rect-25.yaml")
    cell.write_text(f"{cell.read_text()}model: {{hidden: {[*units]}}}\n")


def assert_one_failed(out: Path, sound: Path, *parts: str) -> None:
    """Check that the small cell has its usual result, and the other an error with a remedy."""
    assert_whole(out)
    small, large = read_csv(out / "runs.csv")
    assert small["error"] == "" and all(part in large["error"] for part in parts)
    checkpoint = Path("runs") / small["run"] / "checkpoint.safetensors"
    assert (out / checkpoint).read_bytes() == (sound / checkpoint).read_bytes()


def test_too_little_memory_fails_the_run_with_a_remedy_and_the_other_is_done(
    child: Start, tiny: Path, sound: Path
) -> None:
    enlarge(3, 30_000, 30_000)  # 4 GB of weights
    ended = child("replicate", "tiny", prepare=memory_of_at_most(6 * 10**9)).wait()
    ended.failed(1, "memory", "--jobs", "smaller layers")
    assert_one_failed(tiny, sound, "memory")


@pytest.fixture
def memory_group() -> Iterator[Path]:
    """A control group, version 1 or 2, with 900 MiB of memory."""
    for root in (Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup")):
        group = root / f"dae-test-{os.getpid()}"
        try:
            group.mkdir()
        except OSError:
            continue
        try:
            for name in ("memory.limit_in_bytes", "memory.memsw.limit_in_bytes", "memory.max"):
                with suppress(OSError):
                    if (group / name).exists():
                        (group / name).write_text(str(900 * 2**20))
            with suppress(OSError):
                (group / "memory.swap.max").write_text("0")
            if any((group / name).exists() for name in ("memory.limit_in_bytes", "memory.max")):
                yield group
                return
        finally:
            with suppress(OSError):
                time.sleep(0.2)  # until its last process is gone
                group.rmdir()
    pytest.skip("cannot create a control group for memory")


def join_group(group: Path) -> None:
    """Make this process a member of a control group."""
    (group / "cgroup.procs").write_text(str(os.getpid()))


@pytest.mark.slow
def test_a_worker_that_the_kernel_kills_for_memory_fails_its_run_and_the_other_is_done(
    child: Start, tiny: Path, sound: Path, memory_group: Path
) -> None:
    enlarge(9000, 9000)
    prepare = (functools.partial(join_group, memory_group),)
    ended = child("replicate", "tiny", "--jobs", "2", prepare=prepare, executed=True).wait()
    ended.failed(1, "killed", "memory")
    assert_one_failed(tiny, sound, "killed", "smaller layers")


# Clocks and languages

JUMPING = """\
import datetime, os, pandas, time  # pandas extends the original class, in C
step, original = float(os.environ["CLOCK_STEP"]), time.time
calls = 0
def jumping():
    global calls
    calls += 1
    return original() + calls * step
class Jumping(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return cls.fromtimestamp(jumping(), tz)
time.time, time.time_ns = jumping, lambda: int(jumping() * 1e9)
datetime.datetime = Jumping
"""
GERMAN = """\
import locale
locale.setlocale(locale.LC_ALL, "de_DE.UTF-8")
"""


def at_start(folder: Path, program: str) -> dict[str, str]:
    """Return an environment in which every Python process runs a program first."""
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(program)
    root = str(Path(__file__).resolve().parents[1])
    paths = [str(folder), os.environ.get("PYTHONPATH") or root]
    return {"PYTHONPATH": os.pathsep.join(paths)}


@pytest.mark.parametrize(
    "step", ["-7200", pytest.param("172800", marks=pytest.mark.slow)], ids=["back", "ahead"]
)
def test_a_clock_that_jumps_changes_no_result(
    child: Start, tmp_path: Path, tiny: Path, sound: Path, step: str
) -> None:
    environment = {**at_start(tmp_path / "clock", JUMPING), "CLOCK_STEP": step}
    child("replicate", "tiny", environment=environment, executed=True).wait().succeeded()
    assert_same_results(tiny, sound)
    assert all(0 <= float(row["minutes"]) < 5 for row in read_csv(tiny / "runs.csv"))
    written = [read_json(path)["written"] for path in tiny.glob("runs/*/status.json")]
    away = [datetime.fromisoformat(text) - datetime.now(UTC) for text in written]
    assert len(away) == 2 and all(abs(one.total_seconds()) > 3600 for one in away)


@pytest.mark.slow
def test_decimal_commas_of_a_locale_change_no_file(
    child: Start, tmp_path: Path, tiny: Path, finished: tuple[Path, Ended]
) -> None:
    if not shutil.which("localedef") or not Path("/usr/share/i18n/locales/de_DE").exists():
        pytest.skip("needs localedef and the sources of the locales")
    environment = at_start(tmp_path / "german", GERMAN)
    folder = tmp_path / "german"
    command = ["localedef", "-i", "de_DE", "-f", "UTF-8", str(folder / "de_DE.UTF-8")]
    subprocess.run(command, check=True, capture_output=True)
    environment |= {"LOCPATH": str(folder), "LC_ALL": "de_DE.UTF-8"}
    ended = child("replicate", "tiny", environment=environment, executed=True).wait()
    sound, expected = finished
    assert ended.succeeded().lines[:-1] == expected.lines[:-1]  # the last one has the time
    assert_same_results(tiny, sound)


@pytest.mark.slow
def test_an_ascii_locale_fails_no_command(child: Start, tiny: Path, sound: Path) -> None:
    environment = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    child("replicate", "tiny", environment=environment, executed=True).wait().succeeded()
    assert_same_results(tiny, sound)


# Names

NAMES = {
    "spaces": "  my   results ",
    "decomposed": unicodedata.normalize("NFD", "Übergröße 🧠"),
    "right to left": "نتائج תוצאות",
    "leading dash": "-results",
    "quotes": 'it\'s "quoted" `so` $HOME %s [red]',
    "newline": "first\nsecond\ttab",
    "255 bytes": "é" * 127,
}
QUICK = ("decomposed", "quotes", "newline")


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, id=key, marks=[] if key in QUICK else [pytest.mark.slow])
        for key, name in NAMES.items()
    ],
)
def test_a_results_folder_can_have_any_name(
    dae: Dae, tmp_path: Path, sound: Path, name: str
) -> None:
    try:
        (tmp_path / name).mkdir()
    except (OSError, ValueError) as error:
        pytest.skip(f"this file system allows no folder of this name ({error})")
    dae("replicate", "tiny", f"--out={name}").succeeded()
    assert_same_results(Path(name), sound)
    assert "2 skipped" in dae("replicate", "tiny", f"--out={name}").succeeded().out
    dae("verify", "tiny", f"--out={name}").succeeded()
    runs = sorted((tmp_path / name / "runs").iterdir())
    evaluated = dae("evaluate", *runs, "--format", "csv").succeeded().rows
    counts = [row["n_wrong"] for row in read_csv(sound / "runs.csv")]
    assert sorted(row["n_wrong"] for row in evaluated) == sorted(counts)
    dae("filters", runs[0], "--out", tmp_path / name / "sheet.png").succeeded()


NOT_UTF8 = os.fsdecode(b"caf\xe9")


@pytest.mark.parametrize("command", ["replicate", "train"])
def test_a_results_folder_that_is_not_utf8_is_refused_before_anything_is_computed(
    child: Start, command: str
) -> None:
    name = "tiny/rect-0" if command == "train" else "tiny"
    ended = child(command, name, "--out", NOT_UTF8).wait()
    ended.failed(2, "UTF-8", "--out")
    assert "started" not in ended.err and not Path(NOT_UTF8).exists()


LONG_NAME = "x" * 300


@pytest.mark.parametrize(
    "words",
    [
        ("replicate", "tiny", "--out", LONG_NAME),
        ("replicate", "tiny", "--dry-run", "--out", LONG_NAME),
        ("train", "tiny/rect-0", "--out", LONG_NAME),
        ("verify", "tiny", "--out", LONG_NAME),
        ("evaluate", LONG_NAME),
        ("filters", LONG_NAME),
        ("show", LONG_NAME),
        ("replicate", f"{LONG_NAME}/"),
        ("train", f"{LONG_NAME}.yaml"),
    ],
    ids=lambda words: " ".join(words)[:24],
)
def test_a_name_that_is_too_long_is_a_usage_error(dae: Dae, words: tuple[str, ...]) -> None:
    ended = dae(*words).failed(2, LONG_NAME[:40])
    if sys.version_info < (3, 14):  # from 3.14 on, pathlib answers that there is no such file
        assert "longer" in ended.message or "too long" in ended.message
    assert not Path("results").exists()


# Streams


@pytest.mark.parametrize("closed", [pytest.param("2>&-", marks=pytest.mark.slow), "<&- >&- 2>&-"])
def test_a_command_works_without_standard_streams(child: Start, tiny: Path, closed: str) -> None:
    inside = ("sh", "-c", f'exec "$@" {closed}', "sh")
    assert child("replicate", "tiny", "--jobs", "2", inside=inside).wait().code == 0
    assert [row["error"] for row in read_csv(tiny / "runs.csv")] == ["", ""]
