"""The contest's submission: three JSON-lines files, result.zip, and its check."""

from pathlib import Path

from easytransfer_mtl.commands.unlabelled import test_files
from easytransfer_mtl.config.settings import SubmitSettings
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.evaluation.prediction import Predictor
from easytransfer_mtl.models.multitask_model import MultiTaskModel
from easytransfer_mtl.submission.checker import check_submission, report_text
from easytransfer_mtl.submission.writer import package, write_predictions


def run(settings: SubmitSettings, model_class: type[MultiTaskModel] = MultiTaskModel) -> int:
    """Predicts, writes, packs and checks; returns 0 if the check found no error, else 1."""
    predictor = Predictor(
        settings.predict_checkpoint_path, settings.predict_batch_size, model_class, settings.predict_precision
    )
    files = test_files(settings, predictor.tasks)
    missing = [task.name for task in predictor.tasks if task.name not in files]
    if missing:
        raise UserError(f"A submission needs every task; no test file was given for {', '.join(missing)}.")
    folder = Path(settings.predict_output_fp)
    predictions = [predictor.predict_file(task.name, files[task.name], settings.header) for task in predictor.tasks]
    for task, prediction in zip(predictor.tasks, predictions):
        write_predictions(folder / task.submission_file, prediction.ids, prediction.labels)
        print(f"{task.name}: {files[task.name]} -> {folder / task.submission_file}: {len(prediction.ids)} rows")
    result = package(folder, predictor.tasks)
    report = check_submission(result, predictor.tasks, files, settings.header)
    print(report_text(report))
    print(f"submission: {result}")
    return 0 if report.ok else 1
