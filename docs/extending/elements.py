import tensorflow as tf

from easytransfer_mtl import Combination, ElementWeighting


class SignMajority(ElementWeighting):
    """Of each element, only the gradients whose sign most tasks have are added up."""

    weighs_losses = False  # heads have their own gradients, whatever the log's weights are

    def combine(self, signals):  # signals.gradients: one tensor [K, *shape] for each shared variable
        combined = []
        for gradients in signals.gradients:
            majority = tf.sign(tf.reduce_sum(tf.sign(gradients), axis=0))
            combined.append(tf.reduce_sum(tf.where(tf.sign(gradients) * majority < 0, 0.0, gradients), axis=0))
        return Combination(combined, tf.ones(self.num_tasks))
