"""Models that are ready to be trained, step by step, and what a step takes."""

from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras

from easytransfer_mtl.config.train_settings import StepSettings, WeightingSettings
from easytransfer_mtl.data.encoded_rows import TEACHER
from easytransfer_mtl.models.multitask_model import MultiTaskModel
from easytransfer_mtl.tasks import CONTEST_TASKS
from easytransfer_mtl.training.distillation import Distillation
from easytransfer_mtl.training.step import Batch, TrainStep
from easytransfer_mtl.training.token_dropout import TokenDropout
from easytransfer_mtl.weighting import Equal, RunFacts, TaskWeighting, make_weighting

FGM: dict[str, Any] = {"adversarial": "fgm", "adversarial_epsilon": 0.7}
PGD: dict[str, Any] = {"adversarial": "pgd", "adversarial_steps": 2, "adversarial_alpha": 0.4, "adversarial_epsilon": 0.6}
"""Attacks as a step's settings name them."""
TEACHER_SIGNATURE = {TEACHER: tf.TensorSpec([None, None], tf.float32)}
"""What a batch with a teacher has more, for a task without tags."""


def compiled(
    model: MultiTaskModel,
    optimizer: tf_keras.optimizers.Optimizer,
    weighting: TaskWeighting | None = None,
    token_dropout: TokenDropout | None = None,
    distillation: Distillation | None = None,
    **settings: Any,
) -> TrainStep:
    """Gives a model an optimizer and a step with these settings, as a run does, and returns the step."""
    optimizer.build(model.trainable_variables)
    made = StepSettings(**settings)
    step = TrainStep(model, weighting or Equal(len(model.tasks)), optimizer, made, token_dropout, distillation)
    model.compile(optimizer, step)
    return step


def step_of(model: MultiTaskModel) -> TrainStep:
    """Returns the step that a model was compiled with."""
    assert isinstance(model._step, TrainStep)
    return model._step


def weighting_of(name: str, step_mode: str, steps_per_epoch: int) -> TaskWeighting:
    """Makes a method's weighting of the contest's tasks as a run does; weights of ``fixed`` differ from task to task."""
    more = {"task_weights": "TNEWS=2,OCEMOTION=0.5"} if name == "fixed" else {}
    names, num_labels = [task.name for task in CONTEST_TASKS], [task.num_labels for task in CONTEST_TASKS]
    settings = WeightingSettings(loss_weighting=name, step_mode=step_mode, **more)
    return make_weighting(settings, RunFacts(names, num_labels, steps_per_epoch, 5))


def batch_of(task: int, rows: int = 4, seed: int = 0, vocabulary: int = 20) -> Batch:
    """Makes a batch of rows of 6 tokens, whose ids are below ``vocabulary`` and come repeatedly."""
    ids = np.random.default_rng(10 * seed + task).integers(5, vocabulary, (rows, 6)).astype(np.int32)
    return {
        "input_ids": tf.constant(ids), "input_mask": tf.ones_like(ids), "segment_ids": tf.zeros_like(ids),
        "label_ids": tf.constant(np.arange(rows, dtype=np.int32) % 3), "task_id": tf.constant(task),
    }  # fmt: skip
