"""Estimates whether a pre-training run fits into the machine's memory, before anything is built."""

import logging

from transformers import PretrainedConfig

from easytransfer_mtl.config.pretrain_settings import PretrainSettings
from easytransfer_mtl.encoders.dropout import DropoutClock
from easytransfer_mtl.encoders.kinds import kind_of
from easytransfer_mtl.machine import GB
from easytransfer_mtl.pretraining.model import MaskedLanguageModel
from easytransfer_mtl.runs.memory import NUMBER_BYTES, SLOTS, count_parameters, shortage, states_bytes

PROGRAM_GB = 1.5
"""Memory of TensorFlow, the compiled graph, and as many texts as in the contest; measured with a small encoder."""
SCORES = 2
"""Numbers per predicted token and token of the vocabulary: the score and its gradient."""


def estimated_gb(settings: PretrainSettings, config: PretrainedConfig, length: int) -> float:
    """Returns a rough estimate of the memory for training, in 10^9 bytes.

    Args:
        settings: the configuration.
        config: the encoder's config.
        length: tokens of the longest row.
    """
    parameters = count_parameters(
        lambda: MaskedLanguageModel(kind_of(config).build(config, DropoutClock(0)), settings).weights
    )
    tokens = settings.train_batch_size * length
    scores = NUMBER_BYTES[settings.precision] * tokens * settings.mask_share * SCORES * config.vocab_size
    copies = 2 + SLOTS["adam"]  # the parameters and their gradients
    states = states_bytes(config, config.num_hidden_layers, tokens, length, settings.precision) + scores
    return PROGRAM_GB + (4 * copies * parameters + states) / GB


def check_memory(settings: PretrainSettings, config: PretrainedConfig, length: int) -> None:
    """Logs the estimated memory, and warns on a CPU that has less; arguments as for ``estimated_gb``."""
    needed = estimated_gb(settings, config, length)
    if short := shortage(needed):
        advice = "Lower --train_batch_size or --sequence_length, or take a smaller encoder."
        logging.warning("pre-training needs about %.1f GB; %s. %s", needed, short, advice)
