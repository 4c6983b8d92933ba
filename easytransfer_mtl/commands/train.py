"""Trains, then evaluates every kept checkpoint and exports the best, as EasyTransfer's baseline did."""

from dataclasses import replace

from easytransfer_mtl.config.train_settings import TrainSettings
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.evaluation.evaluator import evaluate_run
from easytransfer_mtl.evaluation.reports import best_line, final_table, summary_text
from easytransfer_mtl.models.multitask_model import MultiTaskModel
from easytransfer_mtl.runs.lock import run_lock
from easytransfer_mtl.training.trainer import evaluation_options, run_training


def run(settings: TrainSettings, model_class: type[MultiTaskModel] | None = None) -> int:
    """Trains and evaluates; returns the exit status.

    Args:
        settings: the configuration.
        model_class: a subclass of ``MultiTaskModel``; None for the class named in the settings.
    """
    if settings.mode and not settings.mode.startswith("train"):
        raise UserError(f"--mode={settings.mode} is not train's; use the command convert, evaluate or predict.")
    if settings.tables:
        tables = settings.tables.split(",")
        dev = tables[1] if tables[1:] else settings.predict_input_fp
        settings = replace(settings, train_input_fp=tables[0], predict_input_fp=dev)
    trained = run_training(settings, model_class)
    if not trained.is_chief:
        return 0
    if not trained.dev:
        print(f"trained: {trained.folder.path} (no predict_input_fp, so nothing was evaluated)")
        return 0
    known = trained.stopping.kept if trained.stopping else None
    with run_lock(trained.folder.path):
        evaluation = evaluate_run(trained.model, trained.folder, trained.dev, evaluation_options(settings), known)
    ending = trained.stopping.ending() if trained.stopping else None
    if ending:
        print(f"{ending}\n")
    print(summary_text(evaluation.scores))
    print(best_line(evaluation.best))
    print(final_table(evaluation.scores[evaluation.best]))
    print(f"best model: {evaluation.best_folder}")
    return 0
