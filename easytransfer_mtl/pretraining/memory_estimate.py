"""What a pre-training run will take of the machine's memory, told and compared before anything is built."""

import logging

from transformers import PretrainedConfig

from easytransfer_mtl.config.pretrain_settings import PretrainSettings
from easytransfer_mtl.encoders.sizes import encoder_size, kept_per_token, word_width
from easytransfer_mtl.pretraining.head import head_size
from easytransfer_mtl.runs.memory import GB, NUMBER_BYTES, shortage, tell_memory
from easytransfer_mtl.training.memory_estimate import SLOTS

PROGRAM_GB = 1.5
"""TensorFlow, the compiled graph, and texts as many as the contest's; measured on a small encoder."""
SCORES = 2
"""Numbers that a place to predict takes for every token of the vocabulary: the score and its gradient."""


def num_parameters(config: PretrainedConfig) -> int:
    """Returns how many parameters the encoder and the masked-word head have."""
    return encoder_size(config) + head_size(config, word_width(config))


def estimated_gb(settings: PretrainSettings, config: PretrainedConfig, length: int) -> float:
    """Returns what training needs, roughly, in 10^9 bytes.

    Args:
        settings: the configuration.
        config: the encoder's.
        length: tokens of the longest row.
    """
    number = NUMBER_BYTES[settings.precision]
    tokens = settings.train_batch_size * length
    states = tokens * config.num_hidden_layers * kept_per_token(config, length)
    scores = tokens * settings.mask_share * SCORES * config.vocab_size
    copies = 2 + SLOTS["adam"]  # the parameters and their gradients
    return PROGRAM_GB + (4 * copies * num_parameters(config) + number * (states + scores)) / GB


def check_memory(settings: PretrainSettings, config: PretrainedConfig, length: int) -> None:
    """Logs the estimate, and warns if it is more than the machine has, on a CPU; arguments as ``estimated_gb``'s."""
    needed = estimated_gb(settings, config, length)
    tell_memory(needed)
    if short := shortage(needed):
        advice = "Lower --train_batch_size or --sequence_length, or take a smaller encoder."
        logging.warning("pre-training needs about %.1f GB; %s. %s", needed, short, advice)
