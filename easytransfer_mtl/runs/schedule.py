"""EasyTransfer's learning rate schedule: linear decay times linear warm-up."""

from typing import Any

import tensorflow as tf
import tf_keras


class WarmupDecay(tf_keras.optimizers.schedules.LearningRateSchedule):
    """lr(s) = lr0 (1 - min(s, T) / T) (s / W if s < W else 1), s the step before the update, T steps, W warm-up steps.

    Warm-up multiplies the already decayed rate, so lr0 is never reached if W >= 1, and the first step has rate 0. Computed
    in float32, with the same operations as in TF1.
    """

    def __init__(self, learning_rate: float, train_steps: int, warmup_steps: int, decay: bool = True) -> None:
        """Takes lr0, T, W, and whether the rate decays (EasyTransfer's ``lr_decay``)."""
        self.learning_rate = learning_rate
        self.train_steps = train_steps
        self.warmup_steps = warmup_steps
        self.decay = decay

    def __call__(self, step: tf.Tensor) -> tf.Tensor:
        """Returns the learning rate of a step, float32 []."""
        step = tf.cast(step, tf.float32)
        rate = tf.constant(self.learning_rate, tf.float32)
        if self.decay:
            steps = tf.constant(float(self.train_steps), tf.float32)
            rate = rate * (1.0 - tf.minimum(step, steps) / steps)
        if self.warmup_steps:
            warmup = tf.constant(float(self.warmup_steps), tf.float32)
            rate = tf.where(step < warmup, rate * (step / warmup), rate)
        return rate

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {
            "learning_rate": self.learning_rate,
            "train_steps": self.train_steps,
            "warmup_steps": self.warmup_steps,
            "decay": self.decay,
        }
