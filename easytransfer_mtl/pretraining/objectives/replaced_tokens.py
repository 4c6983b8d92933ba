"""ELECTRA's objective: tell which tokens a generator has replaced (Clark et al. 2020)."""

from typing import NamedTuple

import numpy as np
import tensorflow as tf
from transformers import PretrainedConfig

from easytransfer_mtl.config.pretrain_settings import PretrainSettings
from easytransfer_mtl.encoders.bert import BertEncoder
from easytransfer_mtl.encoders.kinds import kind_of
from easytransfer_mtl.encoders.sizes import dense_size, encoder_size, layers_size, word_width
from easytransfer_mtl.encoders.variants import VariantEncoder
from easytransfer_mtl.encoders.weight_files import WeightFile
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.pretraining.electra.generator import Generator, generator_config
from easytransfer_mtl.pretraining.electra.head import ReplacedTokenHead
from easytransfer_mtl.pretraining.electra.masking import GeneratorMasking
from easytransfer_mtl.pretraining.electra.measurement import ReplacedTokenMeasurement, Sums
from easytransfer_mtl.pretraining.electra.sampling import sampled_tokens
from easytransfer_mtl.pretraining.electra.stored_parts import take_parts
from easytransfer_mtl.pretraining.head import MaskedWordHead, head_size
from easytransfer_mtl.pretraining.objectives.base import Batch, PretrainingModel, Size

BERT_LAYERS = (BertEncoder, VariantEncoder)
GENERATOR_HEAD = {
    "transform/dense/kernel": "dense/kernel",
    "transform/dense/bias": "dense/bias",
    "transform/LayerNorm/gamma": "LayerNorm/gamma",
    "transform/LayerNorm/beta": "LayerNorm/beta",
    "bias": "output_bias",
}
"""``MaskedWordHead``'s names -> Google's in ELECTRA's checkpoints."""


class Generated(NamedTuple):
    """What the generator makes of a batch: P places, B rows of S tokens.

    Attributes:
        losses: cross entropy of each place's true token, float32 [P].
        right: whether the true token is the likeliest, 1 or 0, float32 [P].
        input_ids: the rows with a token that was drawn at every place, int32 [B, S].
        replaced: which tokens are not the true ones, 1 or 0, float32 [B, S].
    """

    losses: tf.Tensor
    right: tf.Tensor
    input_ids: tf.Tensor
    replaced: tf.Tensor


class ReplacedTokenModel(PretrainingModel):
    """A generator fills masked places in, and the encoder, the discriminator, tells for every token whether it was replaced.

    The loss is the generator's mean cross entropy of the masked tokens plus ``rtd_weight`` times the mean binary cross
    entropy of all tokens but padding. A drawn token that is the true one counts as not replaced. Drawing has no gradient,
    so that the second loss moves the discriminator and the shared embeddings only.

    Attributes:
        generator: see ``Generator``.
        generator_head: its masked-word head, whose table is the shared word embeddings.
        head: the discriminator's.
    """

    masking = GeneratorMasking
    measured = ReplacedTokenMeasurement

    def __init__(self, encoder: BertEncoder, settings: PretrainSettings) -> None:
        """Takes the encoder and the run's settings; the other parts start at random."""
        super().__init__("replaced_token_model", encoder, settings)
        self.generator = Generator(encoder, settings.generator_size)
        width = encoder.word_embeddings.shape[1]
        self.generator_head = MaskedWordHead(self.generator.config, width, settings.seed)
        self.head = ReplacedTokenHead(encoder.config, settings.seed)
        self.rtd_weight = settings.rtd_weight

    @classmethod
    def check(cls, settings: PretrainSettings, config: PretrainedConfig) -> None:
        """Raises UserError if the generator's size or the encoder's type is not supported."""
        if not 0.0 < settings.generator_size <= 1.0:
            raise UserError(
                f"generator_size is {settings.generator_size}; it must be more than 0 and at most 1 (ELECTRA: 0.25 to 0.33)."
            )
        if kind_of(config).build not in BERT_LAYERS:
            raise UserError(
                f"objective electra needs a generator of the encoder's own layers, which there is not for model_type "
                f"{config.model_type}; set --objective=mlm, or take an encoder of another type."
            )

    @classmethod
    def size(cls, settings: PretrainSettings, config: PretrainedConfig) -> Size:
        """Returns the size of both encoders and both heads; the discriminator reads rows as long as the generator's."""
        small, words, depth = generator_config(config, settings.generator_size), word_width(config), config.num_hidden_layers
        generator = layers_size(small, depth) + head_size(small, words)
        generator += dense_size(words, small.hidden_size) if words != small.hidden_size else 0
        head = dense_size(config.hidden_size, config.hidden_size) + dense_size(config.hidden_size, 1)
        return Size(encoder_size(config) + head + generator, ((config, depth), (small, depth)))

    def take(self, weight_file: WeightFile) -> None:
        """Takes over the discriminator's head and the generator that a checkpoint holds, either whole or not at all."""
        take_parts(self._head_parts, weight_file, "Replaced-token head")
        take_parts(self._generator_parts, weight_file, "Generator")

    @property
    def stored_parts(self) -> dict[str, tf.Variable]:
        """The head's variables, under the names of TFElectraForPreTraining, and the generator's, under Google's."""
        return {**self._head_parts, **self._generator_parts}

    @property
    def _head_parts(self) -> dict[str, tf.Variable]:
        return {f"{name}:0": variable for name, variable in self.head.by_name.items()}

    @property
    def _generator_parts(self) -> dict[str, tf.Variable]:
        layers = {f"{name}:0": variable for name, variable in self.generator.by_name.items()}
        head = self.generator_head.by_name.items()
        return layers | {f"generator_predictions/{GENERATOR_HEAD[name]}:0": variable for name, variable in head}

    def generate(self, batch: Batch, training: bool, precision: str) -> Generated:
        """Runs the generator and draws a token for every masked place.

        Args:
            batch: see ``GeneratorMasking.signature``.
            training: whether dropout is on.
            precision: number format of the head's matrix products.
        """
        positions = batch["positions"]
        states = self.generator.encode(batch["input_ids"], batch["input_mask"], batch["segment_ids"], training)
        states, table = tf.gather(states, positions), tf.convert_to_tensor(self.encoder.word_embeddings)
        losses, right, scores = self.generator_head.scored_losses(tf.cast(states, precision), table, batch["labels"])
        drawn = sampled_tokens(scores, self.generator_head.by_name["bias"], batch["draws"])
        shown = tf.gather(tf.reshape(batch["input_ids"], [-1]), positions)
        used, shape = tf.cast(batch["weights"], tf.int32), tf.shape(batch["input_ids"])

        def with_tokens(tokens: tf.Tensor) -> tf.Tensor:
            # Differences are added: places that are not used are all the same one, and the order of sums does not matter.
            changes = tf.scatter_nd(positions[:, tf.newaxis], (tokens - shown) * used, [shape[0] * shape[1]])
            return batch["input_ids"] + tf.reshape(changes, shape)

        input_ids, true_ids = with_tokens(drawn), with_tokens(batch["labels"])
        return Generated(losses, right, input_ids, tf.cast(input_ids != true_ids, tf.float32))

    def replaced_scores(self, input_ids: tf.Tensor, batch: Batch, training: bool, precision: str) -> tf.Tensor:
        """Returns the discriminator's score of every token of int32 [B, S] ids, float32 [B, S]; see ``generate``."""
        states, _ = self.encoder.encode(input_ids, batch["input_mask"], batch["segment_ids"], training=training)
        flat = tf.cast(tf.reshape(states, [-1, states.shape[-1]]), precision)
        return tf.reshape(self.head.scores(flat), tf.shape(input_ids))

    def step_values(self, batch: Batch) -> dict[str, tf.Tensor]:
        """Returns the loss and what both parts have to tell, see ``ReplacedTokenMeasurement``."""
        return self._sums(batch, True, self.precision).means(self.rtd_weight)

    @tf.autograph.experimental.do_not_convert
    def sums(self, batch: Batch) -> tuple[tf.Tensor, ...]:
        """Returns the batch's ``Sums``."""
        return tuple(self._sums(batch, False, "float32"))

    def measurement(self, sums: np.ndarray) -> ReplacedTokenMeasurement:
        """Returns means of ``sums``."""
        means = Sums(*sums).means(self.rtd_weight)
        return ReplacedTokenMeasurement(**{name: float(value) for name, value in means.items()})

    def _sums(self, batch: Batch, training: bool, precision: str) -> Sums:
        made = self.generate(batch, training, precision)
        scores = self.replaced_scores(made.input_ids, batch, training, precision)
        places, tokens = batch["weights"], batch["token_weights"]
        suspected = tf.cast(scores > 0.0, tf.float32)
        values = {
            "mlm_loss": made.losses * places,
            "right": made.right * places,
            "places": places,
            "rtd_loss": tf.nn.sigmoid_cross_entropy_with_logits(made.replaced, scores) * tokens,
            "told": tf.cast(suspected == made.replaced, tf.float32) * tokens,
            "tokens": tokens,
            "found": suspected * made.replaced * tokens,
            "suspected": suspected * tokens,
            "replaced": made.replaced * tokens,
        }
        return Sums(**{name: tf.reduce_sum(value) for name, value in values.items()})
