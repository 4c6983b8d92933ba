"""Checks the contest's files before they are used."""

from pathlib import Path

from easytransfer_mtl.config.data_settings import CheckDataSettings
from easytransfer_mtl.data.contest_files import list_files
from easytransfer_mtl.data.learned_labels import with_labels
from easytransfer_mtl.files import check_outputs, write_json
from easytransfer_mtl.inspection.data_check import check_data
from easytransfer_mtl.tasks import CONTEST_TASKS, load_tasks


def run(settings: CheckDataSettings) -> int:
    """Checks the files and prints the findings; returns 0 if there is no error, else 1."""
    tasks = load_tasks(settings.tasks_file) if settings.tasks_file else CONTEST_TASKS
    tasks = with_labels(tasks, settings.data_dir, settings.header)
    if settings.json:
        files, _ = list_files(settings.data_dir, tasks)
        check_outputs([settings.json], [*(file.path for file in files), *settings.named_files])
    report = check_data(settings.data_dir, tasks, settings.header, settings.sequence_length)
    if settings.json:
        write_json(Path(settings.json), report.to_json())
    print(report.text(), end="")
    return 0 if report.ok else 1
