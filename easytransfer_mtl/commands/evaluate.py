"""Scores every kept checkpoint of a run on the dev files and exports the best, or scores an average of models."""

import dataclasses
import logging
from contextlib import nullcontext
from pathlib import Path

from easytransfer_mtl.config.settings import EvaluateSettings
from easytransfer_mtl.encoders.config_checks import most_tokens
from easytransfer_mtl.encoders.loading import load_config
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.evaluation.candidates import Candidate
from easytransfer_mtl.evaluation.ensemble_scores import read_dev_data, score_ensemble
from easytransfer_mtl.evaluation.evaluator import build_model, evaluate_run, score_rows
from easytransfer_mtl.evaluation.inference import Inference
from easytransfer_mtl.evaluation.legacy import LegacyScore
from easytransfer_mtl.evaluation.members import find_members
from easytransfer_mtl.evaluation.metrics import best_of
from easytransfer_mtl.evaluation.model_scores import models_text, write_model_scores
from easytransfer_mtl.evaluation.options import EvaluationOptions
from easytransfer_mtl.evaluation.out_of_fold import score_out_of_fold
from easytransfer_mtl.evaluation.prefixes import parse_prefix
from easytransfer_mtl.evaluation.reports import class_report_text, final_table, summary_text
from easytransfer_mtl.files import check_output_folder
from easytransfer_mtl.models.multitask_model import MultiTaskModel
from easytransfer_mtl.training.fold_data import held_out_rows
from easytransfer_mtl.training.run_folder import RunFolder
from easytransfer_mtl.training.run_lock import run_lock
from easytransfer_mtl.training.task_data import TaskData, check_dev_data, read_task_data


def run(settings: EvaluateSettings, model_class: type[MultiTaskModel] = MultiTaskModel) -> int:
    """Evaluates and prints tables; returns the exit status."""
    options = EvaluationOptions(
        batch_size=settings.eval_batch_size or settings.predict_batch_size,
        max_batches=settings.num_eval_steps,
        f1_labels=settings.f1_labels,
        legacy=settings.legacy_score,
        precision=settings.predict_precision,
    )
    if settings.swa_checkpoints and (settings.checkpoints or settings.eval_checkpoint_path):
        logging.warning("swa_checkpoints has no effect: only the checkpoints that are named are scored.")
    source = settings.predict_input_fp or settings.eval_input_fp
    if settings.checkpoints:
        return _evaluate_models(settings.checkpoints, source, Path(settings.output_dir or ""), options, model_class)
    folder = RunFolder(Path(settings.model_dir or ""))
    options = dataclasses.replace(options, swa_checkpoints=_swa_checkpoints(settings, folder))
    folder.read_tasks()  # a folder that is no run's is left alone
    if settings.eval_checkpoint_path:
        return _evaluate_checkpoint(settings.eval_checkpoint_path, folder, source, options, model_class)
    with run_lock(folder.path) if options.max_batches is None else nullcontext():
        evaluation = evaluate_run(*_model_folder_data(folder, source, model_class), options)
    best = evaluation.scores[evaluation.best]
    print(summary_text(evaluation.scores))
    print("\n".join(class_report_text(score) for score in best))
    print(f"best checkpoint: {evaluation.best}")
    print(final_table(best))
    if evaluation.best_folder:
        print(f"tables: {folder.path / 'evaluation'}\nbest model: {evaluation.best_folder}")
    else:
        print("only a part of the rows was scored (num_eval_steps): nothing was written or exported")
    _print_legacy(evaluation.legacy)
    return 0


def _evaluate_checkpoint(
    prefix: str, folder: RunFolder, source: str | None, options: EvaluationOptions, model_class: type[MultiTaskModel]
) -> int:
    """Scores one checkpoint and writes nothing, so that the run may go on meanwhile; returns the exit status."""
    model, _, data = _model_folder_data(folder, source, model_class)
    parse_prefix(prefix).restore(model)
    scores, legacy = score_rows(Inference(model, options.batch_size, options.precision), data, options, "evaluate")
    print("\n".join(class_report_text(score) for score in scores))
    print(final_table(scores))
    _print_legacy({Candidate(0): legacy} if legacy else {})
    return 0


def _swa_checkpoints(settings: EvaluateSettings, folder: RunFolder) -> int:
    """Returns of how many checkpoints to score the mean: what is asked for, else what the run was trained with."""
    if settings.swa_checkpoints is None:
        return folder.written_settings().get("swa_checkpoints", 0)
    if settings.swa_checkpoints == 1:
        raise UserError("swa_checkpoints is 1; a mean needs 2 or more, and 0 is off.")
    return settings.swa_checkpoints


def _model_folder_data(
    folder: RunFolder, source: str | None, model_class: type[MultiTaskModel]
) -> tuple[MultiTaskModel, RunFolder, list[TaskData]]:
    """Returns a run's model, the run, and the rows to score it on: the dev files', or else those of its own fold."""
    tasks, inputs = folder.read_tasks()
    files = folder.encoder_files
    vocabulary, positions = files.vocabulary, most_tokens(load_config(files).to_dict())

    def read(path: str) -> list[TaskData]:
        return read_task_data(path, tasks, vocabulary, files.vocabulary_file, positions)

    data = read(source) if source else held_out_rows(folder, read)
    check_dev_data(data, inputs)
    return build_model(folder, model_class), folder, data


def _evaluate_models(
    checkpoints: str, source: str | None, output: Path, options: EvaluationOptions, model_class: type[MultiTaskModel]
) -> int:
    """Scores models and their average on dev files, or those of folds each on its own rows; returns the exit status."""
    members = find_members(checkpoints)
    check_output_folder(output)
    if source:
        scores = score_ensemble(members, read_dev_data(source, members), options, model_class)
    else:
        scores = score_out_of_fold(members, options, model_class)
    write_model_scores(output, scores)
    print(models_text(scores))
    print("\n".join(class_report_text(score) for score in scores.together))
    print(final_table(scores.together))
    print(f"tables: {output}")
    return 0


def _print_legacy(legacy: dict[Candidate, LegacyScore]) -> None:
    """Prints what the original would have logged."""
    if legacy:
        best = best_of({candidate: score.mean for candidate, score in legacy.items()})
        misplaced = legacy[best].misplaced
        print(f"the original would have printed: best ckpt {best}, best best_macro_f1 {legacy[best].mean}")
        if misplaced:
            print(
                f"({misplaced} rows of it scored as another task's, because the dev files have unequal numbers of batches)"
            )
