"""The settings of what further pre-training trains for."""

from dataclasses import dataclass

from easytransfer_mtl.config.common import PRETRAIN, CommonSettings
from easytransfer_mtl.config.options import option

OBJECTIVES = ("mlm", "electra")


@dataclass(frozen=True, kw_only=True)
class ObjectiveSettings(CommonSettings):
    """The part of pre-training's settings that decides what the encoder learns to tell."""

    objective: str = option(
        PRETRAIN,
        "mlm: which tokens were masked; electra: which tokens a small generator, trained beside, has replaced",
        "mlm",
        choices=OBJECTIVES,
    )
    generator_size: float = option(
        PRETRAIN,
        "electra: width of the generator's layers as a share of the encoder's; its depth is the same",
        0.25,
        minimum=0,
    )
    rtd_weight: float = option(
        PRETRAIN, "electra: weight of the loss of telling replaced tokens beside the generator's", 50.0, minimum=0
    )
