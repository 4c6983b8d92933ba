"""Processor, memory and disk."""

import os
import platform
import shutil
from pathlib import Path

from easytransfer_mtl.diagnosis.checks import FAULT, NOTE, OK, Check
from easytransfer_mtl.machine import GB, available_gb, core_limit, cores, machine_gb, processor_flags, processor_name

FEATURES = {
    "avx2": "AVX2",
    "avx512f": "AVX-512",
    "avx512_bf16": "AVX512-BF16",
    "avx512_fp16": "AVX512-FP16",
    "amx_bf16": "AMX-BF16",
    "amx_fp16": "AMX-FP16",
}
"""Linux's name of a feature -> its maker's; the last four multiply bfloat16 or float16 themselves."""
BFLOAT16_FEATURES = ("avx512_bf16", "amx_bf16")
LEAST_GB, COMFORTABLE_GB = 1.0, 6.2
"""Memory that TensorFlow with a tiny model takes, and that BERT-base takes in float32 at 32 x 128 (docs/performance.md)."""
CHECKPOINTS_GB = 13.0
"""Disk space of ten checkpoints of BERT-base with Adam's moments, and its exported model."""
LEAST_DISK_GB = 0.1
BUSY = 0.5
"""Load of other programs as a share of the cores, above which measured speeds mean little."""


def hardware_checks() -> list[Check]:
    """Returns the checks of processor, cores and memory."""
    return [_processor(), _cores(), _memory()]


def _processor() -> Check:
    flags, name = processor_flags(), processor_name()
    if not flags:
        return Check("processor", OK, f"{name} ({platform.machine()}); the system does not list its features")
    found = [text for flag, text in FEATURES.items() if flag in flags]
    if platform.machine() in ("x86_64", "AMD64") and "avx" not in flags:
        text = f"{name} without AVX, which TensorFlow's published packages need: importing them ends the process"
        return Check("processor", FAULT, text, "Take another machine, or a TensorFlow that was built for this one.")
    own = any(flag in flags for flag in BFLOAT16_FEATURES)
    text = f"{name}: {', '.join(found) or 'none of the features looked for'}"
    return Check("processor", OK, f"{text}; {'multiplies' if own else 'has no instructions to multiply'} bfloat16")


def _cores() -> Check:
    found, limit = cores(), core_limit()
    if limit is None or limit >= found:
        load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
        if load > BUSY * found:
            text = f"{found}, and a load of {load:.1f} by other programs"
            return Check("cores", NOTE, text, "Measure speed again when nothing else runs.")
        return Check("cores", OK, str(found))
    text = f"{found}, of which a container's limit leaves the time of {limit:g}"
    threads = max(1, int(limit))
    advice = f"TensorFlow starts a thread a core: export TF_NUM_INTRAOP_THREADS={threads} TF_NUM_INTEROP_THREADS={threads}"
    return Check("cores", NOTE, text, advice)


def _memory() -> Check:
    whole, available = machine_gb(), available_gb()
    text = f"{whole:.1f} GB" + ("" if available is None else f", {available:.1f} GB available")
    if whole < LEAST_GB:
        return Check("memory", FAULT, f"{text}; TensorFlow needs {LEAST_GB:g} GB", "Give the container or machine more.")
    if min(whole, available or whole) < COMFORTABLE_GB:
        advice = "Take fewer rows a batch, shorter rows or a smaller encoder than that, or --precision=bfloat16."
        return Check("memory", NOTE, f"{text}; BERT-base at 32 x 128 needs {COMFORTABLE_GB:g} GB in float32", advice)
    return Check("memory", OK, text)


def disk_check(folder: Path) -> Check:
    """Checks the disk that ``folder`` is on, or will be."""
    there = folder.absolute()
    while not os.path.lexists(there):
        there = there.parent
    if not there.is_dir():
        return Check("disk", FAULT, f"{there} is no folder", "Give another --model_dir.")
    if not os.access(there, os.W_OK | os.X_OK):
        return Check("disk", FAULT, f"{there} cannot be written to", "Give another --model_dir, or the permission.")
    free = shutil.disk_usage(there).free / GB
    text = f"{free:.1f} GB free at {there}"
    if free < LEAST_DISK_GB:
        return Check("disk", FAULT, text, "Free some space, or give another --model_dir.")
    if free < CHECKPOINTS_GB:
        advice = "--keep_checkpoint_max and --save_steps limit what is kept."
        return Check("disk", NOTE, f"{text}; ten checkpoints of BERT-base take {CHECKPOINTS_GB:g} GB", advice)
    return Check("disk", OK, text)
