"""Writes and checks the contest's submission: three JSON-lines files and result.zip."""

from pathlib import Path

from easytransfer_mtl.commands.unlabelled import test_files
from easytransfer_mtl.config.predict_settings import SubmitSettings
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.evaluation.ensemble import ensemble_of
from easytransfer_mtl.files import check_outputs
from easytransfer_mtl.models.multitask_model import MultiTaskModel
from easytransfer_mtl.submission.checker import check_submission, report_text
from easytransfer_mtl.submission.writer import RESULT_NAME, package, write_predictions
from easytransfer_mtl.tasks import require_one_label


def run(settings: SubmitSettings, model_class: type[MultiTaskModel] | None = None) -> int:
    """Predicts, writes, packs and checks the submission; returns 0 if the check found no error, else 1."""
    ensemble = ensemble_of(settings, model_class)
    require_one_label(ensemble.tasks, "submit")
    files = test_files(settings, ensemble.tasks)
    missing = [task.name for task in ensemble.tasks if task.name not in files]
    if missing:
        raise UserError(f"A submission needs every task; no test file was given for {', '.join(missing)}.")
    folder = Path(settings.predict_output_fp)
    outputs = [folder / name for name in (*(task.submission_file for task in ensemble.tasks), RESULT_NAME)]
    check_outputs(outputs, [*files.values(), *ensemble.files, *settings.named_files])
    predictions = ensemble.predict_files(files, settings.header)
    for task in ensemble.tasks:
        prediction = predictions[task.name]
        write_predictions(folder / task.submission_file, prediction.ids, prediction.labels)
        print(f"{task.name}: {files[task.name]} -> {folder / task.submission_file}: {len(prediction.ids)} rows")
    result = package(folder, ensemble.tasks)
    report = check_submission(result, ensemble.tasks, files, settings.header)
    print(report_text(report))
    print(f"submission: {result}")
    return 0 if report.ok else 1
