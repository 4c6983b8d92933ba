"""The article's application class, in today's words: what a task reads, its loss and its predictions are its own."""

import tensorflow as tf
import tf_keras

from easytransfer_mtl import MultiTaskModel, option


class PoolingApplication(MultiTaskModel):
    pooling_share: float = option(None, "share of the tokens' mean beside the pooled output", 0.5, minimum=0, maximum=1)

    def build_layers(self):
        super().build_layers()
        self.norm = tf_keras.layers.LayerNormalization(name="pooling_norm")
        self.norm.build((None, self.encoder.config.hidden_size))

    def build_logits(self, features, training=False):
        inputs = [features[name] for name in ("input_ids", "input_mask", "segment_ids")]
        states, pooled = self.encoder.encode(*inputs, training=training)
        mask = tf.cast(features["input_mask"], tf.float32)[:, :, None]
        mean = tf.reduce_sum(states * mask, axis=1) / tf.reduce_sum(mask, axis=1)
        share = self.architecture.own.pooling_share
        rows = self.dropout(self.norm(share * mean + (1 - share) * pooled), training=training)
        return {name: head(rows) for name, head in self.heads.items()}

    def build_loss(self, logits, label_ids, task_id):
        return super().build_loss(logits, label_ids, task_id)

    def build_predictions(self, logits):
        return super().build_predictions(logits)
