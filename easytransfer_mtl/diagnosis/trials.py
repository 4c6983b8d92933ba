"""Runs the measuring process and judges what it found; imports no TensorFlow."""

import json
import os
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import easytransfer_mtl
from easytransfer_mtl.diagnosis.checks import FAULT, NOTE, OK, Check
from easytransfer_mtl.diagnosis.gpus import TensorFlowFacts
from easytransfer_mtl.environment import LOG_LEVEL
from easytransfer_mtl.errors import clipped

PROGRAM = "easytransfer_mtl.diagnosis.measuring"
SECONDS = 900
"""A process that takes longer hangs, as a broken driver may make it do."""
BOUNDS = {"float32": 0.01, "bfloat16": 0.05, "float16": 0.05}
"""Largest deviation from float32 on the CPU, as a share; float32 of a GPU may be TensorFloat-32."""
FASTER = 1.1
REFERENCE = ("CPU:0", "float32")


@dataclass(frozen=True)
class Trial:
    """A precision on a device.

    Attributes:
        device: ``CPU:0``, ``GPU:0``, ...
        precision: of the matrix products.
        steps_per_s: training steps a second.
        predictions_per_s: predicted batches a second.
        step_mb: memory that training takes beside the model, 10^6 bytes; None if it was not measured.
        loss_deviation: largest relative difference of a step's loss from the reference's; None if a loss is not finite.
        gradient_deviation: the same for the gradients' norms.
        logits_deviation: norm of the difference of the logits over the norm of the reference's.
        repeats: whether the same steps gave the same bits again.
    """

    device: str
    precision: str
    steps_per_s: float
    predictions_per_s: float
    step_mb: float | None
    loss_deviation: float | None
    gradient_deviation: float | None
    logits_deviation: float | None
    repeats: bool

    @property
    def is_close(self) -> bool:
        """Whether every deviation is within the precision's bound."""
        found = (self.loss_deviation, self.gradient_deviation, self.logits_deviation)
        return all(value is not None and value <= BOUNDS[self.precision] for value in found)


@dataclass
class Measured:
    """What the measuring process said.

    Attributes:
        tensorflow: None if it was not imported.
        compilers: the devices that XLA works on.
        trials: in the order in which they were measured.
        failed: the part in which the process ended early; empty if it reached its end.
        reason: why it ended.
    """

    tensorflow: TensorFlowFacts | None = None
    compilers: list[str] = field(default_factory=list)
    trials: list[Trial] = field(default_factory=list)
    failed: str = ""
    reason: str = ""


def measure() -> Measured:
    """Runs the measuring process to its end."""
    with tempfile.TemporaryDirectory(prefix="easytransfer_mtl_") as folder:
        output, errors = Path(folder) / "output", Path(folder) / "errors"
        with open(output, "wb") as out, open(errors, "wb") as err:
            code = _run(out.fileno(), err.fileno())
        said = errors.read_text(encoding="utf-8", errors="replace")
        return judge(output.read_text(encoding="utf-8", errors="replace"), said, code)


def _run(output: int, errors: int) -> int | None:
    """Returns the process's exit code; None if it was ended for taking too long."""
    root = str(Path(easytransfer_mtl.__file__).parents[1])
    paths = [root, *filter(None, [os.environ.get("PYTHONPATH")])]
    variables = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), LOG_LEVEL: "0"}
    command = [sys.executable, "-m", PROGRAM]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=errors, env=variables) as process:
        try:
            return process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            return None
        finally:
            process.kill()


def judge(output: str, said: str, code: int | None) -> Measured:
    """Reads what the measuring process wrote.

    Args:
        output: its standard output, maybe cut off.
        said: its standard error.
        code: its exit code, minus a signal's number; None if it took too long.
    """
    found, stage, reference = Measured(), "Python's start", None
    for line in output.splitlines():
        try:
            message = json.loads(line)
        except ValueError:  # the process ended in the middle of it
            continue
        stage = message.get("stage", stage)
        if "tensorflow" in message:
            facts = message["tensorflow"]
            found.tensorflow = TensorFlowFacts(facts["version"], tuple(facts["gpus"]), facts["cuda"], said)
        if "compiler" in message:
            found.compilers.append(message["compiler"])
        if "measured" in message:
            result = message["measured"]
            reference = reference or result
            found.trials.append(_trial(result, reference))
    if code != 0:
        found.failed, found.reason = stage, _why(said, code)
    return found


def _trial(result: dict[str, Any], reference: dict[str, Any]) -> Trial:
    steps, right = result["steps"], reference["steps"]
    return Trial(
        device=result["device"],
        precision=result["precision"],
        steps_per_s=result["steps_per_s"],
        predictions_per_s=result["predictions_per_s"],
        step_mb=result["step_mb"],
        loss_deviation=_largest([pair[0] for pair in steps], [pair[0] for pair in right]),
        gradient_deviation=_largest([pair[1] for pair in steps], [pair[1] for pair in right]),
        logits_deviation=_norm_ratio(result["logits"], reference["logits"]),
        repeats=result["repeats"],
    )


def _largest(found: list[float | None], right: list[float | None]) -> float | None:
    pairs = [(one, other) for one, other in zip(found, right) if one is not None and other]
    if len(pairs) < len(right):
        return None
    return max(abs(one - other) / abs(other) for one, other in pairs)


def _norm_ratio(found: list[float | None], right: list[float | None]) -> float | None:
    pairs = [(one, other) for one, other in zip(found, right) if one is not None and other is not None]
    whole = sum(other * other for _, other in pairs)
    if len(pairs) < len(right) or not whole:
        return None
    return (sum((one - other) ** 2 for one, other in pairs) / whole) ** 0.5


def _why(said: str, code: int | None) -> str:
    if code is None:
        return f"it gave no sign for {SECONDS} s and was ended"
    if code < 0:
        try:
            name = signal.Signals(-code).name
        except ValueError:
            name = f"signal {-code}"
        return f"the process was ended by {name}"
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    return clipped(lines[-1], 400) if lines else f"exit status {code}"


def trial_checks(found: Measured) -> list[Check]:
    """Returns the checks of TensorFlow, of XLA, and of every trial."""
    checks = []
    if found.tensorflow is None:
        return [Check("TensorFlow", FAULT, f"cannot be imported: {found.reason}", "Install TensorFlow again.")]
    checks.append(Check("TensorFlow", OK, f"{found.tensorflow.version} is imported"))
    if found.compilers:
        checks.append(Check("XLA", OK, f"works on {', '.join(found.compilers)}"))
    if found.failed:
        advice = "Training would end there too. " + (
            "To train on the CPU: export CUDA_VISIBLE_DEVICES=-1" if "GPU" in found.failed else "Install TensorFlow again."
        )
        checks.append(Check(found.failed, FAULT, found.reason, advice))
    checks += [_check(trial) for trial in found.trials]
    return checks


def _check(trial: Trial) -> Check:
    name = f"{trial.precision} on {trial.device}"
    bound = BOUNDS[trial.precision]
    if not trial.is_close:
        text = f"differs from float32 on the CPU: {_deviations(trial)}; at most {bound:.0%} is expected"
        if trial.precision == "float32":
            return Check(name, FAULT, text, "Do not train on this device; look for a fault of its memory or driver.")
        return Check(name, NOTE, text, "Leave this precision out on this machine.")
    if trial.device.startswith("CPU") and not trial.repeats:
        return Check(name, NOTE, "the same steps give other bits when repeated", "A stopped run will not go on bit for bit.")
    return Check(name, OK, f"within {bound:.0%} of float32 on the CPU")


def _deviations(trial: Trial) -> str:
    parts = {"loss": trial.loss_deviation, "gradients": trial.gradient_deviation, "logits": trial.logits_deviation}
    return ", ".join(f"{name} {percent(value)}" for name, value in parts.items())


def percent(deviation: float | None) -> str:
    """Returns a deviation in words."""
    return "not finite" if deviation is None else f"{deviation:.2%}"


def flags_for(found: Measured) -> list[str]:
    """Returns the flags of ``train`` that fit the machine; empty if the defaults do."""
    gpus = len(found.tensorflow.gpus) if found.tensorflow else 0
    device = "GPU:0" if gpus else REFERENCE[0]
    own = {trial.precision: trial for trial in found.trials if trial.device == device and trial.is_close}
    flags = []
    uses = (("precision", "steps_per_s", gpus == 1), ("predict_precision", "predictions_per_s", gpus > 0))
    for flag, speed, float16 in uses:  # float16 is trained on one GPU only
        best = _fastest({name: getattr(trial, speed) for name, trial in own.items()}, float16)
        if best != REFERENCE[1]:
            flags.append(f"--{flag}={best}")
    if gpus > 1:
        flags += ["--distribution_strategy=MirroredStrategy", f"--workerGPU={gpus}"]
    return flags


def _fastest(speeds: dict[str, float], float16: bool) -> str:
    """Returns the precision to take, which must be clearly faster than those before it; ``float16`` allows that one."""
    best = REFERENCE[1]
    for precision in ("bfloat16", "float16") if float16 else ("bfloat16",):
        if best in speeds and speeds.get(precision, 0.0) >= FASTER * speeds[best]:
            best = precision
    return best
