"""ExcessMTL: tasks far above the loss that they can reach, by an estimate from their gradients, weigh more and more."""

import tensorflow as tf

from easytransfer_mtl.config.train_settings import WeightingSettings
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.weighting.base import RunFacts, Signals, state_variable
from easytransfer_mtl.weighting.elements import Combination, ElementWeighting
from easytransfer_mtl.weighting.task_sums import weighted_rows


class ExcessMTL(ElementWeighting):
    """He et al., "Robust multi-task learning with excess risks", ICML 2024.

    A task's excess risk, the loss minus the least that the model can have, is estimated as E_i = g_i' H_i^-1 g_i (equations
    6 and 7), H_i the diagonal matrix of the roots of the sums of g_i^2 over all steps so far. The weights are multiplied by
    exp(eta E_i / E_i(0)) and brought to the sum K (equation 9, there to the sum 1), then used in the same step. E_i(0) is
    the mean of the first steps, in which the weights are 1 (appendix C.1); without it tasks would be compared across scales.

    Options: ``step_size`` eta (0.01); ``warmup_steps`` (1), over which E_i(0) is taken: the authors' code takes the first
    step, the paper three epochs.

    The estimate is from the gradients of shared, unfrozen variables. It keeps a number for each task and element of them, in
    memory and in every checkpoint: K times their size.

    Pitfall: nothing brings the weights back to 1. The sums only grow, so that E_i falls as 1 / sqrt(steps) even where the
    gradients stay as they are: early steps decide most, and a task that was ahead for long keeps its weight. With a step
    size of 1 one task has all the weight after some hundred steps; other weights can become exactly 0. Differs from the
    authors' code, which adds 1e-7 to the sums: gradients whose elements are below 3e-4, as those of an encoder mostly are,
    would then be judged by their squares.

    A scale of a task's loss changes nothing: exact to 1e-5 for elements from 1e-15 to 1e15; below 1e-19 they count as 0. A
    task without gradient in the first steps counts as one that is learned.
    """

    may_be_zero = True
    kept_per_task = 1
    starving_cure = "lower --excess_mtl_step_size, or choose another method"

    def __init__(self, num_tasks: int, step_size: float = 0.01, warmup_steps: int = 1) -> None:
        """Raises UserError if the step size is negative or there are no first steps."""
        if not step_size >= 0 or warmup_steps < 1:
            raise UserError(f"excess_mtl: step_size {step_size} must be 0 or more, warmup_steps {warmup_steps} 1 or more.")
        super().__init__(num_tasks, "excess_mtl")
        self.step_size, self.warmup_steps = step_size, warmup_steps

    @classmethod
    def make(cls, settings: WeightingSettings, run: RunFacts) -> "ExcessMTL":
        """Builds the weighting from a run's settings."""
        return cls(run.num_tasks, settings.excess_mtl_step_size, settings.excess_mtl_warmup_steps)

    def build(self, variables: list[tf.Variable]) -> None:
        """Makes the weights' logarithms, the first risks and the sums of squares."""
        self.log_weights = state_variable([0.0] * self.num_tasks, "log_weights")
        self.first_risks = state_variable([0.0] * self.num_tasks, "first_risks")
        self.count = state_variable(0.0, "count")
        self.squares = [state_variable(tf.zeros([self.num_tasks, *variable.shape]), "squares") for variable in variables]

    def combine(self, signals: Signals) -> Combination:
        """Returns the weighted sums with the moved weights."""
        kept = [tf.convert_to_tensor(before) for before in self.squares]  # a compiled function does not find a replica's own
        risks = tf.add_n([excess_risks(*parts) for parts in zip(signals.gradients, kept, strict=True)])
        risks = tf.cast(risks, tf.float32)
        warming = self.count < self.warmup_steps
        first_risks = self.first_risks + tf.where(warming, risks / self.warmup_steps, 0.0)
        ratios = tf.where(warming, 0.0, tf.math.divide_no_nan(risks, first_risks))
        log_weights = tf.nn.log_softmax(self.log_weights + self.step_size * ratios)
        weights = self.num_tasks * tf.exp(log_weights)
        combined = [weighted_rows(weights, gradients) for gradients in signals.gradients]
        return Combination(combined, weights, (log_weights, first_risks))

    @tf.autograph.experimental.do_not_convert
    def update(self, signals: Signals, losses_after: tf.Tensor | None = None) -> None:
        """Stores the moved weights, and adds the step's squares."""
        for variable, value in zip((self.log_weights, self.first_risks), signals.moved, strict=True):
            variable.assign(value)
        self.count.assign(self.count + 1.0)
        for squares, gradients in zip(self.squares, signals.gradients, strict=True):
            squares.assign(squares + tf.square(gradients))


@tf.function(jit_compile=True, autograph=False)
def excess_risks(gradients: tf.Tensor, squares: tf.Tensor) -> tf.Tensor:
    """Returns the sums of g^2 / sqrt(squares + g^2) over all but the first axis, float64 [K].

    Args:
        gradients: g, [K, *shape].
        squares: the sums of g^2 over the steps before, [K, *shape].
    """
    risks = gradients * tf.math.divide_no_nan(gradients, tf.sqrt(squares + tf.square(gradients)))
    return tf.reduce_sum(tf.reshape(tf.cast(risks, tf.float64), [risks.shape[0], -1]), axis=1)
