"""From what a task reads to its logits: one file a kind of head."""

from easytransfer_mtl.models.heads.base import Head, HeadFacts
from easytransfer_mtl.models.heads.spec import DENSE, HEADS, HeadSpec, parse_head

__all__ = ["DENSE", "HEADS", "Head", "HeadFacts", "HeadSpec", "parse_head"]
