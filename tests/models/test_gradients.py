"""Gradients between tape and optimizer: the norm of unsummed embedding rows, freezing, zeros for idle heads."""

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from easytransfer_mtl.models import gradients as grads
from easytransfer_mtl.models.multitask_model import MultiTaskModel


def slices(rows: list[list[float]], indices: list[int], size: int) -> tf.IndexedSlices:
    return tf.IndexedSlices(tf.constant(rows), tf.constant(indices), tf.constant([size, len(rows[0])]))


def test_norm_counts_rows_of_equal_ids_apart() -> None:
    # Rows [2, 0] and [2, 0] of one id: unsummed the norm is sqrt(4 + 4 + 1), summed it would be sqrt(16 + 1).
    gradients = [slices([[2.0, 0.0], [2.0, 0.0]], [1, 1], 3), tf.constant([1.0])]
    clipped, norm = grads.clip_by_unsummed_norm(gradients, 1.5)
    np.testing.assert_allclose(norm, 3.0, rtol=1e-7)
    assert isinstance(clipped[0], tf.IndexedSlices)
    np.testing.assert_allclose(clipped[0].values, [[1.0, 0.0], [1.0, 0.0]], rtol=1e-6)
    np.testing.assert_allclose(clipped[1], [0.5], rtol=1e-6)


def test_gradients_below_the_norm_keep_their_values() -> None:
    gradients = [slices([[2.0, 0.0], [2.0, 0.0]], [1, 1], 3), tf.constant([1.0])]
    clipped, _ = grads.clip_by_unsummed_norm(gradients, 3.5)
    np.testing.assert_allclose(grads.dense(clipped)[0], [[0, 0], [4, 0], [0, 0]], rtol=1e-6)


def test_only_the_token_type_gradient_is_made_dense_before_clipping() -> None:
    names = ("bert/embeddings/word_embeddings/weight", "bert/embeddings/token_type_embeddings/embeddings")
    variables = [tf.Variable(tf.zeros((3, 2)), name=name) for name in names]
    given = [slices([[1.0, 2.0], [3.0, 4.0]], [0, 0], 3)] * 2
    word, token_type = grads.densify_token_type(given, variables)
    assert isinstance(word, tf.IndexedSlices)
    np.testing.assert_array_equal(token_type, [[4, 6], [0, 0], [0, 0]])


def test_none_becomes_zeros_of_the_variables_shape() -> None:
    variables = [tf.Variable([[1.0, 2.0]]), tf.Variable([3.0])]
    zeros, kept = grads.zeros_for_none([None, tf.constant([5.0])], variables)
    np.testing.assert_array_equal(zeros, [[0, 0]])
    np.testing.assert_array_equal(kept, [5])


def test_freezing_zeroes_the_lower_layers_only(golden_model: Callable[..., MultiTaskModel]) -> None:
    variables = golden_model().trainable_variables
    for count in range(3):
        kept = grads.freeze_layers([tf.ones_like(v) for v in variables], variables, count)
        frozen = {v.name for v, g in zip(variables, kept, strict=True) if not np.any(g)}
        layers = tuple(f"bert/encoder/layer_._{layer}/" for layer in range(count))
        assert frozen == {v.name for v in variables if v.name.startswith(layers)} if count else not frozen
        assert len(frozen) == 16 * count


def test_layer_ten_is_not_layer_one() -> None:
    variables = [tf.Variable([1.0], name=f"bert/encoder/layer_._{i}/output/dense/bias") for i in (0, 1, 2, 10, 11)]
    kept = grads.freeze_layers([tf.ones(1)] * 5, variables, 2)
    assert [float(gradient[0]) for gradient in kept] == [0, 0, 1, 1, 1]


def test_freezing_knows_googles_names_too() -> None:
    variables = [tf.Variable([1.0], name=f"bert/encoder/layer_{i}/output/dense/bias") for i in (0, 1)]
    assert [float(gradient[0]) for gradient in grads.freeze_layers([tf.ones(1)] * 2, variables, 1)] == [0, 1]
