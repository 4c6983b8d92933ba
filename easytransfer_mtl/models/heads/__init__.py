"""Heads: compute a task's logits from its feature; one file per kind of head."""

from easytransfer_mtl.models.heads.base import Head, HeadFacts
from easytransfer_mtl.models.heads.spec import DENSE, HEADS, HeadSpec, parse_head

__all__ = ["DENSE", "HEADS", "Head", "HeadFacts", "HeadSpec", "parse_head"]
