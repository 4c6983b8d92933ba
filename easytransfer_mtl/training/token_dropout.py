"""Token dropout: replaces some of a text's tokens by [MASK] in training."""

from dataclasses import dataclass

import tensorflow as tf

from easytransfer_mtl.config.options import by_task
from easytransfer_mtl.config.train_settings import StepSettings
from easytransfer_mtl.data.published_tokenizer import AnyVocabulary
from easytransfer_mtl.data.tokenization import MASK_TOKEN
from easytransfer_mtl.encoders.dropout import DropoutClock, uniform_at
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.seeding import stream_seed


@dataclass(frozen=True)
class TokenDropout:
    """Replaces each token by [MASK] independently with its task's probability; [CLS], [SEP] and padding stay unchanged.

    The word dropout of Iyyer et al., "Deep Unordered Composition Rivals Syntactic Methods for Text Classification", ACL
    2015, removes the tokens; here [MASK] replaces them, which the encoder knows from pre-training.

    Attributes:
        rates: one per task, from 0 to below 1.
        mask_id: id of [MASK], or the token of that role in a published tokenizer, such as <mask>.
        frame_ids: ids of [CLS] and [SEP], or of the published template's tokens.
    """

    rates: tuple[float, ...]
    mask_id: int
    frame_ids: tuple[int, ...]

    def applied(self, batch: dict[str, tf.Tensor], task_id: tf.Tensor, clock: DropoutClock) -> dict[str, tf.Tensor]:
        """Returns the batch with masked ``input_ids``; the same clock time gives the same masks.

        Args:
            batch: input_ids and input_mask, int32 [B, S], and other tensors.
            task_id: int32 [], the batch's task; may be known only when the graph runs.
            clock: has the seed and the time.
        """
        ids, mask = batch["input_ids"], batch["input_mask"]
        drawn = uniform_at(clock.time, stream_seed(clock.seed, "token dropout"), tf.shape(ids))
        is_text = tf.cast(mask, tf.bool)
        for frame_id in self.frame_ids:
            is_text &= tf.not_equal(ids, frame_id)
        dropped = is_text & (drawn < tf.gather(tf.constant(self.rates), task_id))
        return batch | {"input_ids": tf.where(dropped, tf.constant(self.mask_id, ids.dtype), ids)}


def make_token_dropout(
    settings: StepSettings, task_names: list[str], vocabulary: AnyVocabulary, source: str
) -> TokenDropout | None:
    """Returns the token dropout that the settings describe, or None if all rates are 0.

    Args:
        settings: the configuration.
        task_names: in the model's order.
        vocabulary: the encoder's.
        source: the vocabulary's file, for errors.

    Raises:
        UserError: a rate does not fit, or the vocabulary has no [MASK].
    """
    rates = tuple(by_task(settings, "token_dropout", task_names).values())
    if not any(rates):
        return None
    if vocabulary.mask_id is None:
        raise UserError(f"token_dropout shows tokens as {MASK_TOKEN}, which {source} does not have; leave it out.")
    return TokenDropout(rates, vocabulary.mask_id, vocabulary.frame_ids)
