"""The machine's memory, and whether a run fits into it."""

import logging
import os
from pathlib import Path

import tensorflow as tf

from easytransfer_mtl.config.limits import MOST_TOKENS_A_STEP
from easytransfer_mtl.errors import UserError

GB = 1e9
NUMBER_BYTES = {"float32": 4, "bfloat16": 2}
"""What a number of a state takes, by the precision of a run."""
CGROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")


def machine_gb() -> float:
    """Returns the machine's memory in 10^9 bytes, or less if this process may have less of it."""
    found = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit = CGROUP_LIMIT.read_text(encoding="ascii").strip() if CGROUP_LIMIT.exists() else "max"
    return min(found, int(limit) if limit.isdigit() else found) / GB


def check_tokens(rows: int, length: int) -> None:
    """Raises UserError if a step's rows, padded, have more tokens than can be meant."""
    if rows * length > MOST_TOKENS_A_STEP:
        raise UserError(
            f"A step would have {rows:,} rows of up to {length:,} tokens; rows x tokens may be at most "
            f"{MOST_TOKENS_A_STEP:,}. Lower --train_batch_size or --sequence_length."
        )


def tell_memory(needed_gb: float) -> None:
    """Logs what a run needs, in 10^9 bytes, beside what there is."""
    logging.info("estimated memory: %.1f GB of %.1f GB", needed_gb, machine_gb())


def shortage(needed_gb: float) -> str:
    """Returns in words that there is less than a run needs, in 10^9 bytes; nothing if there is enough or a GPU works."""
    available = machine_gb()
    if needed_gb <= available or tf.config.list_physical_devices("GPU"):
        return ""
    return f"this machine has {available:.1f} GB"
