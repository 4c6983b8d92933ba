"""Base class of the weightings that need gradients of several independent batches of every task."""

import weakref

import numpy as np
import tensorflow as tf

from easytransfer_mtl.weighting.base import Signals, TaskWeighting, state_variable


class IndependentWeighting(TaskWeighting):
    """Weights from the products of two independent batches' gradients. Undefined with one task per step.

    The product of gradients of one batch overestimates that of the mean gradients by the batch's noise; of two independent
    batches it does not. The batches are the parts of a step's batch (``num_accumulated_batches``). With ``num_batches`` 2
    the step is of the mean of both, with 3 of a third, which the weights do not depend on. ``gram_variables`` says whose
    gradients the products are of.

    Subclasses override ``moved``. Their state is a point of the simplex.

    Attributes:
        shares: float32 [K], the state, at first 1 / K.
    """

    num_batches = 2
    needs_joint_step = True
    may_be_zero = True

    def build(self, variables: list[tf.Variable]) -> None:
        """Makes the state."""
        self.shares = state_variable([1.0 / self.num_tasks] * self.num_tasks, "shares")

    def weights(self, signals: Signals) -> tf.Tensor:
        """Returns ``weights_of`` the moved state; NaN if a product is not finite."""
        return self.weights_of(self._moved(signals))

    @tf.autograph.experimental.do_not_convert
    def update(self, signals: Signals, losses_after: tf.Tensor | None = None) -> None:
        """Stores the moved state."""
        self.shares.assign(self._moved(signals))

    def weights_of(self, shares: tf.Tensor) -> tf.Tensor:
        """Returns the weights of a state, float32 [K]; by default K times as large."""
        return self.num_tasks * shares

    def moved(self, shares: np.ndarray, products: np.ndarray) -> np.ndarray:
        """Returns the state of a step from that of the step before, float64 [K].

        Args:
            shares: float64 [K].
            products: float64 [K, K], finite: row i has the products of task i's gradient of the first batch with the tasks'
                of the second.
        """
        raise NotImplementedError

    def _moved(self, signals: Signals) -> tf.Tensor:
        weighting = weakref.proxy(self)  # see GramWeighting.weights

        def of(shares: np.ndarray, products: np.ndarray) -> np.ndarray:
            if not np.isfinite(products).all():
                return np.full_like(shares, np.nan)
            return weighting.moved(shares.astype(np.float64), products).astype(np.float32)

        shares = tf.numpy_function(of, [tf.convert_to_tensor(self.shares), signals.products], tf.float32)
        return tf.ensure_shape(shares, [self.num_tasks])
