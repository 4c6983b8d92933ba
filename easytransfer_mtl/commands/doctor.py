"""Says what this machine can do, what is wrong with it or its packages, and which flags fit it."""

from pathlib import Path

from easytransfer_mtl.config.doctor_settings import DoctorSettings
from easytransfer_mtl.diagnosis.checks import FAULT
from easytransfer_mtl.diagnosis.gpus import find_hardware, gpu_check
from easytransfer_mtl.diagnosis.hardware import disk_check, hardware_checks
from easytransfer_mtl.diagnosis.packages import package_checks
from easytransfer_mtl.diagnosis.report import is_healthy, report_json, report_text
from easytransfer_mtl.diagnosis.trials import Measured, flags_for, measure, trial_checks
from easytransfer_mtl.files import check_outputs, write_json


def run(settings: DoctorSettings) -> int:
    """Checks, prints the report, and writes ``output``; returns 0 if nothing would break training, else 1."""
    if settings.output:
        check_outputs([settings.output], settings.named_files)
    checks = [*package_checks(), *hardware_checks()]
    hardware, measured = find_hardware(), Measured()
    # TensorFlow is not imported before everything that can be known without it is known, and found to be right.
    ready = settings.measure and all(check.status != FAULT for check in checks)
    checks.append(disk_check(Path(settings.model_dir)))
    if ready:
        measured = measure()
        checks += trial_checks(measured)
    checks.append(gpu_check(hardware, measured.tensorflow))
    flags = flags_for(measured) if measured.trials else None
    print(report_text(checks, measured.trials, flags))
    if settings.measure and not ready:
        print("TensorFlow was not tried: first mend what is named above.")
    if settings.output:
        write_json(settings.output, report_json(checks, measured.trials, flags))
        print(f"wrote {settings.output}")
    return 0 if is_healthy(checks) else 1
