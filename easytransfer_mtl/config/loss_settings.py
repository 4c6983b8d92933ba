"""What training does to a task's loss, its tokens and its weights: label weights, R-Drop, attacks, averages, stopping."""

from dataclasses import dataclass

from easytransfer_mtl.config.common import EVALUATE, OPTIMIZER, TRAIN, CommonSettings
from easytransfer_mtl.config.options import option

ADVERSARIES = ("none", "fgm", "pgd")


@dataclass(frozen=True, kw_only=True)
class LossSettings(CommonSettings):
    """The part of training's settings that is about losses inside a task, averaged weights and early stopping."""

    class_weights: str = option(
        TRAIN,
        "weights of the labels in each task's loss by their frequency n: inverse (1/n), log (1/ln(1.02+share)), effective "
        "((1-b)/(1-b^n)) or none, for all tasks or tnews=log,ocnli=inverse (others none)",
        "none",
    )
    label_smoothing: str = option(
        TRAIN, "share of each row's label that is spread over all labels, for all tasks or tnews=0.1 (others 0)", "0"
    )
    focal_gamma: str = option(
        TRAIN, "power of (1 - p) that a row's loss is multiplied by, for all tasks or tnews=2 (others 0, which is off)", "0"
    )
    rdrop_alpha: float = option(
        TRAIN, "R-Drop: each row twice, and this share of how far the two outputs differ (paper: 1 to 5); 0 is off",
        0.0, minimum=0, maximum=1000)  # fmt: skip
    token_dropout: str = option(
        TRAIN, "share of each text's tokens that training shows as [MASK], for all tasks or tnews=0.1 (others 0)", "0"
    )
    adversarial: str = option(
        TRAIN, "train on attacked word embeddings too: fgm one step, pgd several", "none", choices=ADVERSARIES
    )
    adversarial_epsilon: float = option(
        TRAIN,
        "fgm, pgd: norm of the attack, at most; on the contest's dev files 0.1 changed the mean macro-F1 by -.003 (fgm) and "
        "-.002 (pgd), 1 by -.082",
        0.1,
        minimum=0,
        maximum=1000,
    )
    adversarial_alpha: float = option(TRAIN, "pgd: length of a step", 0.03, minimum=0, maximum=1000)
    adversarial_steps: int = option(TRAIN, "pgd: steps; each costs a forward and a backward pass", 3, minimum=1, maximum=100)
    ema_decay: float = option(
        OPTIMIZER,
        "decay of a moving average of the weights, scored beside them, for instance 0.999; 0 is off",
        0.0,
        minimum=0,
        maximum=1,
    )
    swa_checkpoints: int = option(
        EVALUATE,
        "score the mean of the last so many kept checkpoints too (SWA), 2 or more; 0 is off",
        0,
        minimum=0,
        maximum=1000,
    )
    early_stopping_patience: int = option(
        TRAIN,
        "evaluate at every checkpoint; stop after so many without a higher mean score; 0 is off",
        0,
        minimum=0,
        maximum=1_000_000,
    )
