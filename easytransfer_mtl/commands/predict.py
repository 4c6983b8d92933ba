"""Labels and probabilities of unlabelled files, as one CSV a task."""

import csv
import io
from pathlib import Path

from easytransfer_mtl.config.settings import CheckSubmissionSettings, PredictSettings
from easytransfer_mtl.data.contest_files import find_test_files, parse_task_paths
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.evaluation.prediction import Prediction, Predictor
from easytransfer_mtl.files import write_text
from easytransfer_mtl.tasks import Task

SETTINGS = PredictSettings


def run(settings: PredictSettings) -> int:
    """Predicts and prints a line a file; returns the exit status."""
    predictor = Predictor(settings.predict_checkpoint_path, settings.predict_batch_size)
    for name, path in test_files(settings, predictor.tasks).items():
        prediction = predictor.predict_file(name, path, settings.header)
        output = Path(settings.predict_output_fp) / f"{name.lower()}_predictions.csv"
        write_text(output, _table(prediction))
        print(f"{name}: {path} -> {output}: {len(prediction.ids)} rows")
    return 0


def test_files(settings: PredictSettings | CheckSubmissionSettings, tasks: tuple[Task, ...]) -> dict[str, Path]:
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
    missing = [str(path) for path in found.values() if not path.is_file()]
    if missing:
        raise UserError(f"These files do not exist: {', '.join(missing)}.")
    return found


def _table(prediction: Prediction) -> str:
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["id", "label", *(f"probability_{label}" for label in prediction.task.label_enumerate_values)])
    for row_id, label, values in zip(prediction.ids, prediction.labels, prediction.probabilities):
        writer.writerow([row_id, label, *(f"{value:.6f}" for value in values)])
    return stream.getvalue()
