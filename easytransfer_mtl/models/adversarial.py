"""Adversarial training: a second gradient at word embeddings that are moved to where the loss is worse."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING

import tensorflow as tf

from easytransfer_mtl.errors import UserError
from easytransfer_mtl.models import gradients as grads

if TYPE_CHECKING:
    from easytransfer_mtl.models.multitask_model import MultiTaskModel

Gradients = list[grads.Gradient | None]


@dataclass(frozen=True)
class Adversary:
    """An attack r on the word embedding matrix, started at 0 and moved ``steps`` times.

    r <- P(r + step_size g / |g|), g the loss's gradient at the matrix plus r, |g| the norm over the whole matrix, rows
    summed; P scales r to the norm ``radius`` where it is longer (Madry et al., "Towards Deep Learning Models Resistant to
    Adversarial Attacks", ICLR 2018, in the l2 norm). One step of length ``radius`` is the fast gradient method (Miyato et
    al., "Adversarial Training Methods for Semi-Supervised Text Classification", ICLR 2017).

    It departs from Miyato et al. as is usual with BERT: the matrix is attacked instead of each row's embedded tokens, so
    that a token has one r in the whole batch, and embeddings are not normalised first.

    Attributes:
        steps: how often r is moved; each costs a forward and a backward pass.
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
        """Returns r after a step.

        Args:
            attack: r, float32 [U, E]; rows that are not in it are 0.
            gradient: g of the same rows; all other rows of it are 0.
        """
        attack += self.step_size * tf.math.divide_no_nan(gradient, tf.norm(gradient))
        if self.steps == 1 and self.step_size <= self.radius:
            return attack
        return attack * tf.minimum(1.0, tf.math.divide_no_nan(self.radius, tf.norm(attack)))


def check_attacked(model: "MultiTaskModel") -> None:
    """Raises UserError if steps are to train against an attack on word embeddings that the model does not train."""
    if model.options.adversary is not None:
        _place(model)


def with_attack(
    model: "MultiTaskModel", gradients: list[Gradients], again: Callable[[], list[Gradients]]
) -> list[Gradients]:
    """Returns the gradients plus those at the attacked embeddings, as ``model.options.adversary`` says; else the gradients.

    What is attacked is the sum of the terms that there are gradients of. Each term counts with the clean pass and with the
    attacked one, the penalty of a sharing structure as well, so that an attack leaves their proportions alone.

    The attacked pass has the dropout masks of the clean one, since the attack is worked out for that network. Of several
    steps the last one's gradient counts. The embeddings are put back as they were, bit for bit. The embeddings' gradient
    is dense then, so that clipping sees the two passes' sum.

    Args:
        model: its word embeddings are attacked.
        gradients: of each term, those of ``trainable_variables`` at the embeddings as they are; None where there is none.
        again: computes the same gradients anew.

    Raises:
        UserError: the word embeddings are not trained, or have no gradient.
    """
    adversary, table = model.options.adversary, model.encoder.word_embeddings
    if adversary is None:
        return gradients
    place = _place(model)
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


def _place(model: "MultiTaskModel") -> int:
    """Returns the word embeddings' place among the trainable variables; UserError if they are not among them."""
    table = model.encoder.word_embeddings
    place = next((index for index, variable in enumerate(model.trainable_variables) if variable is table), None)
    if place is None:
        raise UserError("adversarial attacks the word embeddings, which this model does not train; leave it out.")
    return place


def _of_all(gradients: list[Gradients], place: int) -> grads.Gradient | None:
    """Returns one variable's gradient of all terms."""
    return reduce(_sum, [term[place] for term in gradients])


def _rows_of(gradient: grads.Gradient) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the ids [U] of the rows that a gradient has, each once, and these rows [U, E], equal ids' summed.

    The same batch has the same ids in the same order every time.
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
    """Returns the sum of two gradients, dense where there are both."""
    found = _sum(one, other)
    return found if one is None or other is None else tf.convert_to_tensor(found)
