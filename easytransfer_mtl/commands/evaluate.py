"""Scores every kept checkpoint of a run on the dev files and exports the best one, or scores an average of models."""

import dataclasses
import logging
from contextlib import nullcontext
from pathlib import Path

from easytransfer_mtl.config.predict_settings import EvaluateSettings
from easytransfer_mtl.data.manifest import manifest_path
from easytransfer_mtl.encoders.config_checks import most_tokens
from easytransfer_mtl.encoders.loading import load_config
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.evaluation.confusions import log_confusions
from easytransfer_mtl.evaluation.easytransfer_checkpoint import is_easytransfer_checkpoint
from easytransfer_mtl.evaluation.ensemble_scores import DevRows, read_dev_data, read_dev_texts, score_ensemble
from easytransfer_mtl.evaluation.evaluator import EvaluationOptions, build_model, evaluate_run, score_rows
from easytransfer_mtl.evaluation.inference import Inference
from easytransfer_mtl.evaluation.legacy import LegacyScore
from easytransfer_mtl.evaluation.member_weights import member_weights
from easytransfer_mtl.evaluation.metrics import best_of
from easytransfer_mtl.evaluation.model_class import ModelClass, model_class_of
from easytransfer_mtl.evaluation.model_scores import MODELS, model_files, models_text, write_model_scores
from easytransfer_mtl.evaluation.out_of_fold import score_out_of_fold
from easytransfer_mtl.evaluation.reports import (
    SUMMARIES,
    best_line,
    class_report_text,
    final_table,
    report_files,
    summary_text,
)
from easytransfer_mtl.evaluation.row_table import ROW_FILES, RowTexts
from easytransfer_mtl.evaluation.row_texts import find_texts
from easytransfer_mtl.evaluation.stored_models import StoredModel, check_alike, find_models, stored_model_at
from easytransfer_mtl.evaluation.weights import weights_at
from easytransfer_mtl.files import check_outputs, files_in
from easytransfer_mtl.models.multitask_model import MultiTaskModel
from easytransfer_mtl.runs.fold_data import held_out_rows
from easytransfer_mtl.runs.folder import RunFolder
from easytransfer_mtl.runs.lock import run_lock
from easytransfer_mtl.runs.task_data import TaskData, check_dev_data, check_segments, read_task_data
from easytransfer_mtl.tasks import CONTEST_TASKS, load_tasks


def run(settings: EvaluateSettings, model_class: type[MultiTaskModel] | None = None) -> int:
    """Evaluates and prints tables; returns the exit status."""
    chosen = model_class_of(settings, model_class)
    options = EvaluationOptions(
        batch_size=settings.eval_batch_size or settings.predict_batch_size,
        max_batches=settings.num_eval_steps,
        f1_labels=settings.f1_labels,
        legacy=settings.legacy_score,
        precision=settings.predict_precision,
    )
    if settings.swa_checkpoints and (settings.checkpoints or settings.eval_checkpoint_path):
        logging.warning("swa_checkpoints has no effect: only the checkpoints that are named are scored.")
    if settings.checkpoints:
        return _evaluate_models(settings, options, chosen)
    if settings.eval_checkpoint_path:
        return _evaluate_checkpoint(settings, options, chosen)
    folder = RunFolder(Path(settings.model_dir or ""))
    options = dataclasses.replace(options, swa_checkpoints=_swa_checkpoints(settings, folder))
    folder.read_tasks()  # raises before a folder that is not a run's is changed
    whole = options.max_batches is None  # a score of a part of the rows is only printed
    with run_lock(folder.path) if whole else nullcontext():
        data = _read_data(settings, folder, folder)
        if whole:
            _check_outputs(folder.path, settings, data)
        texts = _texts(settings, folder, data)
        evaluation = evaluate_run(build_model(folder, chosen), folder, data, options, texts=texts)
    scores = evaluation.scores[evaluation.best]
    print(summary_text(evaluation.scores))
    print("\n".join(class_report_text(score) for score in scores))
    print(best_line(evaluation.best))
    print(final_table(scores))
    if evaluation.best_folder:
        print(f"tables: {folder.path / 'evaluation'}\nbest model: {evaluation.best_folder}")
    else:
        print("only a part of the rows was scored (num_eval_steps): nothing was written or exported")
    if evaluation.legacy:
        best = best_of({weights: score.mean for weights, score in evaluation.legacy.items()})
        _print_legacy(str(best), evaluation.legacy[best])
    return 0


def _evaluate_checkpoint(settings: EvaluateSettings, options: EvaluationOptions, model_class: ModelClass) -> int:
    """Scores one checkpoint and writes nothing, so that its run can continue meanwhile; returns the exit status."""
    member = _checkpoint(settings)
    data = _read_data(settings, member.folder, member.run)
    inference = Inference(member.load(model_class), options.batch_size, options.precision)
    scores, legacy, _ = score_rows(inference, data, options, "evaluate")
    print("\n".join(class_report_text(score) for score in scores))
    print(final_table(scores))
    if legacy:
        _print_legacy(str(member.weights or member.name), legacy)
    return 0


def _checkpoint(settings: EvaluateSettings) -> StoredModel:
    """Returns the checkpoint to score; ``model_dir`` names the run's folder if the checkpoint lies elsewhere."""
    path = str(settings.eval_checkpoint_path)
    weights = weights_at(path)
    if settings.model_dir and not is_easytransfer_checkpoint(weights.prefix):
        return StoredModel(path, RunFolder(Path(settings.model_dir)), weights)
    return stored_model_at(path, load_tasks(settings.tasks_file) if settings.tasks_file else CONTEST_TASKS)


def _texts(settings: EvaluateSettings, run: RunFolder, data: list[TaskData]) -> dict[str, RowTexts]:
    """Returns ids and texts from the contest's files, if their folder is given.

    Raises:
        UserError: the files are not those that the rows were converted from, or the rows are those of a fold.
    """
    if not settings.data_dir:
        return {}
    if not _source(settings):
        raise UserError(
            f"--data_dir is the folder of the dev files' CSV, and {run.path} is scored on the fold that its training left "
            "out; leave it out, or give dev files (--predict_input_fp)."
        )
    return find_texts(data, settings.data_dir)


def _source(settings: EvaluateSettings) -> str | None:
    return settings.predict_input_fp or settings.eval_input_fp


def _inputs(settings: EvaluateSettings, data: list[TaskData]) -> list[Path]:
    read = [item.file.path for item in data]
    source = _source(settings)
    return [*([Path(source)] if source else []), *read, *map(manifest_path, read), *settings.named_files]


def _check_outputs(run: Path, settings: EvaluateSettings, data: list[TaskData]) -> None:
    names = [*report_files([item.task for item in data]), *ROW_FILES]
    tables = [run / "evaluation/best" / name for name in names]
    check_outputs([*(run / "evaluation" / name for name in SUMMARIES), *tables], _inputs(settings, data), [run / "best"])


def _swa_checkpoints(settings: EvaluateSettings, folder: RunFolder) -> int:
    """Returns the number of checkpoints to average: the one given, else that of the run's training."""
    if settings.swa_checkpoints is None:
        return folder.written_settings().get("swa_checkpoints", 0)
    if settings.swa_checkpoints == 1:
        raise UserError("swa_checkpoints is 1; a mean needs 2 or more, and 0 is off.")
    return settings.swa_checkpoints


def _read_data(settings: EvaluateSettings, folder: RunFolder, run: RunFolder) -> list[TaskData]:
    """Returns the rows to score a model on: those of the dev files or, without dev files, of the fold its run left out."""
    tasks, inputs = folder.read_tasks()
    files, source = folder.encoder_files, _source(settings)
    vocabulary, positions = files.vocabulary, most_tokens(load_config(files).to_dict())

    def read(path: str) -> list[TaskData]:
        return read_task_data(path, tasks, vocabulary, files.vocabulary_file, positions)

    data = read(source) if source else held_out_rows(run, read)
    check_dev_data(data, inputs)
    check_segments(data, folder.read_architecture())
    return data


def _evaluate_models(settings: EvaluateSettings, options: EvaluationOptions, model_class: ModelClass) -> int:
    """Scores models and their average on dev files, or each fold's model on its own rows; returns the exit status."""
    tasks = load_tasks(settings.tasks_file) if settings.tasks_file else CONTEST_TASKS
    members = find_models(str(settings.checkpoints), tasks)
    output, source = Path(settings.output_dir or ""), _source(settings)
    outputs = [output / name for name in (*MODELS, *report_files(check_alike(members)), *model_files(len(members)))]
    check_outputs(outputs, [])  # before the data is read, which takes time
    weights = member_weights(settings.checkpoint_weights, members, "--checkpoint_weights")
    data: list[DevRows] = []
    if settings.data_dir:
        data = read_dev_texts(settings.data_dir, members, settings.header)
    elif source:
        data = read_dev_data(source, members)
    read = [*([Path(source)] if source else []), *settings.named_files, *(path for item in data for path in item.files)]
    check_outputs(outputs, [*read, *(path for member in members for path in files_in(member.folder.path))])
    if data:
        scores = score_ensemble(members, data, options, model_class, weights)
    else:
        scores = score_out_of_fold(members, options, model_class)
    write_model_scores(output, scores)
    log_confusions(scores.together)
    print(models_text(scores))
    print("\n".join(class_report_text(score) for score in scores.together))
    print(final_table(scores.together))
    print(f"tables: {output}")
    return 0


def _print_legacy(name: str, score: LegacyScore) -> None:
    print(f"the original would have printed: best ckpt {name}, best best_macro_f1 {score.mean}")
    if score.misplaced:
        print(
            f"({score.misplaced} rows of it scored as another task's, because the dev files have unequal numbers of batches)"
        )
