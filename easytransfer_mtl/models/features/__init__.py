"""Features: which of the encoder's layers a task reads, and how a row's token states are pooled."""

import re
from types import SimpleNamespace

from easytransfer_mtl.models.features.attention_pooling import Attention
from easytransfer_mtl.models.features.feature import Feature, FeatureFacts, FeaturePart, PooledPart, StatesPart
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
from easytransfer_mtl.tasks import ascii_name

__all__ = [
    "Feature", "FeatureFacts", "FeatureMaker", "FeaturePart", "FeatureSpec", "PartDropout", "check_features",
    "parse_features",
]  # fmt: skip

PLAIN: dict[str, type[Pooling]] = {"cls": First, "mean": Mean, "max": Greatest, PAIR: Pair, SEQUENCE: Whole}
"""Poolings without variables."""


NO_OPTIONS = SimpleNamespace()


class FeatureMaker:
    """Makes the tasks' features; a feature without task-specific variables is one object for all tasks that read it.

    Attributes:
        shared: part text -> pooling whose variables all tasks share.
    """

    def __init__(self, width: int, num_layers: int, seed: int, own: SimpleNamespace = NO_OPTIONS) -> None:
        """Takes the states' width, the number of encoder layers, the run's seed, and the options of user-defined classes."""
        self.shared: dict[str, Attention] = {}
        self._facts = FeatureFacts("", width, num_layers, seed, own)
        self._made: dict[str, Feature] = {}

    def make(self, spec: FeatureSpec, task_name: str) -> Feature:
        """Returns a task's feature."""
        if not spec.is_own:
            return self._made.setdefault(spec.text, self._feature(spec, "features_" + re.sub(r"\W", "_", spec.text)))
        return self._feature(spec, f"{ascii_name(task_name).lower()}_features")

    def _feature(self, spec: FeatureSpec, name: str) -> Feature:
        parts = [self._part(part, f"{name}/{part.label}") for part in spec.parts]
        return Feature(name, parts, spec.is_sequence)

    def _part(self, part: Part, scope: str) -> FeaturePart:
        width, seed = self._facts.width, self._facts.seed
        if part.own is not None:
            return part.own(self._facts._replace(scope=scope))
        if part.pooling == POOLED:
            return PooledPart(width)
        if part.pooling == NGRAMS:
            buckets, size = part.sizes
            return NgramsPart(scope, buckets, size, seed)
        return StatesPart(self._source(part, scope), self._pooling(part, scope), width)

    def _source(self, part: Part, scope: str) -> Source:
        num_layers = self._facts.num_layers
        if part.source == MIX:
            return ScalarMix(scope, num_layers)
        layers = part.layers(num_layers)
        return LastLayer() if layers == (num_layers,) else MeanOfLayers(layers)

    def _pooling(self, part: Part, scope: str) -> Pooling:
        width, seed = self._facts.width, self._facts.seed
        if part.pooling == ATTENTION:
            return Attention(scope, width, seed)
        if part.pooling != ATTENTION_SHARED:
            return PLAIN[part.pooling]()
        if part.text not in self.shared:
            self.shared[part.text] = Attention(f"shared_features/{part.text}", width, seed)
        return self.shared[part.text]
