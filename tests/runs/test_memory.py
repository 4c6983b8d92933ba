"""What the machine has: its own memory or what this process may have of it, and what is said of too little."""

from pathlib import Path

import pytest
import tensorflow as tf

from easytransfer_mtl.runs import memory as machine_memory
from easytransfer_mtl.runs.memory import machine_gb, shortage


def test_a_limit_of_the_process_counts_if_it_is_less(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine_memory, "CGROUP_LIMIT", tmp_path / "memory.max")
    whole = machine_gb()
    assert 0.1 < whole < 1e5
    for limit, found in {"max": whole, "500000000": 0.5, str(10**18): whole}.items():
        (tmp_path / "memory.max").write_text(limit + "\n")
        assert machine_gb() == found


def test_a_gpu_or_enough_memory_is_no_shortage(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine_memory, "machine_gb", lambda: 2.0)
    assert shortage(2.1) == "this machine has 2.0 GB" and not shortage(2.0)
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [kind])
    assert not shortage(2.1)
