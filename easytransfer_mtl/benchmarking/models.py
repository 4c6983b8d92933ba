"""The models that are measured: ours, and the recipe of the original on stock layers."""

import tensorflow as tf
import tf_keras
from transformers import BertConfig

from easytransfer_mtl.encoders.bert import BertEncoder
from easytransfer_mtl.encoders.dropout import DropoutClock
from easytransfer_mtl.models.multitask_model import Features, MultiTaskModel
from easytransfer_mtl.seeding import DEFAULT_SEED
from easytransfer_mtl.tasks import Task
from easytransfer_mtl.training.optimizers import make_optimizer

VOCABULARY_SIZE = 21128
"""That of bert-base-chinese."""
HEAD_WIDTH = 64
BATCH_SIGNATURE = {
    **{name: tf.TensorSpec([None, None], tf.int32) for name in ("input_ids", "input_mask", "segment_ids")},
    "label_ids": tf.TensorSpec([None], tf.int32),
    "task_id": tf.TensorSpec([], tf.int32),
}


class OriginalRecipe(MultiTaskModel):
    """The baseline as it would be written down first: transformers' own layers, every token through every layer."""

    def build_logits(self, features: Features, training: bool = False) -> dict[str, tf.Tensor]:
        """Returns every head's logits."""
        outputs = self.encoder(
            input_ids=features["input_ids"],
            attention_mask=features["input_mask"],
            token_type_ids=features["segment_ids"],
            training=training,
        )
        pooled_output = self.dropout(outputs[1], training=training)
        return {name: head(pooled_output) for name, head in self.heads.items()}


def bert_config(layers: int, hidden_size: int) -> BertConfig:
    """Returns a BERT with heads 64 wide and the vocabulary size of bert-base-chinese."""
    return BertConfig(
        vocab_size=VOCABULARY_SIZE,
        hidden_size=hidden_size,
        num_hidden_layers=layers,
        hidden_act="gelu_new",
        num_attention_heads=hidden_size // HEAD_WIDTH,
        intermediate_size=4 * hidden_size,
    )


def make_model(layers: int, hidden_size: int, tasks: tuple[Task, ...], original: bool = False) -> MultiTaskModel:
    """Builds a random model with dropout, AdamW and clipping; ``original`` takes stock layers and Keras's AdamW."""
    model_class = OriginalRecipe if original else MultiTaskModel
    model = model_class(BertEncoder(bert_config(layers, hidden_size), DropoutClock(DEFAULT_SEED)), tasks)
    if original:
        optimizer = tf_keras.optimizers.AdamW(1e-5, weight_decay=0.01, jit_compile=False)
    else:
        optimizer = make_optimizer("adam", 1e-5, 0.01)
    model.compile(optimizer=optimizer)
    optimizer.build(model.trainable_variables)
    return model


def layer_flops_per_token(layers: int, hidden_size: int) -> float:
    """Returns the floating point operations that training needs per token in the layers' dense products.

    Two a weight and token forward, four backward; attention's own products, embeddings and heads (a few percent) are left
    out.
    """
    return 6.0 * 12.0 * hidden_size**2 * layers
