"""``python tests/peers``: prints how far our methods and TorchJD's are from their papers' optima, as a table."""

import os
import sys
from pathlib import Path

os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

from side_by_side import CASES, FAILED, PEERS, errors


def _text(error: float) -> str:
    return "none" if error == FAILED else f"{error:.0e}" if error > 1e-15 else "0"


def _cell(name: str, case: str) -> str:
    ours, theirs = errors(name, case)
    return f"{_text(max(ours))}; {_text(sorted(theirs)[len(theirs) // 2])}, {_text(max(theirs))}"


if __name__ == "__main__":
    print("Largest error of ours; median and largest of TorchJD's. none: no step.\n")
    print("| | " + " | ".join(CASES) + " |")
    print("|---" * (len(CASES) + 1) + "|")
    for name in PEERS:
        print(f"| `{name}` | " + " | ".join(_cell(name, case) for case in CASES) + " |", flush=True)
