"""What a process costs before it does anything, each measured in fresh processes."""

import statistics
import subprocess
import sys
import time

IMPORTS = "from easytransfer_mtl.environment import check_environment, import_tensorflow as i; check_environment(); i(True)"
COMMANDS = {
    "help": ["-m", "easytransfer_mtl", "train", "--help"],
    "import_tensorflow_and_bert": ["-c", IMPORTS],
}


def start_up_seconds(rounds: int) -> dict[str, float]:
    """Returns the median wall time of ``--help`` and of importing what training needs."""
    return {name: statistics.median(_seconds(arguments) for _ in range(rounds)) for name, arguments in COMMANDS.items()}


def _seconds(arguments: list[str]) -> float:
    started = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, capture_output=True)
    return time.perf_counter() - started
