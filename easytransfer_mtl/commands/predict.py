"""Writes labels and probabilities for unlabelled files, one CSV per task."""

from pathlib import Path

from easytransfer_mtl.commands.unlabelled import test_files
from easytransfer_mtl.config.predict_settings import PredictSettings
from easytransfer_mtl.evaluation.ensemble import ensemble_of
from easytransfer_mtl.evaluation.prediction import Prediction
from easytransfer_mtl.evaluation.tables import csv_text
from easytransfer_mtl.files import check_outputs, write_text
from easytransfer_mtl.models.multitask_model import MultiTaskModel


def run(settings: PredictSettings, model_class: type[MultiTaskModel] | None = None) -> int:
    """Predicts, and prints a line per file; returns the exit status."""
    ensemble = ensemble_of(settings, model_class)
    files = test_files(settings, ensemble.tasks)
    outputs = {name: Path(settings.predict_output_fp) / f"{name.lower()}_predictions.csv" for name in files}
    check_outputs(outputs.values(), [*files.values(), *ensemble.files, *settings.named_files])
    for name, prediction in ensemble.predict_files(files, settings.header).items():
        write_text(outputs[name], _table(prediction))
        print(f"{name}: {files[name]} -> {outputs[name]}: {len(prediction.ids)} rows")
    return 0


def _table(prediction: Prediction) -> str:
    header = ["id", "label", *(f"probability_{label}" for label in prediction.task.label_enumerate_values)]
    rows = zip(prediction.ids, prediction.labels, prediction.probabilities)
    return csv_text([header, *([row_id, label, *(f"{value:.6f}" for value in values)] for row_id, label, values in rows)])
