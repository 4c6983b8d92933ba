"""Batches that Python makes, as a tf.data dataset."""

import weakref
from collections.abc import Callable, Iterator
from typing import Any

import tensorflow as tf


def generated_dataset(generate: Callable[[], Iterator[Any]], signature: Any) -> tf.data.Dataset:
    """Returns a dataset of what a generator function yields, made a few elements ahead.

    ``tf.data.Dataset.from_generator`` keeps its function, and so all rows that it draws from, as long as the process lives.
    It gets a weak reference here; the dataset, which its iterators hold, has the strong one.

    Args:
        generate: called anew for every pass over the dataset.
        signature: the elements' tf.TensorSpecs.
    """
    reference = weakref.ref(generate)
    dataset = tf.data.Dataset.from_generator(lambda: reference()(), output_signature=signature)
    dataset.generate = generate
    return dataset.prefetch(4)
