"""What further pre-training can train an encoder for, each a file of its own."""

from easytransfer_mtl.pretraining.objectives.base import PretrainingModel
from easytransfer_mtl.pretraining.objectives.masked_words import MaskedLanguageModel
from easytransfer_mtl.pretraining.objectives.replaced_tokens import ReplacedTokenModel

MODELS: dict[str, type[PretrainingModel]] = {"mlm": MaskedLanguageModel, "electra": ReplacedTokenModel}
"""``objective`` -> the model that trains for it, made of an encoder and the run's settings."""

__all__ = ["MODELS", "MaskedLanguageModel", "PretrainingModel", "ReplacedTokenModel"]
