"""How checkpoints are scored, by evaluation and by a training that looks at its own."""

from dataclasses import dataclass


@dataclass(frozen=True)
class EvaluationOptions:
    """How checkpoints are scored.

    Attributes:
        batch_size: rows a batch.
        max_batches: at most this many batches a task; None for all rows.
        f1_labels: ``present`` or ``all``, see ``score_task``.
        legacy: also compute what the original would have printed.
        precision: ``float32``, or ``bfloat16`` for speed.
        swa_checkpoints: of how many of the last checkpoints to score the mean too; 0 for none.
    """

    batch_size: int = 64
    max_batches: int | None = None
    f1_labels: str = "present"
    legacy: bool = False
    precision: str = "float32"
    swa_checkpoints: int = 0
