"""One training in a process of its own, its result kept in a file, so that a comparison can go on where it stopped."""

import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from easytransfer_mtl.comparing.variants import command_line
from easytransfer_mtl.config.settings import TrainSettings
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.files import read_json, write_json

LOG, RESULT, SUMMARY = "train.log", "result.json", "model/evaluation/summary.json"
LAST_LINES = 15


@dataclass(frozen=True)
class RunResult:
    """What a training came to.

    Attributes:
        scores: task name -> score of the checkpoint with the best mean.
        seconds: wall time; None if the training was interrupted and went on.
        memory_gb: largest resident size, 10^9 bytes.
        best_step: that checkpoint's.
    """

    scores: dict[str, float]
    seconds: float | None
    memory_gb: float
    best_step: int


def finished_result(folder: Path, flags: list[str]) -> RunResult | None:
    """Returns the result of a run that is done, or None.

    Raises:
        UserError: the folder's run was made with other settings.
    """
    path = folder / RESULT
    if not path.exists():
        return None
    written: dict[str, Any] = read_json(path, "result of a run")
    if written["flags"] != flags:
        changed = sorted(set(written["flags"]) ^ set(flags))
        raise UserError(f"{folder} holds a run with other settings ({', '.join(changed)}). Use another --model_dir.")
    return RunResult(written["scores"], written["seconds"], written["memory_gb"], written["best_step"])


class TrainingProcesses:
    """Runs trainings, from several threads if need be."""

    def __init__(self, threads: int, keep: bool) -> None:
        """Takes TensorFlow's threads in each (0: its own choice), and whether checkpoints and best/ stay."""
        self.threads, self.keep = threads, keep
        self._running: set[int] = set()
        self._stopped = False

    def run(self, folder: Path, settings: TrainSettings) -> RunResult:
        """Trains, evaluates, and writes the result; a run that is done is not repeated.

        Args:
            folder: of this run; the training itself lies in ``model``.
            settings: its settings, with that ``model_dir``.

        Raises:
            UserError: the training failed, or the folder holds another.
        """
        flags = [flag for flag in command_line(settings) if not flag.startswith("--model_dir=")]
        done = finished_result(folder, flags)
        if done is not None:
            return done
        model = Path(settings.model_dir or "")
        fresh = not model.exists()
        folder.mkdir(parents=True, exist_ok=True)
        started = time.perf_counter()
        memory_gb = self._train(folder, [*flags, f"--model_dir={model}"])
        seconds = time.perf_counter() - started if fresh else None
        summary = read_json(folder / SUMMARY, "summary of a run")
        best = next(row for row in summary["checkpoints"] if row["best"])
        result = RunResult(best["scores"], seconds, memory_gb, best["step"])
        write_json(folder / RESULT, {"flags": flags, **asdict(result)})
        if not self.keep:
            for path in [*model.glob("model.ckpt-*"), model / "checkpoint"]:
                path.unlink(missing_ok=True)
            shutil.rmtree(model / "best", ignore_errors=True)
        return result

    def stop(self) -> None:
        """Lets the running trainings save the step that they are at and end; no other starts."""
        self._stopped = True
        for pid in list(self._running):
            os.kill(pid, signal.SIGTERM)

    def _train(self, folder: Path, flags: list[str]) -> float:
        """Runs the process and returns its largest resident size in GB."""
        environment = dict(os.environ)
        if self.threads:
            environment |= {"TF_NUM_INTRAOP_THREADS": str(self.threads), "TF_NUM_INTEROP_THREADS": "1"}
        if self._stopped:
            raise UserError(f"The training in {folder} was not started.")
        with open(folder / LOG, "a", encoding="utf-8") as log:
            command = [sys.executable, "-m", "easytransfer_mtl", "train", *flags]
            process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=environment)
            self._running.add(process.pid)
            _, status, usage = os.wait4(process.pid, 0)  # the only one who waits: it tells the process's memory
            self._running.discard(process.pid)
            process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            last = (folder / LOG).read_text(encoding="utf-8", errors="replace").splitlines()[-LAST_LINES:]
            raise UserError(f"The training in {folder} failed (status {process.returncode}):\n" + "\n".join(last))
        return usage.ru_maxrss * (1024 if sys.platform == "linux" else 1) / 1e9
