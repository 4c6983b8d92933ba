"""A tf.data dataset of batches that are generated in Python."""

import weakref
from collections.abc import Callable, Iterator
from typing import Any

import tensorflow as tf


def generated_dataset(generate: Callable[[], Iterator[Any]], signature: Any) -> tf.data.Dataset:
    """Returns a dataset of the elements that a generator function yields, prefetched a few elements ahead.

    ``tf.data.Dataset.from_generator`` keeps its function, and thus all rows that the function reads, as long as the process
    lives. Here it gets a weak reference; the dataset, which is held by its iterators, has the strong one.

    Args:
        generate: called again for every pass over the dataset.
        signature: the tf.TensorSpecs of an element.
    """
    reference = weakref.ref(generate)
    dataset = tf.data.Dataset.from_generator(lambda: _alive(reference)(), output_signature=signature)
    dataset.generate = generate
    return dataset.prefetch(4)


def _alive(reference: weakref.ref[Any]) -> Any:
    found = reference()
    assert found is not None  # the dataset holds it
    return found
