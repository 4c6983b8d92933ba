"""tf.data datasets of batches that are generated in Python."""

from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from easytransfer_mtl.data.datasets import generated_dataset


def generate() -> Iterator[np.ndarray]:
    for number in range(8):
        yield np.full(3, number, np.int32)


def test_nothing_is_tuned_which_the_end_of_an_iterator_would_wait_for() -> None:
    dataset = generated_dataset(generate, tf.TensorSpec([None], tf.int32))
    assert dataset.options().autotune.enabled is False
    for _ in range(2):  # every pass begins anew
        assert [int(tf.reduce_max(element)) for element in dataset] == [*range(8)]
