"""Stops a training whose checkpoints no longer get better on the dev files."""

import logging
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import tf_keras

from easytransfer_mtl.evaluation.evaluator import score_rows, score_text
from easytransfer_mtl.evaluation.inference import Inference
from easytransfer_mtl.evaluation.kept_scores import KeptScores
from easytransfer_mtl.evaluation.metrics import TaskScore
from easytransfer_mtl.evaluation.options import EvaluationOptions
from easytransfer_mtl.evaluation.weights import Weights
from easytransfer_mtl.models.multitask_model import MultiTaskModel
from easytransfer_mtl.runs.step_plan import StepPlan
from easytransfer_mtl.runs.task_data import TaskData


@dataclass(frozen=True)
class Standing:
    """What the scores so far come to.

    Attributes:
        last: step that was scored last; None before the first.
        best: step with the highest mean, the first one of equals: patience runs from there, or scores that stay the same
            would never end a run. What is exported is the last one of equals, as in the original (``metrics.best_of``).
        best_mean: its mean.
        since: evaluations after it.
    """

    last: int | None = None
    best: int | None = None
    best_mean: float = float("-inf")
    since: int = 0


def standing_of(means: Mapping[int, float]) -> Standing:
    """Returns what step -> mean score comes to; only a mean above all before it counts as better."""
    standing = Standing()
    for step, mean in sorted(means.items()):
        if mean > standing.best_mean:
            standing = Standing(step, step, mean)
        else:
            standing = replace(standing, last=step, since=standing.since + 1)
    return standing


class EarlyStopping(tf_keras.callbacks.Callback):
    """Scores the model before each of its checkpoints, its moving averages too, and ends training when patience is over.

    Its state is nothing but the scores, which the run's folder keeps, so that a run that goes on stops where it would have
    stopped.
    """

    def __init__(
        self, folder: Path, data: list[TaskData], options: EvaluationOptions, patience: int, plan: StepPlan, step: int
    ) -> None:
        """Takes the run's folder, dev files, how to score, evaluations to wait, plan, and the step it goes on from.

        Raises:
            UserError: the file of the scores is damaged.
        """
        super().__init__()
        self.data, self.options, self.patience, self.plan = data, options, patience, plan
        self.folder = folder
        self.kept = KeptScores(folder, data, options.precision, step)
        self._inference: Inference | None = None

    @property
    def scores(self) -> Mapping[Weights, list[TaskScore]]:
        """All that was scored."""
        return self.kept.scores

    def ending(self) -> str | None:
        """Returns what is to say of a run that is stopped before its end, or None of any other."""
        standing = standing_of(self.kept.best_of_steps())
        if standing.since < self.patience or standing.last == self.plan.train_steps:
            return None
        return (
            f"stopped early at step {standing.last} of {self.plan.train_steps}: no mean score above that of step "
            f"{standing.best} ({standing.best_mean:.4f}) in {standing.since} evaluations"
        )

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Scores when a checkpoint is due, and decides."""
        step = int(self.model.optimizer.iterations.numpy())
        if not self.plan.saves_after(step):
            return
        self._score(self.model, Weights.of_step(self.folder, step))
        if self.model.averages:
            self._score(self.model, Weights.of_step(self.folder, step, is_ema=True))
        ending = self.ending()
        if ending:
            logging.info("%s.", ending.capitalize())
            self.model.stop_training = True

    def _score(self, model: MultiTaskModel, weights: Weights) -> None:
        if self._inference is None:
            self._inference = Inference(model, self.options.batch_size, self.options.precision)
        with model.averages.in_place() if weights.is_ema else nullcontext():
            scores, _ = score_rows(self._inference, self.data, self.options, weights.label)
        self.kept.add(weights, scores)
        logging.info("%s: %s", weights.label, score_text(scores))
