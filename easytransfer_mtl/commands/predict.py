"""Writes labels and probabilities for files without labels, a file a task, or from the standard input to the output."""

import contextlib
import csv
import json
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from easytransfer_mtl.commands.unlabelled import STANDARD, test_files
from easytransfer_mtl.config.predict_settings import PredictSettings
from easytransfer_mtl.data.text_files import TextFile
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.evaluation.ensemble import ensemble_of
from easytransfer_mtl.evaluation.inference import HeadOutput
from easytransfer_mtl.evaluation.loaded_model import Result
from easytransfer_mtl.files import check_outputs, replacing
from easytransfer_mtl.models.multitask_model import MultiTaskModel
from easytransfer_mtl.tasks import SCORE, TAGS, ascii_name, task_named

DECIMALS = 6


def run(settings: PredictSettings, model_class: type[MultiTaskModel] | None = None) -> int:
    """Predicts, and prints a line per file unless the rows go to the standard output; returns the exit status."""
    ensemble = ensemble_of(settings, model_class)
    paths = test_files(settings, ensemble.tasks)
    folder = Path(settings.predict_output_fp)
    to_standard = folder == STANDARD
    if to_standard and len(paths) > 1:
        raise UserError(f"The standard output takes the rows of one task, and there are files of {', '.join(paths)}.")
    if sum(path == STANDARD for path in paths.values()) > 1:
        raise UserError("--predict_input_fp: the standard input (-) can be the file of one task only.")
    outputs = {name: folder / f"{ascii_name(name).lower()}_predictions.{settings.output_format}" for name in paths}
    if not to_standard:
        read = [path for path in paths.values() if path != STANDARD]
        check_outputs(outputs.values(), [*read, *ensemble.files, *settings.named_files])
    with contextlib.ExitStack() as stack:
        files = {}
        for name, path in paths.items():
            place = stack.enter_context(_kept_input()) if path == STANDARD else path
            files[name] = TextFile(place, task_named(name, ensemble.tasks), settings.input_format, settings.header)
        found = ensemble.outputs(files)
        for name, file in files.items():
            if to_standard:
                _write(sys.stdout, file, found[name], settings.output_format)
                continue
            with replacing(outputs[name]) as temporary, open(temporary, "w", encoding="utf-8", newline="") as stream:
                _write(stream, file, found[name], settings.output_format)
            print(f"{name}: {paths[name]} -> {outputs[name]}: {len(found[name].predictions)} rows")
    return 0


@contextlib.contextmanager
def _kept_input() -> Iterator[Path]:
    """Yields a file with all of the standard input, which is read once for the check and once for each model."""
    with tempfile.TemporaryDirectory(prefix="predict_") as folder:
        path = Path(folder) / "standard_input"
        with open(path, "wb") as stream:
            shutil.copyfileobj(sys.stdin.buffer, stream)
        yield path


def _write(stream: TextIO, file: TextFile, output: HeadOutput, form: str) -> None:
    task = file.task
    table = csv.writer(stream, lineterminator="\n")
    if form == "csv":
        columns = [f"probability_{label}" for label in task.label_enumerate_values]
        names = ["label_name"] if task.label_names else []
        one = {SCORE: "number", TAGS: "tags"}.get(task.type)
        table.writerow(["id", one] if one else ["id", "label", *columns, *names])
    for row, values in zip(file.rows(), output.probabilities, strict=True):
        text = row.texts[0] if task.type == TAGS else ""
        found = Result(task, values, row.row_id, text).to_json(DECIMALS)
        if form == "jsonl":
            stream.write(json.dumps(found, ensure_ascii=False) + "\n")
        elif task.type == TAGS:
            table.writerow([row.row_id, " ".join(found["tags"])])
        elif task.type == SCORE:
            table.writerow([row.row_id, found["number"]])
        else:
            names = [found["label_name"]] if task.label_names else []
            table.writerow([row.row_id, found["label"], *(f"{value:.{DECIMALS}f}" for value in values), *names])
