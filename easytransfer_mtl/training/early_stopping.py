"""Early stopping: ends training when the checkpoints' scores on the dev files no longer improve."""

import logging
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import tf_keras

from easytransfer_mtl.evaluation.evaluator import EvaluationOptions, score_rows, score_text
from easytransfer_mtl.evaluation.inference import Inference
from easytransfer_mtl.evaluation.kept_scores import KeptScores
from easytransfer_mtl.evaluation.metrics import TaskScore
from easytransfer_mtl.evaluation.weights import Weights
from easytransfer_mtl.models.multitask_model import MultiTaskModel
from easytransfer_mtl.runs.step_plan import StepPlan
from easytransfer_mtl.runs.task_data import TaskData
from easytransfer_mtl.training.averages import WeightAverages


@dataclass(frozen=True)
class Standing:
    """Summary of the scores so far.

    Attributes:
        last: last scored step; None before the first.
        best: step with the highest mean score, the first one among equals: patience counts from there, since otherwise
            constant scores would never end a run. The exported checkpoint is the last one among equals, as in EasyTransfer
            (``metrics.best_of``).
        best_mean: mean score of ``best``.
        since: number of evaluations after ``best``.
    """

    last: int | None = None
    best: int | None = None
    best_mean: float = float("-inf")
    since: int = 0


def standing_of(means: Mapping[int, float]) -> Standing:
    """Returns the summary of step -> mean score; only a mean above all earlier ones counts as an improvement."""
    standing = Standing()
    for step, mean in sorted(means.items()):
        if mean > standing.best_mean:
            standing = Standing(step, step, mean)
        else:
            standing = replace(standing, last=step, since=standing.since + 1)
    return standing


class EarlyStopping(tf_keras.callbacks.Callback):
    """Scores the model and its moving averages before each checkpoint, and ends training when patience is exhausted.

    Its only state is the scores, which are kept in the run's folder, so that a resumed run stops at the same step as an
    uninterrupted one.
    """

    def __init__(
        self,
        folder: Path,
        data: list[TaskData],
        options: EvaluationOptions,
        patience: int,
        plan: StepPlan,
        averages: WeightAverages | None,
        step: int,
    ) -> None:
        """Reads the scores that the run's folder already has.

        Args:
            folder: the run's folder.
            data: the dev rows.
            options: how to score.
            patience: number of evaluations without improvement after which training ends.
            plan: the run's steps.
            averages: moving averages of the weights, or None.
            step: the step at which training starts.

        Raises:
            UserError: the file of the scores is damaged.
        """
        super().__init__()
        self.data, self.options, self.patience, self.plan = data, options, patience, plan
        self.folder, self.averages = folder, averages
        self.kept = KeptScores(folder, data, options.precision, step)
        self._inference: Inference | None = None

    @property
    def scores(self) -> Mapping[Weights, list[TaskScore]]:
        """All scores so far."""
        return self.kept.scores

    def ending(self) -> str | None:
        """Returns a message if the run is to stop before its last step, else None."""
        standing = standing_of(self.kept.best_of_steps())
        if standing.since < self.patience or standing.last == self.plan.train_steps:
            return None
        return (
            f"stopped early at step {standing.last} of {self.plan.train_steps}: no mean score above that of step "
            f"{standing.best} ({standing.best_mean:.4f}) in {standing.since} evaluations"
        )

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Scores the model if a checkpoint is due, and stops training if patience is exhausted."""
        step = int(self.model.optimizer.iterations.numpy())
        if not self.plan.saves_after(step):
            return
        self._score(self.model, Weights.of_step(self.folder, step))
        if self.averages:
            self._score(self.model, Weights.of_step(self.folder, step, is_ema=True))
        ending = self.ending()
        if ending:
            logging.info("%s.", ending.capitalize())
            self.model.stop_training = True

    def _score(self, model: MultiTaskModel, weights: Weights) -> None:
        if self._inference is None:
            self._inference = Inference(model, self.options.batch_size, self.options.precision)
        with self.averages.in_place() if self.averages and weights.is_ema else nullcontext():
            scored = score_rows(self._inference, self.data, self.options, weights.label)
        self.kept.add(weights, scored.scores, scored.outputs)
        logging.info("%s: %s", weights.label, score_text(scored.scores))
