"""Runs trainings in their own processes and stores the results, so that a comparison can be resumed."""

import contextlib
import logging
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from dataclasses import asdict, dataclass
from functools import cache
from operator import itemgetter
from pathlib import Path

from easytransfer_mtl.comparing.variants import command_line
from easytransfer_mtl.config.train_settings import TrainSettings
from easytransfer_mtl.data.list_files import read_list
from easytransfer_mtl.encoders.finding import find_encoder
from easytransfer_mtl.encoders.weight_files.find import find_weights
from easytransfer_mtl.errors import UserError, clipped
from easytransfer_mtl.evaluation.model_hash import files_of_model
from easytransfer_mtl.evaluation.stored_models import find_models
from easytransfer_mtl.files import read_json, sha256_of, write_json
from easytransfer_mtl.runs.lock import is_locked

LOG, FLAGS, RESULT, SUMMARY = "train.log", "flags.json", "result.json", "model/evaluation/summary.json"
INPUTS = "inputs.json"
LAST_LINES = 15
WAIT = 1.0


@dataclass(frozen=True)
class Job:
    """A training to run: its name in the table, its folder, its settings (``model_dir`` is ``model`` in the folder)."""

    name: str
    folder: Path
    settings: TrainSettings

    @property
    def flags(self) -> list[str]:
        """The settings as flags, without ``model_dir``, since the folder may be moved."""
        return [flag for flag in command_line(self.settings) if not flag.startswith("--model_dir=")]

    def inputs(self) -> dict[str, str]:
        """Returns the hashes of the files that the training reads: data, encoder, teacher, and file of indicators."""
        settings = self.settings
        files = find_encoder(
            settings.pretrain_model_name_or_path,
            settings.modelZooBasePath,
            needs_weights=False,
            tokenizer=settings.tokenizer,
        )
        paths = {"encoder config": files.config_file, "vocabulary": files.vocabulary_file}
        if not settings.random_init:
            with contextlib.suppress(UserError):  # missing weights are reported by the training
                weights, _ = find_weights(files.location)
                # For TensorFlow 1 the index file, which holds checksums of the data.
                paths["encoder weights"] = weights if weights.is_file() else weights.with_name(f"{weights.name}.index")
        given = {"train": settings.train_input_fp, "dev": settings.predict_input_fp or ""}
        if settings.distillation_unlabelled_fp:
            given["unlabelled"] = settings.distillation_unlabelled_fp
        for kind, source in given.items():
            paths |= {f"{kind} file {place}": path for place, path in enumerate(_listed(source), start=1)}
        for member in find_models(settings.teacher, setting="--teacher") if settings.teacher else ():
            paths |= {f"teacher {member.name}: {path.name}": path for path in files_of_model(member)}
        if settings.dtp_kpi_file:
            paths["dtp_kpi_file"] = Path(settings.dtp_kpi_file)
        return {name: _sha256(path, path.stat().st_mtime_ns) for name, path in paths.items() if path.is_file()}

    def check_folder(self) -> None:
        """Raises UserError if the folder holds a training, finished or not, with other settings or other input files."""
        path = self.folder / FLAGS
        written = read_json(path, "flags of a run") if path.exists() else self.flags
        if written != self.flags:
            known = {flag for flag in written if isinstance(flag, str)} if isinstance(written, list) else set()
            changed = ", ".join(sorted(known ^ set(self.flags)))
            raise UserError(f"{self.folder} holds a run with other settings ({changed}). Use another --model_dir.")
        inputs, now = self.folder / INPUTS, self.inputs()
        before = read_json(inputs, "inputs of a run") if inputs.exists() else now
        others = sorted(name for name in {*before, *now} if before.get(name) != now.get(name))
        if others:
            raise UserError(
                f"{self.folder} holds a run on files with another content ({', '.join(others)}). Bring the old files back, "
                "or use another --model_dir."
            )

    def result(self) -> "RunResult | None":
        """Returns the result; None if the training is not finished."""
        path = self.folder / RESULT
        if not path.exists():
            return None
        value = read_json(path, "result of a run")
        try:
            result = RunResult(**value)
            numbers = [*result.scores.values(), result.best_step, result.seconds or 0, result.memory_gb or 0]
            if not all(type(number) in (int, float) for number in numbers):
                raise TypeError("a value is no number")
        except (AttributeError, TypeError) as error:
            raise UserError(f"{path} is damaged ({clipped(str(error))}); delete it, and the training runs again.") from None
        return result


@dataclass(frozen=True)
class RunResult:
    """The result of a training.

    Attributes:
        scores: task name -> score of the trained checkpoint with the best mean, the last of equal ones; the checkpoint from
            before the first step says nothing of a variant, and short trainings are often worse than it.
        best_step: step of that checkpoint.
        seconds: wall time; None if the training was interrupted and resumed.
        memory_gb: maximum resident size, 10^9 bytes; None in the same case.
    """

    scores: dict[str, float]
    best_step: int
    seconds: float | None
    memory_gb: float | None


@cache
def _sha256(path: Path, changed: int) -> str:
    """Returns a file's hash, computed once for all trainings as long as its modification time is the same."""
    del changed
    return sha256_of(path)


_listed = cache(read_list)  # cached since it warns of blank lines


class TrainingProcesses:
    """Runs trainings; can be used from several threads."""

    def __init__(self, threads: int, keep: bool, waits: bool = False) -> None:
        """Takes how trainings run.

        Args:
            threads: TensorFlow's threads per training; 0 for its own choice.
            keep: whether checkpoints and best/ are kept.
            waits: whether a training that a killed comparison left behind is waited for, instead of refused.
        """
        self.threads, self.keep, self.waits = threads, keep, waits
        self._lock = threading.Lock()
        self._running: set[int] = set()
        self._stopped = False

    def run(self, job: Job) -> RunResult:
        """Trains, evaluates, and writes the result; a finished run is not repeated.

        Raises:
            UserError: the training failed.
        """
        done = job.result()
        if done is not None:
            return done
        model = job.folder / "model"
        fresh = not model.exists()
        if self.waits:
            self._wait_for(model)
        write_json(job.folder / FLAGS, job.flags)
        write_json(job.folder / INPUTS, job.inputs())
        started = time.perf_counter()
        memory_gb = self._train(job.folder, [*job.flags, f"--model_dir={model}"])
        seconds = time.perf_counter() - started
        trained = [row for row in read_json(job.folder / SUMMARY, "summary of a run")["checkpoints"] if row["step"] > 0]
        best = max(reversed(trained), key=itemgetter("mean"))
        costs = (seconds, memory_gb) if fresh else (None, None)
        result = RunResult(best["scores"], best["step"], *costs)
        write_json(job.folder / RESULT, asdict(result))
        if not self.keep:
            for path in [*model.glob("model.ckpt-*"), model / "checkpoint"]:
                path.unlink(missing_ok=True)
            shutil.rmtree(model / "best", ignore_errors=True)
        return result

    def stop(self) -> None:
        """Lets the running trainings save their current step and end; no others are started."""
        with self._lock:
            self._stopped = True
            for pid in self._running:
                with contextlib.suppress(ProcessLookupError):  # it has just ended
                    os.kill(pid, signal.SIGTERM)

    def _wait_for(self, model: Path) -> None:
        if is_locked(model):
            logging.info("%s: a training of an earlier start still goes on there; it is waited for", model)
        while is_locked(model) and not self._stopped:
            time.sleep(WAIT)

    def _train(self, folder: Path, flags: list[str]) -> float:
        """Runs the process; returns its maximum resident size in GB."""
        environment = dict(os.environ)
        if self.threads:
            environment |= {"TF_NUM_INTRAOP_THREADS": str(self.threads), "TF_NUM_INTEROP_THREADS": "1"}
        command = [sys.executable, "-m", "easytransfer_mtl", "train", *flags]
        with open(folder / LOG, "a", encoding="utf-8") as log:
            with self._lock:
                if self._stopped:
                    raise UserError(f"The training in {folder} was not started.")
                process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=environment)
                self._running.add(process.pid)
            _, status, usage = os.wait4(process.pid, 0)  # wait4 returns the process's memory too; nothing else may wait
            with self._lock:
                self._running.discard(process.pid)
            process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            last = (folder / LOG).read_text(encoding="utf-8", errors="replace").splitlines()[-LAST_LINES:]
            raise UserError(f"The training in {folder} failed (status {process.returncode}):\n" + "\n".join(last))
        return usage.ru_maxrss * (1024 if sys.platform == "linux" else 1) / 1e9
