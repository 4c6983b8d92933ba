"""Masking for a generator whose samples take the masked tokens' places."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import tensorflow as tf

from easytransfer_mtl.data.encoded_rows import Batch
from easytransfer_mtl.pretraining.masking import Masking


@dataclass(frozen=True)
class GeneratorMasking(Masking):
    """ELECTRA's masking (Clark et al. 2020, section 2): every chosen token becomes [MASK].

    The published code leaves 15 % of them as they are, which the paper does not mention.
    """

    signature: ClassVar[dict[str, tf.TensorSpec]] = {
        **Masking.signature,
        "draws": tf.TensorSpec([None], tf.float32),
        "token_weights": tf.TensorSpec([None, None], tf.float32),
    }

    def apply(self, batch: Batch, random: np.random.Generator) -> Batch:
        """Masks a batch, see ``Masking.apply``.

        Returns:
            What that does, and draws (float32 [P], from 0 to below 1, what to draw each place's other token with) and
            token_weights (float32 [B, S], 0 for padding).
        """
        masked = super().apply(batch, random)
        draws = random.random(len(masked["labels"]), dtype=np.float32)
        return {**masked, "draws": draws, "token_weights": masked["input_mask"].astype(np.float32)}

    def without_copies(self, batch: Batch, rows: int) -> Batch:
        """Returns a masked batch in which nothing is predicted or told in the rows from number ``rows`` on."""
        is_kept = np.arange(len(batch["input_ids"]))[:, np.newaxis] < rows
        return {**super().without_copies(batch, rows), "token_weights": batch["token_weights"] * np.float32(is_kept)}

    def _shown(self, labels: np.ndarray, random: np.random.Generator) -> np.ndarray:
        return np.full_like(labels, self.mask_id)
