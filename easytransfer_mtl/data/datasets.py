"""tf.data datasets: of batches that are generated in Python, and the options of all."""

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
    return dataset.prefetch(4).with_options(without_tuning())


def without_tuning() -> tf.data.Options:
    """Returns the options of a dataset in which nothing is tuned while it runs.

    Tuning has a thread that sleeps for about as long as the iterator has run so far, and often the iterator's end does not
    wake it but waits (TensorFlow 2.21): so long trainings stood still after their last step.
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    return options


def _alive(reference: weakref.ref[Any]) -> Any:
    found = reference()
    assert found is not None  # the dataset holds it
    return found
