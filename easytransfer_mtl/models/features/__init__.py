"""What tasks read of the encoder: which layers, and how a row's tokens become one vector."""

import re
from typing import NamedTuple

from easytransfer_mtl.models.features.attention import Attention
from easytransfer_mtl.models.features.feature import Feature, FeaturePart, PooledPart, StatesPart
from easytransfer_mtl.models.features.ngrams import NgramsPart
from easytransfer_mtl.models.features.pair import Pair
from easytransfer_mtl.models.features.part_dropout import PartDropout
from easytransfer_mtl.models.features.poolings import First, Greatest, Mean, Pooling, Whole
from easytransfer_mtl.models.features.scalar_mix import ScalarMix
from easytransfer_mtl.models.features.sources import LastLayer, MeanOfLayers, Source
from easytransfer_mtl.models.features.spec import (
    ATTENTION,
    ATTENTION_SHARED,
    MIX,
    NGRAMS,
    PAIR,
    POOLED,
    SEQUENCE,
    FeatureSpec,
    Part,
    check_features,
    parse_features,
)

__all__ = ["Feature", "FeatureMaker", "FeatureSpec", "PartDropout", "check_features", "parse_features"]

PLAIN: dict[str, type[Pooling]] = {"cls": First, "mean": Mean, "max": Greatest, PAIR: Pair, SEQUENCE: Whole}
"""Poolings without variables."""


class _Encoder(NamedTuple):
    width: int
    num_layers: int
    seed: int


class FeatureMaker:
    """Makes the tasks' features; what has no variables of a single task is one object for all that read it.

    Attributes:
        shared: the poolings with variables that tasks share, by the text of their part.
    """

    def __init__(self, width: int, num_layers: int, seed: int) -> None:
        """Takes the width of the states, the encoder's layers, and the run's seed."""
        self.shared: dict[str, Attention] = {}
        self._encoder = _Encoder(width, num_layers, seed)
        self._made: dict[str, Feature] = {}

    def make(self, spec: FeatureSpec, task_name: str) -> Feature:
        """Returns what a task reads."""
        if not spec.is_own:
            return self._made.setdefault(spec.text, self._feature(spec, "features_" + re.sub(r"\W", "_", spec.text)))
        return self._feature(spec, f"{task_name.lower()}_features")

    def _feature(self, spec: FeatureSpec, name: str) -> Feature:
        parts = [self._part(part, f"{name}/{part.text.replace(':', '_')}") for part in spec.parts]
        return Feature(name, parts, spec.is_sequence)

    def _part(self, part: Part, scope: str) -> FeaturePart:
        width, _, seed = self._encoder
        if part.pooling == POOLED:
            return PooledPart(width)
        if part.pooling == NGRAMS:
            return NgramsPart(scope, *part.sizes, seed)
        return StatesPart(self._source(part, scope), self._pooling(part, scope), width)

    def _source(self, part: Part, scope: str) -> Source:
        num_layers = self._encoder.num_layers
        if part.source == MIX:
            return ScalarMix(scope, num_layers)
        layers = part.layers(num_layers)
        return LastLayer() if layers == (num_layers,) else MeanOfLayers(layers)

    def _pooling(self, part: Part, scope: str) -> Pooling:
        width, _, seed = self._encoder
        if part.pooling == ATTENTION:
            return Attention(scope, width, seed)
        if part.pooling != ATTENTION_SHARED:
            return PLAIN[part.pooling]()
        if part.text not in self.shared:
            self.shared[part.text] = Attention(f"shared_features/{part.text}", width, seed)
        return self.shared[part.text]
