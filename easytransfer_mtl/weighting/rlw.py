"""Random loss weighting: the test that a method should pass before it is believed."""

import tensorflow as tf

from easytransfer_mtl.seeding import stream_seed
from easytransfer_mtl.weighting.base import Signals, TaskWeighting


class RLW(TaskWeighting):
    """Lin et al., "Reasonable effectiveness of random weighting", TMLR 2022.

    w = K softmax(z), z drawn from N(0, I) anew every step. The weights are positive, sum to K and are 1 in the mean.

    Option: ``seed``. A step's draw depends on the seed and the step alone, so that a run resumes exactly.

    Trap: it is a litmus test, not a method to hope for; a method that does not beat it shows nothing. Departs from the
    authors' code in the scale: theirs sum to 1, a K times smaller step. With one task a step it is noise in the step's size.
    """

    def __init__(self, num_tasks: int, seed: int) -> None:
        super().__init__(num_tasks, "rlw")
        self._seed = stream_seed(seed, "random loss weighting")

    def weights(self, signals: Signals) -> tf.Tensor:
        """Returns the step's draw."""
        key = tf.stack([tf.constant(self._seed, tf.int64), tf.cast(signals.step, tf.int64)])
        return self.num_tasks * tf.nn.softmax(tf.random.stateless_normal([self.num_tasks], key))
