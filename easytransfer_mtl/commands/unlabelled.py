"""Finds the unlabelled files of a command; shared by predict, submit and check_submission."""

from pathlib import Path

from easytransfer_mtl.config.predict_settings import CheckSubmissionSettings, PredictingSettings
from easytransfer_mtl.data.contest_files import find_test_files, parse_task_paths
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.tasks import Task

STANDARD = Path("-")
"""Stands for the standard input, or output."""


def test_files(settings: PredictingSettings | CheckSubmissionSettings, tasks: tuple[Task, ...]) -> dict[str, Path]:
    """Returns task name -> unlabelled file, from ``predict_input_fp`` or ``data_dir``.

    Raises:
        UserError: neither is given, or a file is missing.
    """
    if settings.predict_input_fp:
        found = parse_task_paths(settings.predict_input_fp, tasks)
    elif settings.data_dir:
        found = find_test_files(settings.data_dir, settings.board, tasks)
    else:
        raise UserError("Which files? Give --predict_input_fp=TASK=FILE.csv,... or --data_dir (and --board).")
    missing = [str(path) for path in found.values() if not path.is_file() and path != STANDARD]
    if missing:
        raise UserError(f"These files do not exist: {', '.join(missing)}.")
    return found
