"""What a measurement was made on."""

import contextlib
import os
import platform
import re
import resource
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = ("tensorflow", "tf-keras", "transformers", "numpy", "torch")
SETTINGS = re.compile(
    "(OMP|MKL|OPENBLAS)_NUM_THREADS|TF_(NUM_(INTRA|INTER)OP_THREADS|XLA_FLAGS|ENABLE_ONEDNN_OPTS)|(DNNL|ONEDNN|XLA)_.*"
)
"""Environment variables that change speed; TF_ alone would take in other programs' and a cluster's addresses."""


def machine_facts() -> dict[str, Any]:
    """Returns processor, cores, load, versions, and whatever the environment says of threads and compilers."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return {
        "processor": names[0] if names else platform.processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "load_1min": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "python": platform.python_version(),
        "versions": _versions(),
        "environment": {name: value for name, value in sorted(os.environ.items()) if SETTINGS.fullmatch(name)},
    }


def _versions() -> dict[str, str]:
    """Returns the versions of the packages that are installed."""
    versions = {}
    for name in PACKAGES:
        with contextlib.suppress(PackageNotFoundError):
            versions[name] = version(name)
    return versions


def peak_memory_gb() -> float:
    """Returns the process's largest resident size so far, in GB (10^9 bytes).

    Linux's own count: ``getrusage`` of a process also counts the one that started it, which may be larger.
    """
    status = Path("/proc/self/status")
    found = re.search(r"VmHWM:\s+(\d+) kB", status.read_text(encoding="utf-8")) if status.exists() else None
    return (int(found.group(1)) if found else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss) * 1024 / 1e9
