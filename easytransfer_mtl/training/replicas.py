"""Averages over the replicas of tf.distribute inside a train step.

Every replica has an equal share of a batch's rows. Without a strategy there is one replica, and values stay unchanged.
"""

from typing import TypeAlias

import tensorflow as tf

Value: TypeAlias = tf.Tensor | tf.IndexedSlices | None


def mean_of(values: list[Value]) -> list[Value]:
    """Returns the means over all replicas; IndexedSlices keep the rows of all replicas, unsummed. None stays None."""
    context = tf.distribute.get_replica_context()
    if context.num_replicas_in_sync == 1:
        return values
    share = 1.0 / context.num_replicas_in_sync
    scaled = [
        tf.IndexedSlices(value.values * share, value.indices, value.dense_shape)
        if isinstance(value, tf.IndexedSlices)
        else value * share
        for value in values
        if value is not None
    ]
    means = iter(context.all_reduce(tf.distribute.ReduceOp.SUM, scaled))
    return [None if value is None else next(means) for value in values]
