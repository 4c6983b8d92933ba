"""Gradients between tape and optimizer: the norm of unsummed embedding rows, freezing, zeros for idle heads."""

from collections.abc import Callable

import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from steps import compiled

from easytransfer_mtl.models.multitask_model import MultiTaskModel
from easytransfer_mtl.runs import gradients as grads
from easytransfer_mtl.runs.optimizers import make_optimizer


def slices(rows: list[list[float]], indices: list[int], size: int) -> tf.IndexedSlices:
    return tf.IndexedSlices(tf.constant(rows), tf.constant(indices), tf.constant([size, len(rows[0])]))


def test_norm_counts_rows_of_equal_ids_apart() -> None:
    # Rows [2, 0] and [2, 0] of one id: unsummed the norm is sqrt(4 + 4 + 1), summed it would be sqrt(16 + 1).
    gradients = [slices([[2.0, 0.0], [2.0, 0.0]], [1, 1], 3), tf.constant([1.0])]
    np.testing.assert_allclose(grads.unsummed_norm(gradients), 3.0, rtol=1e-7)


@pytest.mark.parametrize("norm", [0.0, 1e-30, 0.5, 1.5, 1.6, 1e20, np.inf, np.nan])
@pytest.mark.parametrize("clip_norm", [1.5, None])
def test_clip_factor_is_that_of_clip_by_global_norm(norm: float, clip_norm: float | None) -> None:
    found = grads.clip_factor(tf.constant(norm, tf.float32), clip_norm)
    expected = 1.0
    if clip_norm is not None:
        ((expected,), _) = tf.clip_by_global_norm([tf.constant(1.0)], clip_norm, use_norm=tf.constant(norm, tf.float32))
    np.testing.assert_allclose(found, expected, rtol=1e-6)


@pytest.mark.parametrize("name", ["adam", "lamb", "adagrad"])
def test_scaled_gradients_are_the_optimizers_own_step_on_smaller_gradients(name: str) -> None:
    def after(factor: float, gradient: float) -> list[np.ndarray]:
        optimizer, variable = make_optimizer(name, 0.1, 0.01), tf.Variable([1.0, -2.0], name="dense/kernel")
        optimizer.build([variable])
        for _ in range(3):
            grads.apply_scaled(optimizer, [tf.constant([gradient, 3 * gradient])], [variable], tf.constant(factor))
        return [item.numpy() for item in (variable, *optimizer.variables)]

    for one, other in zip(after(0.25, 1.0), after(1.0, 0.25), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6)


def test_only_the_gradients_of_small_tables_are_made_dense_before_clipping() -> None:
    kinds = ("word_embeddings/weight", "token_type_embeddings/embeddings", "position_embeddings/embeddings")
    names = [f"bert/embeddings/{kind}" for kind in kinds]
    variables = [tf.Variable(tf.zeros((3, 2)), name=name) for name in names]
    given = [slices([[1.0, 2.0], [3.0, 4.0]], [0, 0], 3)] * 3
    word, token_type, position = grads.densify_small_tables(given, variables)
    assert isinstance(word, tf.IndexedSlices)
    for dense in (token_type, position):
        np.testing.assert_array_equal(dense, [[4, 6], [0, 0], [0, 0]])


def test_none_becomes_zeros_of_the_variables_shape() -> None:
    variables = [tf.Variable([[1.0, 2.0]]), tf.Variable([3.0])]
    zeros, kept = grads.zeros_for_none([None, tf.constant([5.0])], variables)
    np.testing.assert_array_equal(zeros, [[0, 0]])
    np.testing.assert_array_equal(kept, [5])


def test_freezing_zeroes_the_lower_layers_only(golden_model: Callable[..., MultiTaskModel]) -> None:
    for count in range(3):
        step = compiled(golden_model(), tf_keras.optimizers.SGD(0.1), num_freezed_layers=count)
        variables = step.model.trainable_variables
        kept = grads.freeze([tf.ones_like(v) for v in variables], variables, step.frozen_variables)
        frozen = {v.name for v, g in zip(variables, kept, strict=True) if not np.any(g)}
        layers = tuple(f"bert/encoder/layer_._{layer}/" for layer in range(count))
        assert frozen == {v.name for v in variables if v.name.startswith(layers)} if count else not frozen
        assert len(frozen) == 16 * count


def test_two_copies_of_a_token_count_as_one_row_unless_they_are_shown_as_different_tokens() -> None:
    # Two look-ups of a batch of two tokens, whose copies come behind them; [MASK] (9) stands for one copy.
    values = [[1.0, 0.0], [2.0, 0.0], [3.0, 0.0], [4.0, 0.0], [5.0, 0.0], [6.0, 0.0], [7.0, 0.0], [8.0, 0.0]]
    gradient = slices(values, [3, 4, 3, 9, 3, 4, 3, 4], 10)
    found = grads.copies_summed(gradient, tf.constant(2))
    np.testing.assert_array_equal(tf.convert_to_tensor(found), tf.convert_to_tensor(gradient))
    norm = np.sqrt(4.0**2 + 2**2 + 4**2 + 12**2 + 14**2)
    np.testing.assert_allclose(grads.unsummed_norm([found]), norm, rtol=1e-6)


def test_gradients_that_are_not_of_copies_stay() -> None:
    other = slices([[1.0], [2.0], [3.0]], [0, 0, 1], 4)
    np.testing.assert_array_equal(grads.copies_summed(other, tf.constant(2)).values, other.values)
    dense = tf.constant([1.0])
    assert grads.copies_summed(dense, tf.constant(1)) is dense and grads.copies_summed(None, tf.constant(1)) is None
