"""The options of the sharing structures, as a model keeps them."""

from dataclasses import dataclass


@dataclass(frozen=True)
class SharingOptions:
    """What the structures take; each reads its own. The setting of the same name says what an option does.

    Attributes:
        soft_weight: weight of the distance.
        soft_distance: ``squared_l2``, or ``l2``, of each layer.
        soft_layers: tied parts with their weights, see ``parse_layer_weights``; None for all.
        private_part: ``top``, ``encoder`` or ``adapter``.
        private_layers: layers of the private part; None for the part's own default.
        private_width: of a private encoder.
        adapter_size: width of an adapter's bottleneck.
        combine: ``concat`` or ``gate``.
        orthogonality_weight: weight of the shared and private parts' overlap.
        adversarial_weight: factor of the reversed gradient; 0 for no discriminator.
        memory_slots: vectors in the memory.
        experts: experts of all tasks.
        task_experts: experts of each task.
        ple_levels: levels of experts.
        expert_size: width of an expert's output; None for the encoder's.
    """

    soft_weight: float = 0.01
    soft_distance: str = "squared_l2"
    soft_layers: str | None = None
    private_part: str = "top"
    private_layers: int | None = None
    private_width: int = 128
    adapter_size: int = 64
    combine: str = "concat"
    orthogonality_weight: float = 0.01
    adversarial_weight: float = 0.0
    memory_slots: int = 32
    experts: int = 4
    task_experts: int = 2
    ple_levels: int = 2
    expert_size: int | None = None

    def depth(self, num_layers: int) -> int:
        """Returns the layers of the private part, for an encoder of ``num_layers``."""
        defaults = {"top": 1, "encoder": 2, "adapter": num_layers}
        return defaults[self.private_part] if self.private_layers is None else self.private_layers


OPTIONS_OF = {
    "hard": (),
    "soft": ("soft_weight", "soft_distance", "soft_layers"),
    "shared_private": ("private_part", "private_layers"),
    "memory": ("memory_slots",),
    "mmoe": ("experts", "expert_size"),
    "ple": ("experts", "task_experts", "ple_levels", "expert_size"),
}  # fmt: skip
"""Structure -> the options that it reads."""
COMBINED = ("combine", "orthogonality_weight", "adversarial_weight")
OPTIONS_OF_PART = {"top": COMBINED, "encoder": ("private_width", *COMBINED), "adapter": ("adapter_size",)}
"""Private part -> the options that shared_private reads with it beside its own."""
SIZES = (
    "private_layers", "private_width", "adapter_size", "memory_slots", "experts", "task_experts", "ple_levels",
    "expert_size",
)  # fmt: skip
"""Options that a structure's size grows with."""


def options_read(sharing: str, private_part: str, private_layers: int | None = None) -> tuple[str, ...]:
    """Returns the options that a structure reads, given those that decide what shared_private reads."""
    if sharing != "shared_private":
        return OPTIONS_OF[sharing]
    of_part = OPTIONS_OF_PART[private_part]
    if private_layers == 0:  # nothing private, but there can be an adversary
        of_part = tuple(name for name in of_part if name == "adversarial_weight")
    return OPTIONS_OF[sharing] + of_part
