"""The machine's memory, and whether a run fits into it."""

import logging
import os
from pathlib import Path

import tensorflow as tf

GB = 1e9
NUMBER_BYTES = {"float32": 4, "bfloat16": 2}
"""What a number of a state takes, by the precision of a run."""
CGROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")


def machine_gb() -> float:
    """Returns the machine's memory in 10^9 bytes, or less if this process may have less of it."""
    found = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit = CGROUP_LIMIT.read_text(encoding="ascii").strip() if CGROUP_LIMIT.exists() else "max"
    return min(found, int(limit) if limit.isdigit() else found) / GB


def tell_memory(needed_gb: float) -> None:
    """Logs what a run needs, in 10^9 bytes, beside what there is."""
    logging.info("estimated memory: %.1f GB of %.1f GB", needed_gb, machine_gb())


def shortage(needed_gb: float) -> str:
    """Returns in words that there is less than a run needs, in 10^9 bytes; nothing if there is enough or a GPU works."""
    available = machine_gb()
    if needed_gb <= available or tf.config.list_physical_devices("GPU"):
        return ""
    return f"this machine has {available:.1f} GB"
