"""Random loss weighting: the baseline that any other method should beat."""

import tensorflow as tf

from easytransfer_mtl.config.train_settings import WeightingSettings
from easytransfer_mtl.seeding import stream_seed
from easytransfer_mtl.weighting.base import RunFacts, Signals, TaskWeighting


class RLW(TaskWeighting):
    """Lin et al., "Reasonable effectiveness of random weighting", TMLR 2022.

    w = K softmax(z), z drawn from N(0, I) in every step. The weights are positive, sum to K and have mean 1.

    Option: ``seed``. A draw depends only on the seed and the step, so that a run resumes exactly.

    Pitfall: it is a litmus test, not a method to improve results; a method that does not beat it shows nothing. Differs from
    the authors' code in the scale: theirs sum to 1, a step smaller by the factor K. With one task per step it only adds
    noise to the step size.
    """

    def __init__(self, num_tasks: int, seed: int) -> None:
        super().__init__(num_tasks, "rlw")
        self._seed = stream_seed(seed, "random loss weighting")

    @classmethod
    def make(cls, settings: WeightingSettings, run: RunFacts) -> "RLW":
        """Builds the weighting from a run's settings."""
        return cls(run.num_tasks, run.seed)

    def weights(self, signals: Signals) -> tf.Tensor:
        """Returns the weights drawn for the step."""
        key = tf.stack([tf.constant(self._seed, tf.int64), tf.cast(signals.step, tf.int64)])
        return self.num_tasks * tf.nn.softmax(tf.random.stateless_normal([self.num_tasks], key))
