"""Reads files in a process of little memory and time, for files that are made to take all of both."""

import subprocess
import sys
from pathlib import Path

CODE = """
import resource, sys
sys.setrecursionlimit(1000)
from easytransfer_mtl.errors import UserError
from {module} import {function} as read
megabytes = int(sys.argv[1])
with open("/proc/self/statm") as stream:
    used = int(stream.read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (megabytes << 20),) * 2)
for path in sys.argv[2:]:
    try:
        read(path)
        print("read")
    except UserError as error:
        print(repr(str(error)))
"""
LONGEST_MESSAGE = 1000
TIMEOUT_S = 3600
"""What hangs would go on for years; no machine that is merely slow or busy takes that long."""


def outcomes(module: str, function: str, paths: list[Path], megabytes: int) -> list[str]:
    """Returns what came of reading each of ``paths``: ``read``, or the message of the UserError.

    Args:
        module: where the reader is.
        function: its name; it takes a path.
        paths: the files.
        megabytes: address space that the process may take beyond what it has after its imports.
    """
    code = CODE.format(module=module, function=function)
    command = [sys.executable, "-c", code, str(megabytes), *map(str, paths)]
    root = Path(__file__).parents[2]
    done = subprocess.run(command, capture_output=True, text=True, cwd=root, timeout=TIMEOUT_S, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    found = done.stdout.splitlines()
    assert len(found) == len(paths) and max(map(len, found)) <= LONGEST_MESSAGE
    assert not [line for line in found if "MemoryError" in line or "Unable to allocate" in line]
    return found
