"""Prunes an encoder's weights: the embeddings and heads for masked words by rows; all other tensors stay byte for byte."""

import logging
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from easytransfer_mtl.encoders.canonical_names import canonical_name, is_torch_name
from easytransfer_mtl.encoders.weight_files import ADDITIONAL_FILE, WEIGHTS_FILE, find_weights
from easytransfer_mtl.encoders.weight_files.safetensors_stream import (
    ArrayTensor,
    RowsOf,
    StoredTensor,
    Tensor,
    copy_tensors,
    stored_tensors,
)
from easytransfer_mtl.encoders.weight_files.sharded import INDEX_SUFFIX, merged_shards, read_sharded
from easytransfer_mtl.encoders.weight_files.torch_bin import read_torch_bin
from easytransfer_mtl.errors import UserError, listed, shown

WORDS = "embeddings/word_embeddings"
OF_MASKED_WORDS = re.compile(
    r"(.+\.)?(predictions|lm_predictions\.lm_head|lm_head|generator_lm_head)\.(decoder\.)?(weight|bias)"
)
"""Names of the decoder and its bias in transformers' heads for masked words, with or without the head's name before it."""


@dataclass(frozen=True)
class Weights:
    """An encoder's weights, not read yet where their format allows it.

    Attributes:
        path: the file, for errors.
        tensors: those of the weights file by name.
        additional: those of additional.safetensors beside it.
    """

    path: Path
    tensors: dict[str, Tensor]
    additional: dict[str, Tensor]

    @property
    def rows(self) -> int:
        """Number of embeddings."""
        return self._embeddings[1].shape[0]

    @property
    def _embeddings(self) -> tuple[str, Tensor]:
        found = [(name, tensor) for name, tensor in self.tensors.items() if canonical_name(name) == WORDS]
        if len(found) != 1 or len(found[0][1].shape) != 2 or not found[0][1].shape[0]:
            what = listed([shown(name) for name, _ in found]) or "none"
            raise UserError(
                f"Weight file {self.path}: word embeddings of one encoder are wanted (embeddings.word_embeddings.weight, "
                f"a row a token), found: {what}."
            )
        return found[0]

    def pruned(self, kept: np.ndarray) -> "Weights":
        """Returns the weights of the kept tokens, still unread.

        Args:
            kept: old ids of the kept tokens, ascending.

        A tensor beside the encoder that has as many rows as the vocabulary but is no known head for masked words is left
        aside, and the log says so.
        """
        return Weights(self.path, self._kept_rows(self.tensors, kept), self._kept_rows(self.additional, kept))

    def _kept_rows(self, tensors: Mapping[str, Tensor], kept: np.ndarray) -> dict[str, Tensor]:
        rows, found = self.rows, dict(tensors)
        for name, tensor in tensors.items():
            canonical = canonical_name(name)
            if canonical == WORDS or (tensor.shape[:1] == (rows,) and OF_MASKED_WORDS.fullmatch(name)):
                assert isinstance(tensor, (StoredTensor, ArrayTensor)), "pruned already"
                found[name] = RowsOf(tensor, kept)
            elif tensor.shape[:1] == (rows,) and canonical is None:
                logging.info("Left aside: %s has a row a token, and is no known head for masked words", name)
                del found[name]
        return found

    @property
    def parameters(self) -> int:
        """Number of floats."""
        every = [*self.tensors.values(), *self.additional.values()]
        return sum(math.prod(tensor.shape) for tensor in every if "F" in tensor.dtype)

    @property
    def size(self) -> int:
        """Number of bytes."""
        return sum(tensor.size for tensor in (*self.tensors.values(), *self.additional.values()))

    def write(self, folder: Path) -> None:
        """Writes model.safetensors, and additional.safetensors if there was one."""
        copy_tensors(folder / WEIGHTS_FILE, self.tensors)
        if self.additional:
            copy_tensors(folder / ADDITIONAL_FILE, self.additional)


def open_weights(location: Path) -> Weights:
    """Finds an encoder's weights in PyTorch's layout; those in safetensors are read when they are written.

    Raises:
        UserError: there are no weights, they cannot be read, are in TensorFlow's layout, or hold no word embeddings.
    """
    path, file_format = find_weights(location)
    tensors: dict[str, Tensor] = {}
    if file_format == "safetensors":
        is_sharded = path.name.endswith(INDEX_SUFFIX)
        tensors |= merged_shards(path, stored_tensors) if is_sharded else stored_tensors(path)
    elif file_format == "torch":
        arrays = read_sharded(path) if path.name.endswith(INDEX_SUFFIX) else read_torch_bin(path)
        tensors = {name: ArrayTensor(array) for name, array in arrays.items()}
    if not tensors or not all(map(is_torch_name, tensors)):
        raise UserError(
            f"{path} has TensorFlow's layout; prune_vocabulary takes PyTorch's (model.safetensors, pytorch_model.bin). Save "
            "it so: transformers' AutoModel.from_pretrained(FOLDER, from_tf=True).save_pretrained(NEW); or train, and prune "
            "best/."
        )
    beside = path.with_name(ADDITIONAL_FILE)
    has_more = path.name == WEIGHTS_FILE and beside.is_file()
    weights = Weights(path, tensors, dict(stored_tensors(beside)) if has_more else {})
    logging.info("%s: %s embeddings", path, f"{weights.rows:,}")
    return weights
