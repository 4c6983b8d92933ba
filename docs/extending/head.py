import tf_keras

from easytransfer_mtl import Head, option


class CosineHead(Head, tf_keras.layers.Layer):
    """Logits are scaled cosines between what the task reads and a learned vector for each label."""

    cosine_scale: float = option(None, "what cosines are multiplied by", 16.0, above=0, maximum=1000)

    def __init__(self, facts):
        super().__init__(name=facts.name)
        self.scale = facts.own.cosine_scale
        start = tf_keras.initializers.RandomNormal(stddev=0.02, seed=facts.clock.seed % 2**31)
        self.labels = self.add_weight("labels", (facts.width, facts.num_labels), initializer=start)

    def call(self, inputs, input_mask=None, training=False):
        rows, labels = (tf_keras.backend.l2_normalize(part, axis) for part, axis in ((inputs, 1), (self.labels, 0)))
        return self.scale * tf_keras.backend.dot(rows, labels)
