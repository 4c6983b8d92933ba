"""Processor, cores, memory and disk: what is a fault, what deserves a look."""

import os
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from easytransfer_mtl.diagnosis import hardware
from easytransfer_mtl.diagnosis.checks import FAULT, NOTE, OK, Check
from easytransfer_mtl.diagnosis.hardware import disk_check, hardware_checks


def check_of(name: str) -> Check:
    return next(check for check in hardware_checks() if check.name == name)


@pytest.mark.parametrize(
    ("flags", "status", "words"),
    [
        ("sse4_2", FAULT, "without AVX"),
        ("avx avx2", OK, "AVX2; has no instructions to multiply bfloat16"),
        ("avx avx2 avx512f amx_bf16", OK, "AVX2, AVX-512, AMX-BF16; multiplies bfloat16"),
        ("", OK, "does not list its features"),
    ],
)
def test_the_processor(monkeypatch: pytest.MonkeyPatch, flags: str, status: str, words: str) -> None:
    monkeypatch.setattr(hardware, "processor_flags", lambda: frozenset(flags.split()))
    monkeypatch.setattr(hardware.platform, "machine", lambda: "x86_64")
    found = check_of("processor")
    assert found.status == status and words in found.found


def test_a_containers_share_of_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hardware, "cores", lambda: 64)
    monkeypatch.setattr(hardware, "core_limit", lambda: 2.5)
    found = check_of("cores")
    assert found.status == NOTE and "2.5" in found.found and "TF_NUM_INTRAOP_THREADS=2" in found.advice


@pytest.mark.parametrize(("load", "status"), [(0.4, OK), (3.0, NOTE)])
def test_other_programs_on_the_cores(monkeypatch: pytest.MonkeyPatch, load: float, status: str) -> None:
    monkeypatch.setattr(hardware, "cores", lambda: 2)
    monkeypatch.setattr(hardware, "core_limit", lambda: None)
    monkeypatch.setattr(os, "getloadavg", lambda: (load, 9.0, 9.0))
    assert check_of("cores").status == status


@pytest.mark.parametrize(
    ("whole", "available", "status"), [(0.5, 0.4, FAULT), (4.0, 3.0, NOTE), (16.0, 2.0, NOTE), (16.0, None, OK)]
)
def test_memory(monkeypatch: pytest.MonkeyPatch, whole: float, available: float | None, status: str) -> None:
    monkeypatch.setattr(hardware, "machine_gb", lambda: whole)
    monkeypatch.setattr(hardware, "available_gb", lambda: available)
    assert check_of("memory").status == status


@pytest.mark.parametrize(("free", "status"), [(5e7, FAULT), (5e9, NOTE), (5e10, OK)])
def test_the_disk_of_a_folder_that_is_not_there_yet(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, free: float, status: str
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=free))
    found = disk_check(tmp_path / "runs/new")
    assert found.status == status and found.found.startswith(f"{free / 1e9:.1f} GB free at {tmp_path}")


def test_a_file_or_a_closed_folder_is_a_fault(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert disk_check(tmp_path / "file/run").status == FAULT
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    found = disk_check(tmp_path)
    assert found.status == FAULT and "cannot be written" in found.found
