"""What the system tells of the processor, and what is made of nothing told."""

from __future__ import annotations

import platform
from pathlib import Path

import pytest

from dae_cli import machine
from dae_cli.machine import cores, cpu_name, vector_features, version_of


@pytest.fixture
def cpuinfo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What the kernel tells; nothing yet."""
    monkeypatch.setattr(machine, "_CPUINFO", tmp_path / "cpuinfo")
    return tmp_path / "cpuinfo"


def test_of_an_intel_or_amd_processor(cpuinfo: Path) -> None:
    one = (
        "processor\t: {}\nmodel name\t: A Fine CPU @ 3 GHz\nflags\t\t: fpu avx2 avx fma sse4_2 nx\n"
    )
    cpuinfo.write_text(one.format(0) + "\n" + one.format(1))
    assert cpu_name() == "A Fine CPU @ 3 GHz"
    assert vector_features() == "avx avx2 fma sse4_2"


def test_of_an_arm_processor(cpuinfo: Path) -> None:
    cpuinfo.write_text("processor\t: 0\nFeatures\t: fp asimd aes asimddp sve\n")
    assert cpu_name() == (platform.processor() or platform.machine())
    assert vector_features() == "asimd asimddp sve"


def test_where_nothing_is_told(cpuinfo: Path) -> None:
    assert cpu_name() == (platform.processor() or platform.machine())
    assert vector_features() == ""


def test_there_is_a_core() -> None:
    assert cores() >= 1


def test_a_library_that_is_not_installed_has_no_version() -> None:
    assert version_of("a-package-that-nobody-has") == ""
