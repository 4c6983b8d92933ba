"""GradDrop: of the tasks' signs at each element of the gradient, one is drawn, and gradients of the other are dropped."""

import tensorflow as tf

from easytransfer_mtl.config.options import by_task
from easytransfer_mtl.config.train_settings import WeightingSettings
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.seeding import stream_seed
from easytransfer_mtl.weighting.base import RunFacts, Signals
from easytransfer_mtl.weighting.elements import Combination, ElementWeighting


class GradDrop(ElementWeighting):
    """Chen et al., "Just pick a sign: optimizing deep multitask models with gradient sign dropout", NeurIPS 2020.

    For each element of the shared variables' gradients, P = (1 + sum_i g_i / sum_i |g_i|) / 2 is the purity of the positive
    sign (algorithm 1). With a uniform U from [0, 1) the positive g_i are kept if P > U, else the negative ones; what is kept
    is added up. Where all tasks agree nothing is dropped. The expected step is that of ``equal``, without leaks: kept signs
    are rarer, the fewer gradients have them, but kept whole.

    Options: ``leaks`` l, 0 to 1 by task (0): the task's gradient is multiplied by l instead of 0 where its sign is dropped.
    The random numbers depend only on the ``seed``, the step and the variable.

    The log's weight of a task is the share of its squared gradient that was kept, 0 to 1. Heads and frozen layers get the
    plain sum, whatever ``scale_heads`` says, as in the paper.

    Pitfall: the sign is drawn for each element by itself, so the step is no combination of the tasks' gradients, and can
    raise every loss; Adam divides by the larger squares that dropping causes, which shortens steps. Differs from the paper
    in where it is applied: the paper draws signs at the activations that the tasks share, multiplied by the sign of the
    activation and added up over the batch; here, as in TorchJD, at the parameters' gradients of each task's whole batch,
    since tasks have rows of their own. Differs from public code, LibMTL's for instance, in adding nothing to sum_i |g_i|: in
    theirs small gradients have a purity near 1/2 even if all tasks agree.

    P is exact to 1e-6 for gradients from 1e-30 to 1e30.
    """

    weighs_losses = False
    starving_cure = "raise its --graddrop_leaks, or choose another method"

    def __init__(self, num_tasks: int, leaks: list[float] | None = None, seed: int = 0) -> None:
        """Raises UserError if a leak is not from 0 to 1."""
        leaks = leaks or [0.0] * num_tasks
        if not all(0 <= leak <= 1 for leak in leaks):
            raise UserError(f"graddrop: leaks {', '.join(map(str, leaks))} must be from 0 to 1.")
        super().__init__(num_tasks, "graddrop")
        self._leaks = tf.constant(leaks, tf.float32)
        self._seed = seed

    @classmethod
    def make(cls, settings: WeightingSettings, run: RunFacts) -> "GradDrop":
        """Builds the weighting from a run's settings."""
        leaks = list(by_task(settings, "graddrop_leaks", run.task_names).values())
        return cls(run.num_tasks, leaks, run.seed)

    def combine(self, signals: Signals) -> Combination:
        """Returns the sums of what is kept, and the kept shares."""
        found = [
            sign_dropped(gradients, self.uniforms(place, gradients.shape[1:], signals.step), self._leaks)
            for place, gradients in enumerate(signals.gradients)
        ]
        kept, whole = (tf.add_n(list(squares)) for squares in list(zip(*found))[1:])
        shares = tf.where(whole > 0, kept / whole, 1.0)
        return Combination([combined for combined, _, _ in found], tf.cast(shares, tf.float32))

    def uniforms(self, place: int, shape: tf.TensorShape, step: tf.Tensor) -> tf.Tensor:
        """Returns the random numbers from [0, 1) of a step for the variable at a place, float32 of its shape."""
        stream = stream_seed(self._seed, "graddrop", place)
        return tf.random.stateless_uniform(shape, tf.stack([tf.constant(stream, tf.int64), tf.cast(step, tf.int64)]))


@tf.function(jit_compile=True, autograph=False)
def sign_dropped(gradients: tf.Tensor, uniforms: tf.Tensor, leaks: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Returns the sum of the kept gradients [*shape], and the squared lengths of what is kept and of all, float64 [K] each.

    Args:
        gradients: [K, *shape].
        uniforms: [*shape], from 0 to below 1.
        leaks: [K].
    """
    tasks = tf.unstack(gradients)
    purity = 0.5 * (1.0 + tf.math.divide_no_nan(sum(tasks), sum(tf.abs(task) for task in tasks)))
    positive, total, kept, whole = purity > uniforms, tf.zeros_like(uniforms), [], []
    for index, task in enumerate(tasks):
        part = tf.where(tf.equal(task > 0, positive), task, leaks[index] * task)
        total += part
        flat, length = (tf.reshape(tf.cast(each, tf.float64), [-1]) for each in (part, task))
        kept.append(tf.reduce_sum(flat * length))
        whole.append(tf.reduce_sum(length * length))
    return total, tf.stack(kept), tf.stack(whole)
