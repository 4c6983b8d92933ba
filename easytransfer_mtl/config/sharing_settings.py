"""How tasks share the encoder: the structure and its options."""

from dataclasses import dataclass

from easytransfer_mtl.config.common import MODEL, CommonSettings
from easytransfer_mtl.config.limits import MOST_UNITS
from easytransfer_mtl.config.options import option

SHARING = f"{MODEL}.sharing"
SHARINGS = ("hard", "soft", "shared_private", "memory", "mmoe", "ple")
SOFT_DISTANCES = ("squared_l2", "l2")
PRIVATE_PARTS = ("top", "encoder", "adapter")
COMBINATIONS = ("concat", "gate")


@dataclass(frozen=True, kw_only=True)
class SharingSettings(CommonSettings):
    """The part of training's settings that decides what tasks have in common."""

    sharing: str = option(
        SHARING,
        "hard is the original's, one encoder for all; docs/sharing.md describes all",
        "hard",
        choices=SHARINGS,
        json_key="name",
    )
    soft_weight: float = option(
        SHARING, "soft: weight of the distance between the tasks' encoders", 0.01, minimum=0, maximum=1_000_000
    )
    soft_distance: str = option(SHARING, "soft: distance between two encoders' layers", "squared_l2", choices=SOFT_DISTANCES)
    soft_layers: str | None = option(
        SHARING,
        "soft: parts that are tied, each with its weight or 1: embeddings=0.1,0-5,6-11=0.5,pooler; layers count from 0; "
        "default all",
    )
    private_part: str = option(
        SHARING,
        "shared_private: each task's own top layers, own small encoder, or adapters in the shared layers",
        "top",
        choices=PRIVATE_PARTS,
    )
    private_layers: int | None = option(
        SHARING,
        "shared_private: layers of the private part, or upper layers with adapters; default top 1, encoder 2, adapter all",
        minimum=0,
        maximum=1000,
    )
    private_width: int = option(SHARING, "shared_private, encoder: its width", 128, minimum=1, maximum=MOST_UNITS)
    adapter_size: int = option(
        SHARING, "shared_private, adapter: width of the bottleneck", 64, minimum=1, maximum=MOST_UNITS
    )
    combine: str = option(
        SHARING, "shared_private: how heads see the shared and the private part", "concat", choices=COMBINATIONS
    )
    orthogonality_weight: float = option(
        SHARING,
        "shared_private, top and encoder: weight of the shared and private parts' overlap",
        0.01,
        minimum=0,
        maximum=1_000_000,
    )
    adversarial_weight: float = option(
        SHARING,
        "shared_private, top and encoder: reversed gradient of a classifier of tasks on the shared part, for instance 0.05",
        0.0,
        minimum=0,
        maximum=1_000_000,
    )
    memory_slots: int = option(SHARING, "memory: vectors in it", 32, minimum=1, maximum=MOST_UNITS)
    experts: int = option(SHARING, "mmoe, ple: experts of all tasks", 4, minimum=1, maximum=1000)
    task_experts: int = option(SHARING, "ple: experts of each task", 2, minimum=1, maximum=1000)
    ple_levels: int = option(SHARING, "ple: levels of experts", 2, minimum=1, maximum=100)
    expert_size: int | None = option(
        SHARING, "mmoe, ple: width of an expert's output; default the encoder's", minimum=1, maximum=MOST_UNITS
    )
