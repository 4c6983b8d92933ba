"""What the machine has: its own memory and cores, or what this process may have of them."""

from pathlib import Path

import pytest

from easytransfer_mtl import machine
from easytransfer_mtl.machine import available_gb, core_limit, cores, machine_gb, processor_flags, processor_name


@pytest.mark.parametrize("version", [0, 1])
def test_a_limit_of_the_process_counts_if_it_is_less(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: int) -> None:
    files = [tmp_path / "none", tmp_path / "none"]
    files[version] = tmp_path / "limit"
    monkeypatch.setattr(machine, "CGROUP_LIMITS", tuple(files))
    whole = machine_gb()
    assert 0.1 < whole < 1e5
    for limit, found in {"max": whole, "500000000": 0.5, str(10**18): whole, "": whole}.items():
        files[version].write_text(limit + "\n")
        assert machine_gb() == found
    files[version].write_text("1000\n")
    assert available_gb() in (None, 1000 / machine.GB)


def test_a_containers_cores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    quota, period = tmp_path / "quota", tmp_path / "period"
    monkeypatch.setattr(machine, "CGROUP_CORES", ((tmp_path / "cpu.max",), (quota, period)))
    assert core_limit() is None
    quota.write_text("-1\n")
    period.write_text("100000\n")
    assert core_limit() is None
    quota.write_text("250000\n")
    assert core_limit() == 2.5
    (tmp_path / "cpu.max").write_text("max 100000\n")
    assert core_limit() == 2.5
    (tmp_path / "cpu.max").write_text("150000 100000\n")
    assert core_limit() == 1.5
    assert cores() >= 1


def test_the_processor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "CPU_INFO", tmp_path / "cpuinfo")
    assert processor_name() and processor_flags() == frozenset()
    (tmp_path / "cpuinfo").write_text("processor\t: 0\nmodel name\t: Some Processor\nflags\t\t: fpu avx2 amx_bf16\n" * 2)
    assert processor_name() == "Some Processor"
    assert processor_flags() == {"fpu", "avx2", "amx_bf16"}
