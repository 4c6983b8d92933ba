"""Why TensorFlow sees no GPU although there is one: real files and a program called nvidia-smi, invented."""

import os
from pathlib import Path

import pytest

from easytransfer_mtl.diagnosis import gpus
from easytransfer_mtl.diagnosis.checks import NOTE, OK
from easytransfer_mtl.diagnosis.gpus import Hardware, TensorFlowFacts, find_hardware, gpu_check

CARD = "NVIDIA A10, 23028 MiB, 8.6, 550.54.15"
MODULE = "NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.15  Tue Mar  5 22:23:56 UTC 2024\nGCC version: 12\n"
THERE = Hardware((CARD,), "550.54.15", 1)


@pytest.fixture(autouse=True)
def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A system without any GPU, below a folder."""
    for name, path in {"DRIVER_FILE": "version", "DEVICE_FILES": "dev", "PCI_DEVICES": "pci"}.items():
        monkeypatch.setattr(gpus, name, tmp_path / path)
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return tmp_path


def smi(system: Path, script: str) -> None:
    path = system / "bin/nvidia-smi"
    path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    path.chmod(0o755)


def pci(system: Path, name: str, vendor: str, kind: str) -> None:
    folder = system / "pci" / name
    folder.mkdir(parents=True)
    (folder / "vendor").write_text(vendor + "\n")
    (folder / "class").write_text(kind + "\n")


def facts(found: tuple[str, ...] = (), cuda: str | None = "12.5.1", log: str = "") -> TensorFlowFacts:
    return TensorFlowFacts("2.21.0", found, cuda, log)


def test_a_machine_without_a_gpu(system: Path) -> None:
    pci(system, "0", "0x8086", "0x030000")
    pci(system, "1", "0x10de", "0x020000")  # a network card of the same maker
    assert not find_hardware().is_there
    assert gpu_check(find_hardware(), facts()).status == OK
    assert gpu_check(find_hardware(), None).status == OK


def test_a_working_gpu(system: Path) -> None:
    smi(system, f'[ "$2" = --format=csv,noheader ] && echo "{CARD}"')
    (system / "version").write_text(MODULE)
    pci(system, "0", "0x10de", "0x030200")
    found = find_hardware()
    assert found == THERE
    check = gpu_check(found, facts(("NVIDIA A10",)))
    assert check.status == OK and "sees 1: NVIDIA A10" in check.found


def test_the_driver_is_that_of_nvidia_smi_without_a_driver_file(system: Path) -> None:
    smi(system, f'echo "{CARD}"')
    assert find_hardware() == Hardware((CARD,), "550.54.15", 0)


def test_a_driver_that_does_not_answer(system: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (system / "version").write_text(MODULE)
    smi(system, "echo Failed to initialize NVML: Driver/library version mismatch; exit 18")
    found = find_hardware()
    assert found.driver == "550.54.15" and "Driver/library version mismatch" in found.problem
    check = gpu_check(found, facts())
    assert check.status == NOTE and "version mismatch" in check.found and "again" in check.advice
    monkeypatch.setattr(gpus, "SMI_SECONDS", 0.2)
    smi(system, "exec /bin/sleep 60")
    assert "no answer" in find_hardware().problem
    (system / "bin/nvidia-smi").write_text("no program")
    assert "nvidia-smi" in find_hardware().problem


def test_a_card_without_a_driver(system: Path) -> None:
    pci(system, "0", "0x10de", "0x030200")
    check = gpu_check(find_hardware(), facts())
    assert check.status == NOTE and "No driver is loaded" in check.found and "--gpus all" in check.advice


@pytest.mark.parametrize("value", ["", "-1", "none"])
def test_the_environment_hides_it(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", value)
    check = gpu_check(THERE, facts())
    assert repr(value) in check.found and check.advice == "unset CUDA_VISIBLE_DEVICES"


@pytest.mark.parametrize("value", ["0", "1,0", "GPU-5f3c"])
def test_a_choice_of_gpus_is_not_blamed(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", value)
    assert "hides all" not in gpu_check(THERE, facts()).found


def test_a_build_without_cuda() -> None:
    check = gpu_check(THERE, facts(cuda=None))
    assert "built without CUDA" in check.found and "'tensorflow[and-cuda]==2.21.0'" in check.advice


def test_a_driver_that_is_too_old() -> None:
    check = gpu_check(Hardware((), "470.223.02", 1), facts())
    assert "too old" in check.found and "525 or newer" in check.advice


def test_missing_libraries_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = ["numpy>=2", 'nvidia-cudnn-cu12<10.0,>=9.3; extra == "and-cuda"', 'nvidia-x-cu12; extra == "and-cuda"']
    monkeypatch.setattr(gpus, "requires", lambda name: wanted)
    monkeypatch.setattr(gpus, "installed_version", lambda name: "9.9" if "x-cu12" in name else None)
    check = gpu_check(THERE, facts())
    assert check.found.endswith("extra: nvidia-cudnn-cu12.") and "'tensorflow[and-cuda]==2.21.0'" in check.advice


def test_what_is_left_are_tensorflows_own_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpus, "installed_version", lambda name: "1.0")
    log = "I something else\nW0000 gpu_device.cc:2341] Cannot dlopen some GPU libraries.\n"
    assert "Cannot dlopen some GPU libraries" in gpu_check(THERE, facts(log=log)).found
    assert "TensorFlow says: nothing" in gpu_check(THERE, facts()).found


def test_without_tensorflow_the_hardware_is_still_told() -> None:
    check = gpu_check(THERE, None)
    assert check.status == NOTE and CARD in check.found and os.environ["PATH"]
