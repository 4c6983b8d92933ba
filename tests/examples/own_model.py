import sys

from easytransfer_mtl import (
    EvaluateSettings,
    MultiTaskModel,
    PredictSettings,
    SubmitSettings,
    TrainSettings,
    evaluate,
    predict,
    submit,
    train,
)

# isort: split
import tensorflow as tf  # after easytransfer_mtl, which silences what TensorFlow prints when it is imported
import tf_keras


class MeanPooled(MultiTaskModel):
    """Reads the mean of the last layer's real tokens instead of the pooled output."""

    def build_layers(self):
        super().build_layers()
        self.norm = tf_keras.layers.LayerNormalization(name="mean_norm")
        self.norm.build((None, self.encoder.config.hidden_size))

    def build_logits(self, features, training=False):
        states, _ = self.encoder.encode(
            features["input_ids"], features["input_mask"], features["segment_ids"], training=training
        )
        mask = tf.cast(features["input_mask"], states.dtype)[:, :, None]
        mean = tf.reduce_sum(states * mask, axis=1) / tf.reduce_sum(mask, axis=1)
        mean = self.dropout(self.norm(mean), training=training)
        return {name: head(mean) for name, head in self.heads.items()}


if __name__ == "__main__":
    data, model_dir = sys.argv[1:]
    settings = TrainSettings(
        pretrain_model_name_or_path="data/tiny_bert_zh",
        random_init=True,
        train_batch_size=32,
        num_epochs=2,
        train_input_fp=f"{data}/train.list_tfrecord",
        predict_input_fp=f"{data}/dev.list_tfrecord",
        model_dir=model_dir,
        learning_rate=1e-3,
    )
    train(settings, model_class=MeanPooled)
    evaluate(EvaluateSettings(model_dir=model_dir, predict_input_fp=f"{data}/dev.list_tfrecord"), model_class=MeanPooled)
    best = {"predict_checkpoint_path": f"{model_dir}/best", "data_dir": "data/sample"}
    predict(PredictSettings(**best, predict_output_fp=f"{model_dir}/predictions"), model_class=MeanPooled)
    sys.exit(submit(SubmitSettings(**best, predict_output_fp=f"{model_dir}/submission"), model_class=MeanPooled))
