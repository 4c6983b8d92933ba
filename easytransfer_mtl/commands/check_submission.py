"""Checks a submission before it is sent."""

from easytransfer_mtl.commands.unlabelled import test_files
from easytransfer_mtl.config.predict_settings import CheckSubmissionSettings
from easytransfer_mtl.submission.checker import check_submission, report_text
from easytransfer_mtl.tasks import CONTEST_TASKS, load_tasks, require_labels, require_one_label


def run(settings: CheckSubmissionSettings) -> int:
    """Checks the submission and prints the findings; returns 0 if there is no error, else 1."""
    tasks = require_labels(load_tasks(settings.tasks_file)) if settings.tasks_file else CONTEST_TASKS
    require_one_label(tasks, "check_submission")
    files = test_files(settings, tasks) if settings.predict_input_fp or settings.data_dir else None
    report = check_submission(settings.submission, tasks, files, settings.header)
    print(report_text(report))
    return 0 if report.ok else 1
