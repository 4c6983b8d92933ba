"""The doctor's report, for a terminal and for a program."""

from dataclasses import asdict
from typing import Any

from easytransfer_mtl import __version__
from easytransfer_mtl.diagnosis.checks import FAULT, Check
from easytransfer_mtl.diagnosis.trials import Trial, percent

TRIAL_MODEL = "a BERT of 4 layers of 256, batches of 16 rows of up to 32 tokens"


def is_healthy(checks: list[Check]) -> bool:
    """Returns whether nothing was found that would break training."""
    return all(check.status != FAULT for check in checks)


def report_text(checks: list[Check], trials: list[Trial], flags: list[str] | None) -> str:
    """Returns the report for a terminal; ``flags`` is None if nothing was measured."""
    width = max(len(check.name) for check in checks)
    lines = [f"easytransfer_mtl {__version__}", ""]
    for check in checks:
        lines.append(f"{check.status:<5}  {check.name:<{width}}  {check.found}")
        if check.advice:
            lines.append(f"{'':<5}  {'':<{width}}  -> {check.advice}")
    if trials:
        lines += ["", *_table(trials)]
    if flags is not None:
        lines += ["", f"flags of train for this machine: {' '.join(flags) or 'none; the defaults are the fastest here'}"]
    faults = [check.name for check in checks if check.status == FAULT]
    lines += ["", f"faults: {', '.join(faults)}" if faults else "healthy: nothing here would break training"]
    return "\n".join(lines)


def _table(trials: list[Trial]) -> list[str]:
    lines = [
        f"{TRIAL_MODEL}; deviations are from float32 on the CPU",
        f"{'device':<7} {'precision':<9} {'steps/s':>8} {'predictions/s':>13} {'memory':>8}  {'loss':>7} {'gradients':>9} "
        f"{'logits':>7}",
    ]
    for trial in trials:
        memory = "" if trial.step_mb is None else f"{trial.step_mb:.0f} MB"
        loss, gradients, logits = map(percent, (trial.loss_deviation, trial.gradient_deviation, trial.logits_deviation))
        lines.append(
            f"{trial.device:<7} {trial.precision:<9} {trial.steps_per_s:>8.2f} {trial.predictions_per_s:>13.2f} "
            f"{memory:>8}  {loss:>7} {gradients:>9} {logits:>7}"
        )
    return lines


def report_json(checks: list[Check], trials: list[Trial], flags: list[str] | None) -> dict[str, Any]:
    """Returns the report for a program."""
    return {
        "easytransfer_mtl": __version__,
        "healthy": is_healthy(checks),
        "checks": [asdict(check) for check in checks],
        "trials": [{**asdict(trial), "is_close": trial.is_close} for trial in trials],
        "flags": flags,
    }
