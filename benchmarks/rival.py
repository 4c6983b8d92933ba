"""The PyTorch process seen from here."""

import contextlib
import importlib.util
import json
import os
import subprocess
import sys
from types import TracebackType

Shapes = list[tuple[int, int]]
HINT = "PyTorch is not installed; the comparison with it is left out (pip install 'easytransfer_mtl[benchmark]')"


def rival_is_installed() -> bool:
    """Tells whether PyTorch can be imported, without importing it."""
    return importlib.util.find_spec("torch") is not None


class RivalProcess:
    """A running ``rival_worker``; a context manager that ends it."""

    def __init__(self, layers: int, hidden_size: int) -> None:
        module = "benchmarks.rival_worker"
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, str(layers), str(hidden_size)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=os.environ | {"USE_TF": "0", "USE_TORCH": "1"},
        )

    def __enter__(self) -> "RivalProcess":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        with contextlib.suppress(BrokenPipeError):
            self._process.communicate()  # its input ends, and so does it

    def seconds(self, do: str, shapes: Shapes) -> float:
        """Returns the time of a step on each shape (rows, length); ``do`` is ``train`` or ``predict``.

        Raises:
            RuntimeError: the process ended.
        """
        answer = ""
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps({"do": do, "shapes": shapes}) + "\n")
            self._process.stdin.flush()
            answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError(f"PyTorch's process ended with status {self._process.wait()}.")
        return json.loads(answer)["seconds"]
