"""Scores every kept checkpoint of a run on the dev files and exports the best."""

from pathlib import Path

from easytransfer_mtl.config.settings import EvaluateSettings
from easytransfer_mtl.data.tokenization import load_vocabulary
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.evaluation.candidates import Candidate
from easytransfer_mtl.evaluation.evaluator import EvaluationOptions, build_model, evaluate_run, score_rows
from easytransfer_mtl.evaluation.inference import Inference
from easytransfer_mtl.evaluation.legacy import LegacyScore
from easytransfer_mtl.evaluation.metrics import best_of
from easytransfer_mtl.evaluation.reports import class_report_text, final_table, summary_text
from easytransfer_mtl.models.multitask_model import MultiTaskModel
from easytransfer_mtl.training.checkpoints import restore_model
from easytransfer_mtl.training.run_folder import RunFolder
from easytransfer_mtl.training.task_data import check_dev_data, read_task_data


def run(settings: EvaluateSettings, model_class: type[MultiTaskModel] = MultiTaskModel) -> int:
    """Evaluates and prints tables; returns the exit status."""
    folder = RunFolder(Path(settings.model_dir))
    tasks, inputs = folder.read_tasks()
    source = settings.predict_input_fp or settings.eval_input_fp
    if not source:
        raise UserError("evaluate needs --predict_input_fp: the dev files (*.list_tfrecord, or one TFRecord file).")
    files = folder.encoder_files
    vocabulary = load_vocabulary(files.vocabulary_file)
    model = build_model(folder, model_class)
    positions = model.encoder.config.max_position_embeddings
    data = read_task_data(source, tasks, vocabulary, files.vocabulary_file, positions)
    check_dev_data(data, inputs)
    options = EvaluationOptions(
        batch_size=settings.eval_batch_size or settings.predict_batch_size,
        max_batches=settings.num_eval_steps,
        f1_labels=settings.f1_labels,
        legacy=settings.legacy_score,
        precision=settings.predict_precision,
        swa_checkpoints=_swa_checkpoints(settings, folder),
    )
    if settings.eval_checkpoint_path:
        restore_model(model, Path(settings.eval_checkpoint_path))
        scores, legacy = score_rows(Inference(model, options.batch_size, options.precision), data, options, "evaluate")
        print("\n".join(class_report_text(score) for score in scores))
        print(final_table(scores))
        _print_legacy({Candidate(0): legacy} if legacy else {})
        return 0
    evaluation = evaluate_run(model, folder, data, options)
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


def _swa_checkpoints(settings: EvaluateSettings, folder: RunFolder) -> int:
    """Returns of how many checkpoints to score the mean: what is asked for, else what the run was trained with."""
    if settings.swa_checkpoints is None:
        return folder.written_settings().get("swa_checkpoints", 0)
    if settings.swa_checkpoints == 1:
        raise UserError("swa_checkpoints is 1; a mean needs 2 or more, and 0 is off.")
    return settings.swa_checkpoints


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
