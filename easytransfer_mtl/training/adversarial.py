"""Adversarial training: adds the gradients at word embeddings that are perturbed to increase the loss."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce

import tensorflow as tf

from easytransfer_mtl.config.train_settings import StepSettings
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.runs import gradients as grads

Gradients = list[grads.Gradient | None]


@dataclass(frozen=True)
class Adversary:
    """A perturbation r of the word embedding matrix, which starts at 0 and is updated ``steps`` times.

    r <- P(r + step_size g / |g|), g the loss's gradient at the matrix plus r, |g| the norm over the whole matrix, rows with
    the same id summed; P scales r to the norm ``radius`` if it is longer (Madry et al., "Towards Deep Learning Models
    Resistant to Adversarial Attacks", ICLR 2018, in the l2 norm). One step of length ``radius`` is the fast gradient method
    (Miyato et al., "Adversarial Training Methods for Semi-Supervised Text Classification", ICLR 2017).

    It differs from Miyato et al. as is usual with BERT: the matrix is attacked instead of each row's embedded tokens, so
    that a token has the same r in the whole batch, and embeddings are not normalized first.

    Attributes:
        steps: number of updates of r; each costs a forward and a backward pass.
        step_size: length of a step.
        radius: largest norm of r.
    """

    steps: int
    step_size: float
    radius: float

    def __post_init__(self) -> None:
        if self.steps < 1 or self.step_size <= 0 or self.radius <= 0:
            raise UserError(
                f"adversarial training needs 1 step or more, a step length and a norm above 0; found {self.steps} steps of "
                f"{self.step_size}, norm {self.radius} (adversarial_steps, adversarial_alpha, adversarial_epsilon)."
            )

    def moved(self, attack: tf.Tensor, gradient: tf.Tensor) -> tf.Tensor:
        """Returns r after one step.

        Args:
            attack: r, float32 [U, E]; r is 0 in all other rows of the matrix.
            gradient: g of the same rows; g is 0 in all other rows.
        """
        attack += self.step_size * tf.math.divide_no_nan(gradient, tf.norm(gradient))
        if self.steps == 1 and self.step_size <= self.radius:
            return attack
        return attack * tf.minimum(1.0, tf.math.divide_no_nan(self.radius, tf.norm(attack)))


def make_adversary(settings: StepSettings) -> Adversary | None:
    """Returns the attack that the settings describe, or None."""
    if settings.adversarial == "none":
        return None
    if settings.adversarial == "fgm":
        return Adversary(1, settings.adversarial_epsilon, settings.adversarial_epsilon)
    return Adversary(settings.adversarial_steps, settings.adversarial_alpha, settings.adversarial_epsilon)


def attacked_gradients(
    adversary: Adversary,
    table: tf.Variable,
    place: int,
    gradients: list[Gradients],
    again: Callable[[], list[Gradients]],
) -> list[Gradients]:
    """Returns the gradients plus those at the attacked embeddings.

    The attack maximizes the sum of all terms. Each term, including the penalty of a sharing structure, is counted in the
    clean and in the attacked pass, so that the attack does not change the proportions of the terms.

    The attacked pass uses the dropout masks of the clean one, since the attack is computed for that network. With several
    steps only the gradients after the last one are added. The embeddings are restored bit for bit. Their gradient becomes
    dense, so that clipping sees the sum of the two passes.

    Args:
        adversary: the attack.
        table: the word embeddings, which are attacked.
        place: index of ``table`` among the variables.
        gradients: for each term, the variables' gradients at the clean embeddings; None for a variable without gradient.
        again: recomputes these gradients at the table's current values.

    Raises:
        UserError: the word embeddings have no gradient.
    """
    toward = _of_all(gradients, place)
    if toward is None:
        raise UserError("adversarial attacks the word embeddings, which no loss of this model depends on; leave it out.")
    before = table.read_value()
    ids, gradient = _rows_of(toward)
    attack = tf.zeros_like(gradient)
    attacked = gradients
    for step in range(adversary.steps):
        if step:
            _, gradient = _rows_of(_of_all(attacked, place))
        attack = adversary.moved(attack, gradient)
        table.assign(tf.tensor_scatter_nd_add(before, ids[:, tf.newaxis], attack))
        attacked = again()
    table.assign(before)
    return [[_dense_sum(*pair) for pair in zip(*terms, strict=True)] for terms in zip(gradients, attacked, strict=True)]


def _of_all(gradients: list[Gradients], place: int) -> grads.Gradient | None:
    """Returns one variable's gradient, summed over all terms."""
    return reduce(_sum, [term[place] for term in gradients])


def _rows_of(gradient: grads.Gradient) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the distinct row ids [U] of a gradient and its rows [U, E], rows with the same id summed.

    The same batch gives the same ids in the same order every time.
    """
    if not isinstance(gradient, tf.IndexedSlices):
        return tf.range(tf.shape(gradient)[0]), gradient
    ids, places = tf.unique(gradient.indices)
    return ids, tf.math.unsorted_segment_sum(gradient.values, places, tf.size(ids))


def _sum(one: grads.Gradient | None, other: grads.Gradient | None) -> grads.Gradient | None:
    if one is None or other is None:
        return other if one is None else one
    if isinstance(one, tf.IndexedSlices) and isinstance(other, tf.IndexedSlices):
        values, indices = (tf.concat(parts, axis=0) for parts in ((one.values, other.values), (one.indices, other.indices)))
        return tf.IndexedSlices(values, indices, one.dense_shape)
    return tf.convert_to_tensor(one) + tf.convert_to_tensor(other)


def _dense_sum(one: grads.Gradient | None, other: grads.Gradient | None) -> grads.Gradient | None:
    """Returns the sum of two gradients, dense if neither is None."""
    found = _sum(one, other)
    return found if one is None or other is None else tf.convert_to_tensor(found)
