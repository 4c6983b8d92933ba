"""How training weighs its tasks: the loss weighting and its options, what a step holds, how tasks are drawn."""

from dataclasses import dataclass

from easytransfer_mtl.config.common import TRAIN, WEIGHTING, CommonSettings
from easytransfer_mtl.config.limits import LARGEST_NORM, MOST_STEPS
from easytransfer_mtl.config.options import option

LOSS_WEIGHTINGS = (
    "equal", "fixed", "uncertainty", "gradnorm", "dwa", "dtp", "mgda", "rlw", "imtl_l", "imtl_g", "pcgrad", "cagrad", "nash",
    "upgrad", "famo",
)  # fmt: skip
STEP_MODES = ("alternating", "joint")
GRAM_VARIABLES = ("all", "last_layer", "pooler")
UNCERTAINTY_FORMS = ("classification", "regression", "revised")
INITIAL_LOSSES = ("first", "log_classes")
MGDA_NORMALIZATIONS = ("none", "l2", "loss", "loss+")
CAGRAD_RESCALINGS = ("none", "1+c", "1+c^2")
TASK_SAMPLINGS = ("round_robin", "proportional", "temperature", "annealed", "explicit")


@dataclass(frozen=True, kw_only=True)
class WeightingSettings(CommonSettings):
    """The part of training's settings that decides what each task counts for."""

    loss_weighting: str = option(
        WEIGHTING,
        "equal is the original's; docs/weighting.md describes all",
        "equal",
        choices=LOSS_WEIGHTINGS,
        json_key="name",
    )
    step_mode: str = option(
        TRAIN,
        "alternating: a step has one task's batch (the original); joint: a batch of every task",
        "alternating",
        choices=STEP_MODES,
    )
    joint_batch_sizes: str | None = option(
        TRAIN, "with joint: rows of the tasks' batches, tnews=32,ocnli=16; default train_batch_size"
    )
    task_sampling: str = option(
        TRAIN,
        "with alternating: whose batch a step gets; round_robin is the original's, temperature draws with "
        "rows^(1/sampling_temperature), annealed goes from proportional to nearly uniform, explicit takes task_rates",
        "round_robin",
        choices=TASK_SAMPLINGS,
    )
    sampling_temperature: float = option(
        TRAIN, "with temperature: 1 is proportional, large is uniform", 2.0, minimum=1, maximum=1_000_000
    )
    task_rates: str | None = option(TRAIN, "with explicit: how often each task is drawn, tnews=2,ocemotion=1,ocnli=1.5")
    on_nonfinite: str = option(
        TRAIN, "a loss or gradient that is no number: stop, or skip the step and count it", "stop", choices=("stop", "skip")
    )
    log_gradients_every: int = option(
        TRAIN, "steps between measurements of all tasks' gradients and their cosines; 0: only where the method has them",
        0, minimum=0, maximum=MOST_STEPS)  # fmt: skip
    scale_heads: bool = option(WEIGHTING, "whether a task's weight scales its head's gradient too", True)
    gram_variables: str | None = option(
        WEIGHTING,
        "encoder variables whose gradients the Gram matrix is of; default all, with gradnorm last_layer",
        choices=GRAM_VARIABLES,
    )
    task_weights: str | None = option(WEIGHTING, "fixed: ocnli=1.5,ocemotion=1,tnews=1")
    weighting_learning_rate: float = option(
        WEIGHTING,
        "uncertainty, gradnorm, imtl_l, famo: rate of the learned weights' own Adam",
        0.025,
        minimum=0,
        maximum=1000,
    )
    uncertainty_form: str = option(
        WEIGHTING, "uncertainty: form of the objective", "classification", choices=UNCERTAINTY_FORMS
    )
    uncertainty_start: float = option(WEIGHTING, "uncertainty: first log variance", 0.0, minimum=-50, maximum=50)
    gradnorm_alpha: float = option(WEIGHTING, "gradnorm: power of the training rates", 1.5, minimum=0, maximum=100)
    gradnorm_initial_losses: str = option(
        WEIGHTING, "gradnorm: L(0), the first step's or ln(classes)", "first", choices=INITIAL_LOSSES
    )
    dwa_temperature: float = option(WEIGHTING, "dwa: softmax temperature", 2.0, minimum=1e-6, maximum=1_000_000)
    dwa_steps_per_epoch: int | None = option(
        WEIGHTING, "dwa: steps of an epoch; default rows / rows a step", minimum=1, maximum=MOST_STEPS
    )
    dtp_gamma: str = option(WEIGHTING, "dtp: power, one number or ocnli=1,tnews=2 (others 1)", "1")
    dtp_focal_gamma: float = option(
        WEIGHTING, "dtp: power of the focal loss within a task; 0 is off", 1.0, minimum=0, maximum=100
    )
    dtp_smoothing: float = option(
        WEIGHTING, "dtp: share of the new value in the running indicator", 0.1, minimum=0, maximum=1
    )
    dtp_normalize: bool = option(WEIGHTING, "dtp: scale the weights to sum to the number of tasks", False)
    dtp_kpi_file: str | None = option(
        WEIGHTING, 'dtp: JSON file of fixed indicators, {"tnews": 0.55, ...}; default: running training accuracy'
    )
    mgda_normalization: str = option(
        WEIGHTING, "mgda: what gradients are divided by first", "none", choices=MGDA_NORMALIZATIONS
    )
    cagrad_c: float = option(WEIGHTING, "cagrad: how far from the mean gradient, 0 to below 1", 0.4, minimum=0, maximum=1)
    cagrad_rescale: str = option(WEIGHTING, "cagrad: what the step is divided by", "none", choices=CAGRAD_RESCALINGS)
    nash_max_norm: float = option(
        WEIGHTING, "nash: longest combined gradient; 0 is no limit", 1.0, minimum=0, maximum=LARGEST_NORM
    )
    nash_update_every: int = option(WEIGHTING, "nash: steps between new weights", 1, minimum=1, maximum=MOST_STEPS)
    famo_gamma: float = option(WEIGHTING, "famo: pull of the logits to 0", 0.001, minimum=0, maximum=1000)
    famo_lower_bounds: str | None = option(WEIGHTING, "famo: least possible losses, tnews=0.1; default 0")
