"""What this machine is: processor, cores, memory, and what a container leaves of them."""

import os
import platform
import re
from pathlib import Path

GB = 1e9
CPU_INFO = Path("/proc/cpuinfo")
MEMORY_INFO = Path("/proc/meminfo")
CGROUP_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
"""A container's memory limit in bytes, in version 2 and version 1 of Linux's control groups."""
CGROUP_CORES = (
    (Path("/sys/fs/cgroup/cpu.max"),),
    (Path("/sys/fs/cgroup/cpu/cpu.cfs_quota_us"), Path("/sys/fs/cgroup/cpu/cpu.cfs_period_us")),
)
"""A container's share of time and the period that it is of, in microseconds, in version 2 and version 1."""


def machine_gb() -> float:
    """Returns the machine's memory in 10^9 bytes, or this process's limit if that is lower."""
    found = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limits = [int(text) for path in CGROUP_LIMITS if (text := _text(path).strip()).isdigit()]
    return min(found, *limits) / GB if limits else found / GB


def available_gb() -> float | None:
    """Returns the memory that programs could still take, in 10^9 bytes; None if the system does not say."""
    found = re.search(r"^MemAvailable:\s+(\d+) kB", _text(MEMORY_INFO), re.MULTILINE)
    return min(int(found[1]) * 1024 / GB, machine_gb()) if found else None


def processor_name() -> str:
    """Returns the processor's name as its maker gives it."""
    found = re.search(r"^model name\s*:\s*(.+)$", _text(CPU_INFO), re.MULTILINE)
    return found[1].strip() if found else platform.processor() or platform.machine() or "unknown"


def processor_flags() -> frozenset[str]:
    """Returns the names of the processor's features as Linux gives them (``avx2``, ``amx_bf16``, ...); empty elsewhere."""
    found = re.search(r"^flags\s*:\s*(.+)$", _text(CPU_INFO), re.MULTILINE)
    return frozenset(found[1].split()) if found else frozenset()


def cores() -> int:
    """Returns the number of cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def core_limit() -> float | None:
    """Returns how many cores' time a container allows; None without such a limit."""
    for paths in CGROUP_CORES:
        words = " ".join(_text(path) for path in paths).split()
        if len(words) == 2 and all(word.isdigit() for word in words) and int(words[1]):
            return int(words[0]) / int(words[1])
    return None


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
