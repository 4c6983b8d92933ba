"""How a train step treats its losses and gradients."""

from dataclasses import dataclass, field

from easytransfer_mtl.models.adversarial import Adversary
from easytransfer_mtl.models.task_losses import LossOptions
from easytransfer_mtl.models.token_dropout import TokenDropout


@dataclass(frozen=True)
class StepOptions:
    """How a train step treats its gradients; the defaults are EasyTransfer's.

    Attributes:
        clip_norm: global norm to clip to, or None for no clipping.
        num_frozen_layers: encoder layers whose gradients are zeroed, counted from the bottom.
        idle_heads: ``zero`` lets the optimizer move the heads of the other tasks on their moments (gradient zero, as in
            the original); ``skip`` leaves them and their optimizer state alone.
        num_accumulated_batches: parts that an alternating step's batch is computed in, their gradients averaged.
        loss: what is done to the tasks' cross entropy.
        scale_heads: whether a task's weight scales the gradients of its own variables too, or the shared ones' alone.
        gram_variables: shared variables whose gradients the Gram matrix is of: ``all``, ``last_layer`` or ``pooler``.
        on_nonfinite: ``skip`` leaves out a step whose loss or gradient is not finite.
        rdrop_alpha: what R-Drop's term counts for, 0 for no R-Drop; see ``rdrop.disagreement``.
        part_dropout: task name -> share of rows that each part of what it reads is left out of; see ``PartDropout``.
        token_dropout: which tokens steps show as [MASK], or None.
        adversary: the attack on the word embeddings that a step trains against too, or None.
    """

    clip_norm: float | None = 1.0
    num_frozen_layers: int = 0
    idle_heads: str = "zero"
    num_accumulated_batches: int = 1
    loss: LossOptions = field(default_factory=LossOptions)
    scale_heads: bool = True
    gram_variables: str = "all"
    on_nonfinite: str = "stop"
    rdrop_alpha: float = 0.0
    part_dropout: dict[str, float] = field(default_factory=dict)
    token_dropout: TokenDropout | None = None
    adversary: Adversary | None = None


DEFAULT_OPTIONS = StepOptions()
