"""The models that are measured: ours, and the recipe of the original on stock layers."""

from types import MappingProxyType

import tensorflow as tf
import tf_keras

from benchmarks.sizes import bert_config
from easytransfer_mtl.config.train_settings import StepSettings
from easytransfer_mtl.encoders.bert import BertEncoder
from easytransfer_mtl.encoders.dropout import DropoutClock
from easytransfer_mtl.models.architecture import BASELINE, Architecture
from easytransfer_mtl.models.multitask_model import Features, MultiTaskModel
from easytransfer_mtl.models.task_loss import loss_of
from easytransfer_mtl.runs.optimizers import make_optimizer
from easytransfer_mtl.seeding import DEFAULT_SEED
from easytransfer_mtl.tasks import Task
from easytransfer_mtl.training.step import TrainStep
from easytransfer_mtl.weighting import Equal, TaskWeighting


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


def make_model(
    layers: int, hidden_size: int, tasks: tuple[Task, ...], original: bool = False, architecture: Architecture = BASELINE
) -> MultiTaskModel:
    """Builds a random model with dropout, AdamW and clipping; ``original`` takes stock layers and Keras's AdamW."""
    model_class = OriginalRecipe if original else MultiTaskModel
    encoder = BertEncoder(bert_config(layers, hidden_size), DropoutClock(DEFAULT_SEED))
    model = model_class(encoder, tasks, architecture=architecture)
    if original:
        optimizer = tf_keras.optimizers.AdamW(1e-5, weight_decay=0.01, jit_compile=False)
    else:
        optimizer = make_optimizer("adam", 1e-5, 0.01)
    optimizer.build(model.trainable_variables)
    use_weighting(model, optimizer, Equal(len(tasks)))
    return model


def use_weighting(
    model: MultiTaskModel,
    optimizer: tf_keras.optimizers.Optimizer,
    weighting: TaskWeighting,
    gram_variables: str | None = None,
) -> None:
    """Gives a model a weighting, the losses that it asks for, and their step, to be traced before the next is given."""
    losses = {task.name: loss_of(task, focal_gamma=weighting.focal_gamma) for task in model.tasks}
    model.task_losses = MappingProxyType(losses)
    settings = StepSettings(gram_variables=gram_variables, num_accumulated_batches=weighting.num_batches or 1)
    model.compile(optimizer, TrainStep(model, weighting, optimizer, settings))
