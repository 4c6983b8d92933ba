"""Sums over the tasks' gradients, against NumPy's of long floats."""

import numpy as np
import pytest
import tensorflow as tf

from easytransfer_mtl.weighting.task_sums import cross_gram_matrix, gram_matrix, gram_of_rows, weighted_rows


@pytest.mark.parametrize("scale", [1e-20, 1.0, 1e15])
def test_gram_matrix_is_that_of_float64_where_gradients_nearly_cancel(scale: float) -> None:
    random = np.random.default_rng(0)
    one = random.standard_normal(300_000)
    rows = np.array([one, -one * (1 + 1e-4) + 1e-5, random.standard_normal(one.size) * 1e-4]) * scale
    rows = rows.astype(np.float32)
    parts = [[tf.constant(part) for part in (row[:7], row[7:200_007].reshape(500, 400), row[200_007:])] for row in rows]
    found = tf.function(gram_matrix, autograph=False)(parts).numpy()
    exact = rows.astype(np.longdouble) @ rows.astype(np.longdouble).T
    lengths = np.sqrt(np.diag(exact))
    assert found.dtype == np.float64
    np.testing.assert_allclose((found / np.outer(lengths, lengths)), (exact / np.outer(lengths, lengths)), atol=1e-13)
    weights = np.array([1.0, 1.0, 0.0])
    np.testing.assert_allclose(weights @ found @ weights, float(weights @ exact @ weights), rtol=1e-5)


def test_rows_of_a_tensor_are_summed_as_separate_ones_are() -> None:
    rows = np.random.default_rng(0).standard_normal((3, 4, 5)).astype(np.float32)
    np.testing.assert_allclose(
        weighted_rows(tf.constant([1.0, -2.0, 0.5]), rows), rows[0] - 2 * rows[1] + rows[2] / 2, rtol=1e-5
    )
    np.testing.assert_array_equal(gram_of_rows(rows), gram_matrix([[row] for row in rows]))


def test_products_of_two_sets_of_gradients_are_no_symmetric_matrix() -> None:
    random = np.random.default_rng(0)
    one, other = random.standard_normal((2, 3, 10)).astype(np.float32)
    found = cross_gram_matrix(*([[row[:4], row[4:].reshape(2, 3)] for row in rows] for rows in (one, other))).numpy()
    np.testing.assert_allclose(found, one.astype(float) @ other.astype(float).T, rtol=1e-12)
    assert not np.allclose(found, found.T)
