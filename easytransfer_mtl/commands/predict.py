"""Labels and probabilities of unlabelled files, as one CSV a task."""

import csv
import io
from pathlib import Path

from easytransfer_mtl.commands.unlabelled import test_files
from easytransfer_mtl.config.settings import PredictSettings
from easytransfer_mtl.evaluation.prediction import Prediction, Predictor
from easytransfer_mtl.files import write_text
from easytransfer_mtl.models.multitask_model import MultiTaskModel


def run(settings: PredictSettings, model_class: type[MultiTaskModel] = MultiTaskModel) -> int:
    """Predicts and prints a line a file; returns the exit status."""
    predictor = Predictor(
        settings.predict_checkpoint_path, settings.predict_batch_size, model_class, settings.predict_precision
    )
    files = test_files(settings, predictor.tasks)
    predictions = {name: predictor.predict_file(name, path, settings.header) for name, path in files.items()}
    for name, prediction in predictions.items():
        output = Path(settings.predict_output_fp) / f"{name.lower()}_predictions.csv"
        write_text(output, _table(prediction))
        print(f"{name}: {files[name]} -> {output}: {len(prediction.ids)} rows")
    return 0


def _table(prediction: Prediction) -> str:
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["id", "label", *(f"probability_{label}" for label in prediction.task.label_enumerate_values)])
    for row_id, label, values in zip(prediction.ids, prediction.labels, prediction.probabilities):
        writer.writerow([row_id, label, *(f"{value:.6f}" for value in values)])
    return stream.getvalue()
