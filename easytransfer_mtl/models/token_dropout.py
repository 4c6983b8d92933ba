"""Token dropout: in training some of a text's tokens are shown as [MASK]."""

from dataclasses import dataclass

import tensorflow as tf

from easytransfer_mtl.data.tokenization import MASK_TOKEN, Vocabulary
from easytransfer_mtl.encoders.dropout import DropoutClock, uniform_at
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.seeding import stream_seed


@dataclass(frozen=True)
class TokenDropout:
    """Replaces every token of a text by [MASK] with its task's probability, each by itself; [CLS], [SEP] and padding stay.

    The word dropout of Iyyer et al., "Deep Unordered Composition Rivals Syntactic Methods for Text Classification", ACL
    2015, which leaves tokens out; here they leave the mark behind that the encoder was pre-trained to read.

    Attributes:
        rates: of each task, from 0 to below 1.
        mask_id: id of [MASK].
        frame_ids: ids of [CLS] and [SEP].
    """

    rates: tuple[float, ...]
    mask_id: int
    frame_ids: tuple[int, int]

    def applied(self, batch: dict[str, tf.Tensor], task_id: tf.Tensor, clock: DropoutClock) -> dict[str, tf.Tensor]:
        """Returns the batch with other ``input_ids``; the same at the same time of the clock.

        Args:
            batch: input_ids and input_mask, int32 [B, S], and more.
            task_id: int32 [], the batch's task, which may be known only in the running graph.
            clock: tells the seed and the time.
        """
        ids, mask = batch["input_ids"], batch["input_mask"]
        drawn = uniform_at(clock.time, stream_seed(clock.seed, "token dropout"), tf.shape(ids))
        is_text = tf.cast(mask, tf.bool) & tf.not_equal(ids, self.frame_ids[0]) & tf.not_equal(ids, self.frame_ids[1])
        dropped = is_text & (drawn < tf.gather(tf.constant(self.rates), task_id))
        return batch | {"input_ids": tf.where(dropped, tf.constant(self.mask_id, ids.dtype), ids)}


def make_token_dropout(rates: tuple[float, ...], vocabulary: Vocabulary, source: str) -> TokenDropout | None:
    """Returns the token dropout of these rates, None if all are 0.

    Args:
        rates: of each task.
        vocabulary: the encoder's.
        source: where that is from, for errors.

    Raises:
        UserError: the vocabulary has no [MASK].
    """
    if not any(rates):
        return None
    if MASK_TOKEN not in vocabulary.ids:
        raise UserError(f"token_dropout shows tokens as {MASK_TOKEN}, which {source} does not have; leave it out.")
    return TokenDropout(rates, vocabulary.ids[MASK_TOKEN], (vocabulary.ids["[CLS]"], vocabulary.ids["[SEP]"]))
