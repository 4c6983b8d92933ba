"""The settings of train, grouped by the part of the program that reads them."""

from dataclasses import dataclass

from easytransfer_mtl.config.base import Settings
from easytransfer_mtl.config.convert_settings import EasyTransferSettings
from easytransfer_mtl.config.options import ByTask, Conditions, OtherThan, option
from easytransfer_mtl.config.sections import (
    DISTRIBUTION,
    EVALUATE,
    LARGEST_NORM,
    LARGEST_SEED,
    LONGEST_ROW,
    MODEL,
    MOST_EPOCHS,
    MOST_ROWS,
    MOST_STEPS,
    MOST_UNITS,
    OPTIMIZER,
    PRECISIONS,
    PREDICT,
    SMALLEST_SEED,
    TOKENIZER,
    TOKENIZERS,
    TRAIN,
    VOCABULARY_RULE,
    VOCABULARY_RULES,
    WEIGHTING,
)
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.seeding import DEFAULT_SEED

SHARING = f"{MODEL}.sharing"
SHARINGS = ("hard", "soft", "shared_private", "memory", "mmoe", "ple")
SOFT_DISTANCES = ("squared_l2", "l2")
PRIVATE_PARTS = ("top", "encoder", "adapter")
COMBINATIONS = ("concat", "gate")
ADVERSARIES = ("none", "fgm", "pgd")
LOSS_WEIGHTINGS = (
    "equal", "fixed", "uncertainty", "gradnorm", "dwa", "dtp", "mgda", "rlw", "imtl_l", "imtl_g", "pcgrad", "cagrad", "nash",
    "upgrad", "famo", "aligned_mtl", "fairgrad", "stch", "gls", "uw_so", "db_mtl", "config", "dualproj", "gradvac",
    "cr_mogm", "krum", "graddrop", "trimmed_mean", "excess_mtl", "moco", "modo", "sdmgrad",
)  # fmt: skip
GRAM_WEIGHTINGS = (
    "gradnorm", "mgda", "imtl_g", "pcgrad", "cagrad", "nash", "upgrad", "aligned_mtl", "fairgrad", "db_mtl", "config",
    "dualproj", "gradvac", "cr_mogm", "krum", "modo", "sdmgrad",
)  # fmt: skip
STEP_MODES = ("alternating", "joint")
GRAM_VARIABLES = ("all", "last_layer", "pooler")
UNCERTAINTY_FORMS = ("classification", "regression", "revised")
INITIAL_LOSSES = ("first", "log_classes")
MGDA_NORMALIZATIONS = ("none", "l2", "loss", "loss+")
CAGRAD_RESCALINGS = ("none", "1+c", "1+c^2")
CR_MOGM_METHODS = ("mgda", "pcgrad", "cagrad")
TASK_SAMPLINGS = ("round_robin", "proportional", "temperature", "annealed", "explicit")
STRATEGIES = ("None", "MirroredStrategy", "MultiWorkerMirroredStrategy", "CollectiveAllReduceStrategy")
CLASS_WEIGHTS = ("inverse", "log", "effective")
WITH_TEACHER: Conditions = {"teacher": OtherThan(None)}


@dataclass(frozen=True, kw_only=True)
class StepModeSettings(Settings):
    """Whether a step has the batch of one task or of every task."""

    step_mode: str = option(
        TRAIN,
        "alternating: a step has one task's batch (the original); joint: a batch of every task",
        "alternating",
        choices=STEP_MODES,
    )


@dataclass(frozen=True, kw_only=True)
class EncoderSettings(Settings):
    """The encoder and its initial weights."""

    pretrain_model_name_or_path: str = option(
        MODEL, "encoder: Hugging Face name or folder, EasyTransfer name, or TF1 checkpoint prefix", required=True
    )
    tokenizer: str = option(MODEL, TOKENIZER, "auto", choices=TOKENIZERS)
    vocabulary_rule: str = option(MODEL, VOCABULARY_RULE, "auto", choices=VOCABULARY_RULES)
    random_init: bool = option(MODEL, "start from random weights; reads config.json and vocab.txt only", False)
    random_pooler: bool = option(MODEL, "draw a random pooler if the checkpoint has none", False)
    take_heads: str | None = option(
        MODEL,
        "heads of the checkpoint that tasks of the same labels start from, by name: ocnli=classifier (others random)",
        only_with={"random_init": OtherThan(True)},
        by_task=ByTask(str, one_for_all=False, keeps_case=True),
    )
    gelu: str = option(
        MODEL, "auto: tanh where EasyTransfer used it, else as config.json says", "auto", choices=("auto", "tanh", "exact")
    )


@dataclass(frozen=True, kw_only=True)
class HeadSettings(Settings):
    """The tasks' features and heads, see docs/features_heads.md."""

    features: str | None = option(
        MODEL,
        "what tasks read, one for all, ocnli=pair,tnews=cls+mean, or cls,ocnli=pair: pooled (the original), cls, mean, max, "
        "attention, attention_shared, pair, sequence, of the last layer or after layer4., first2., last4., mix. (mix.mean), "
        "and ngrams:65536:64, joined by +; default pooled, for heads of sequences sequence",
        by_task=ByTask(str, keeps_case=True),
        own_code=True,
    )
    heads: str | None = option(
        MODEL,
        "heads, one for all or ocnli=bilstm:128,tnews=mlp: dense (the original), mlp:256:tanh, multi_dropout:5, and of "
        "sequences lstm:128, bilstm:128, gru:128, textcnn:100, label_attention",
        by_task=ByTask(str, keeps_case=True),
        own_code=True,
    )
    head_dropout: str = option(
        MODEL,
        "dropout of what heads read, one rate for all or ocnli=0.3 (others 0.1)",
        "0.1",
        by_task=ByTask(float, 0.1),
        minimum=0,
        below=1,
    )
    part_dropout: str = option(
        TRAIN,
        "share of rows that training leaves a part of a feature out of (cls+ngrams has two), one rate for all or tnews=0.3 "
        "(others 0)",
        "0",
        by_task=ByTask(float, 0.0),
        minimum=0,
        below=1,
    )


@dataclass(frozen=True, kw_only=True)
class SharingSettings(Settings):
    """The sharing structure and its options, see docs/sharing.md."""

    sharing: str = option(
        SHARING,
        "hard is the original's, one encoder for all; docs/sharing.md describes all",
        "hard",
        choices=SHARINGS,
        json_key="name",
        own_code=True,
    )
    soft_weight: float = option(
        SHARING,
        "soft: weight of the distance between the tasks' encoders",
        0.01,
        minimum=0,
        maximum=1_000_000,
        only_with={"sharing": ("soft",)},
    )
    soft_distance: str = option(
        SHARING,
        "soft: distance between two encoders' layers",
        "squared_l2",
        choices=SOFT_DISTANCES,
        only_with={"sharing": ("soft",)},
    )
    soft_layers: str | None = option(
        SHARING,
        "soft: parts that are tied, each with its weight or 1: embeddings=0.1,0-5,6-11=0.5,pooler; layers count from 0; "
        "default all",
        only_with={"sharing": ("soft",)},
    )
    private_part: str = option(
        SHARING,
        "shared_private: each task's own top layers, own small encoder, or adapters in the shared layers",
        "top",
        choices=PRIVATE_PARTS,
        only_with={"sharing": ("shared_private",)},
    )
    private_layers: int | None = option(
        SHARING,
        "shared_private: layers of the private part, or upper layers with adapters; default top 1, encoder 2, adapter all",
        minimum=0,
        maximum=1000,
        only_with={"sharing": ("shared_private",)},
    )
    private_width: int = option(
        SHARING,
        "shared_private, encoder: its width",
        128,
        minimum=1,
        maximum=MOST_UNITS,
        only_with={"sharing": ("shared_private",), "private_part": ("encoder",), "private_layers": OtherThan(0)},
    )
    adapter_size: int = option(
        SHARING,
        "shared_private, adapter: width of the bottleneck",
        64,
        minimum=1,
        maximum=MOST_UNITS,
        only_with={"sharing": ("shared_private",), "private_part": ("adapter",), "private_layers": OtherThan(0)},
    )
    combine: str = option(
        SHARING,
        "shared_private: how heads see the shared and the private part",
        "concat",
        choices=COMBINATIONS,
        only_with={"sharing": ("shared_private",), "private_part": ("top", "encoder"), "private_layers": OtherThan(0)},
    )
    orthogonality_weight: float = option(
        SHARING,
        "shared_private, top and encoder: weight of the shared and private parts' overlap",
        0.01,
        minimum=0,
        maximum=1_000_000,
        only_with={"sharing": ("shared_private",), "private_part": ("top", "encoder"), "private_layers": OtherThan(0)},
    )
    adversarial_weight: float = option(
        SHARING,
        "shared_private, top and encoder: reversed gradient of a classifier of tasks on the shared part, for instance 0.05",
        0.0,
        minimum=0,
        maximum=1_000_000,
        only_with={"sharing": ("shared_private",), "private_part": ("top", "encoder")},
    )
    memory_slots: int = option(
        SHARING, "memory: vectors in it", 32, minimum=1, maximum=MOST_UNITS, only_with={"sharing": ("memory",)}
    )
    experts: int = option(
        SHARING,
        "mmoe, ple: experts of all tasks",
        4,
        minimum=1,
        maximum=1000,
        only_with={"sharing": ("mmoe", "ple")},
    )
    task_experts: int = option(
        SHARING, "ple: experts of each task", 2, minimum=1, maximum=1000, only_with={"sharing": ("ple",)}
    )
    ple_levels: int = option(SHARING, "ple: levels of experts", 2, minimum=1, maximum=100, only_with={"sharing": ("ple",)})
    expert_size: int | None = option(
        SHARING,
        "mmoe, ple: width of an expert's output; default the encoder's",
        minimum=1,
        maximum=MOST_UNITS,
        only_with={"sharing": ("mmoe", "ple")},
    )

    def private_depth(self, num_layers: int) -> int:
        """Returns the number of layers in the private part of shared_private, for an encoder with ``num_layers`` layers."""
        usual = {"top": 1, "encoder": 2, "adapter": num_layers}
        return usual[self.private_part] if self.private_layers is None else self.private_layers


@dataclass(frozen=True, kw_only=True)
class ArchitectureSettings(HeadSettings, SharingSettings):
    """Features, heads and sharing structure of a model."""


@dataclass(frozen=True, kw_only=True)
class LossSettings(Settings):
    """Modifications of each task's cross entropy, see docs/losses.md."""

    class_weights: str = option(
        TRAIN,
        "weights of the labels in each task's loss by their frequency n: inverse (1/n), log (1/ln(1.02+share)), effective "
        "((1-b)/(1-b^n)) or none, for all tasks or tnews=log,ocnli=inverse (others none)",
        "none",
        by_task=ByTask(str),
        choices=("none", *CLASS_WEIGHTS),
    )
    label_smoothing: str = option(
        TRAIN,
        "share of each row's label that is spread over all labels, for all tasks or tnews=0.1 (others 0)",
        "0",
        by_task=ByTask(float, 0.0),
        minimum=0,
        below=1,
    )
    focal_gamma: str = option(
        TRAIN,
        "power of (1 - p) that a row's loss is multiplied by, for all tasks or tnews=2 (others 0, which is off)",
        "0",
        by_task=ByTask(float, 0.0),
        minimum=0,
    )


@dataclass(frozen=True, kw_only=True)
class DistillationSettings(Settings):
    """The teacher whose probabilities are learned beside the labels, see docs/distillation.md."""

    teacher: str | None = option(
        TRAIN,
        "models whose averaged probabilities are learned beside the labels: A,B,... or a pattern such as 'runs/seed_*', as "
        "predict's --checkpoints",
    )
    teacher_weights: str | None = option(
        TRAIN, "the models' weights in the average, as predict's --checkpoint_weights", only_with=WITH_TEACHER
    )
    teacher_data_dir: str | None = option(
        TRAIN,
        "folder of the CSV files that the training TFRecords were converted from: each model of the teacher reads the texts "
        "with its own tokenizer; without it all read the TFRecords, and must have their tokenizer",
        only_with=WITH_TEACHER,
    )
    distillation_unlabelled_fp: str | None = option(
        TRAIN,
        "TFRecords without labels (convert --labelled=false), *.list_tfrecord or one file: training rows with the teacher's "
        "probabilities alone",
        only_with=WITH_TEACHER,
    )
    distillation_temperature: float = option(
        TRAIN,
        "what logits and logarithms of the teacher's probabilities are divided by before they are compared",
        2.0,
        above=0,
        maximum=1000,
        only_with=WITH_TEACHER,
    )
    distillation_hard_share: float = option(
        TRAIN,
        "share of the labels' loss in what is minimized; the rest is the teacher's",
        0.5,
        minimum=0,
        maximum=1,
        only_with=WITH_TEACHER,
    )
    trust_own_code: bool = option(
        None,
        "import the classes of its user's own that a folder of the teacher names; they can do anything that you can",
        False,
        only_with=WITH_TEACHER,
    )


@dataclass(frozen=True, kw_only=True)
class StepSettings(StepModeSettings):
    """The train step, except the forward pass and the weighting."""

    precision: str = option(
        TRAIN,
        "number format of training's matrix products; bfloat16 and float16, which is trained with a dynamic loss scale, are "
        "faster on some machines and differ from the original: run doctor. On GPUs neither was ever run",
        "float32",
        choices=PRECISIONS,
    )
    gradient_clip: bool = option(OPTIMIZER, "clip by global norm", True)
    clip_norm_value: float = option(OPTIMIZER, "norm to clip to", 1.0, above=0, maximum=LARGEST_NORM)
    num_freezed_layers: int = option(OPTIMIZER, "encoder layers to freeze, from the bottom", 0, minimum=0, maximum=1000)
    num_accumulated_batches: int = option(
        DISTRIBUTION,
        "batches whose gradients are averaged for one step, in joint steps of each task",
        1,
        minimum=1,
        maximum=10_000,
    )
    idle_heads: str = option(
        TRAIN,
        "heads of the other tasks: zero gives them zero gradients (the original), skip leaves them alone",
        "zero",
        choices=("zero", "skip"),
    )
    scale_heads: bool = option(WEIGHTING, "whether a task's weight scales its head's gradient too", True)
    gram_variables: str | None = option(
        WEIGHTING,
        "encoder variables whose gradients the Gram matrix is of; default all, with gradnorm last_layer",
        choices=GRAM_VARIABLES,
        only_with={"loss_weighting": GRAM_WEIGHTINGS},
    )
    on_nonfinite: str = option(
        TRAIN, "a loss or gradient that is no number: stop, or skip the step and count it", "stop", choices=("stop", "skip")
    )
    rdrop_alpha: float = option(
        TRAIN,
        "R-Drop: each row twice, and this share of how far the two outputs differ (paper: 1 to 5); 0 is off",
        0.0,
        minimum=0,
        maximum=1000,
    )
    token_dropout: str = option(
        TRAIN,
        "share of each text's tokens that training shows as [MASK], for all tasks or tnews=0.1 (others 0)",
        "0",
        by_task=ByTask(float, 0.0),
        minimum=0,
        below=1,
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
        only_with={"adversarial": ("fgm", "pgd")},
    )
    adversarial_alpha: float = option(
        TRAIN, "pgd: length of a step", 0.03, minimum=0, maximum=1000, only_with={"adversarial": ("pgd",)}
    )
    adversarial_steps: int = option(
        TRAIN,
        "pgd: steps; each costs a forward and a backward pass",
        3,
        minimum=1,
        maximum=100,
        only_with={"adversarial": ("pgd",)},
    )
    ema_decay: float = option(
        OPTIMIZER,
        "decay of a moving average of the weights, scored beside them, for instance 0.999; 0 is off",
        0.0,
        minimum=0,
        maximum=1,
    )


@dataclass(frozen=True, kw_only=True)
class WeightingSettings(StepModeSettings):
    """The weighting of the tasks' losses, see docs/weighting.md."""

    loss_weighting: str = option(
        WEIGHTING,
        "equal is the original's; docs/weighting.md describes all",
        "equal",
        choices=LOSS_WEIGHTINGS,
        json_key="name",
        own_code=True,
    )
    task_weights: str | None = option(
        WEIGHTING,
        "fixed: ocnli=1.5,ocemotion=1,tnews=1",
        only_with={"loss_weighting": ("fixed",)},
        by_task=ByTask(float, 1.0, one_for_all=False),
    )
    weighting_learning_rate: float = option(
        WEIGHTING,
        "uncertainty, gradnorm, imtl_l, famo: rate of the learned weights' own Adam",
        0.025,
        minimum=0,
        maximum=1000,
        only_with={"loss_weighting": ("uncertainty", "gradnorm", "imtl_l", "famo")},
    )
    uncertainty_form: str = option(
        WEIGHTING,
        "uncertainty: form of the objective, for all tasks or sts=regression (others classification)",
        "classification",
        by_task=ByTask(str, "classification"),
        choices=UNCERTAINTY_FORMS,
        only_with={"loss_weighting": ("uncertainty",)},
    )
    uncertainty_start: float = option(
        WEIGHTING,
        "uncertainty: first log variance",
        0.0,
        minimum=-50,
        maximum=50,
        only_with={"loss_weighting": ("uncertainty",)},
    )
    gradnorm_alpha: float = option(
        WEIGHTING,
        "gradnorm: power of the training rates",
        1.5,
        minimum=0,
        maximum=100,
        only_with={"loss_weighting": ("gradnorm",)},
    )
    gradnorm_initial_losses: str = option(
        WEIGHTING,
        "gradnorm: L(0), the first step's or ln(classes)",
        "first",
        choices=INITIAL_LOSSES,
        only_with={"loss_weighting": ("gradnorm",)},
    )
    dwa_temperature: float = option(
        WEIGHTING, "dwa: softmax temperature", 2.0, minimum=1e-6, maximum=1_000_000, only_with={"loss_weighting": ("dwa",)}
    )
    dwa_steps_per_epoch: int | None = option(
        WEIGHTING,
        "dwa: steps of an epoch; default rows / rows a step",
        minimum=1,
        maximum=MOST_STEPS,
        only_with={"loss_weighting": ("dwa",)},
    )
    dtp_gamma: str = option(
        WEIGHTING,
        "dtp: power, one number or ocnli=1,tnews=2 (others 1)",
        "1",
        only_with={"loss_weighting": ("dtp",)},
        by_task=ByTask(float, 1.0),
    )
    dtp_focal_gamma: float = option(
        WEIGHTING,
        "dtp: power of the focal loss within a task; 0 is off",
        1.0,
        minimum=0,
        maximum=100,
        only_with={"loss_weighting": ("dtp",)},
    )
    dtp_smoothing: float = option(
        WEIGHTING,
        "dtp: share of the new value in the running indicator",
        0.1,
        minimum=0,
        maximum=1,
        only_with={"loss_weighting": ("dtp",)},
    )
    dtp_normalize: bool = option(
        WEIGHTING, "dtp: scale the weights to sum to the number of tasks", False, only_with={"loss_weighting": ("dtp",)}
    )
    dtp_kpi_file: str | None = option(
        WEIGHTING,
        'dtp: JSON file of fixed indicators, {"tnews": 0.55, ...}; default: running training accuracy',
        only_with={"loss_weighting": ("dtp",)},
    )
    mgda_normalization: str = option(
        WEIGHTING,
        "mgda: what gradients are divided by first",
        "none",
        choices=MGDA_NORMALIZATIONS,
        only_with={"loss_weighting": ("mgda",)},
    )
    cagrad_c: float = option(
        WEIGHTING,
        "cagrad: how far from the mean gradient, 0 to below 1",
        0.4,
        minimum=0,
        maximum=1,
        only_with={"loss_weighting": ("cagrad",)},
    )
    cagrad_rescale: str = option(
        WEIGHTING,
        "cagrad: what the step is divided by",
        "none",
        choices=CAGRAD_RESCALINGS,
        only_with={"loss_weighting": ("cagrad",)},
    )
    nash_max_norm: float = option(
        WEIGHTING,
        "nash: longest combined gradient; 0 is no limit",
        1.0,
        minimum=0,
        maximum=LARGEST_NORM,
        only_with={"loss_weighting": ("nash",)},
    )
    nash_update_every: int = option(
        WEIGHTING,
        "nash: steps between new weights",
        1,
        minimum=1,
        maximum=MOST_STEPS,
        only_with={"loss_weighting": ("nash",)},
    )
    famo_gamma: float = option(
        WEIGHTING, "famo: pull of the logits to 0", 0.001, minimum=0, maximum=1000, only_with={"loss_weighting": ("famo",)}
    )
    famo_lower_bounds: str | None = option(
        WEIGHTING,
        "famo: least possible losses, tnews=0.1; default 0",
        only_with={"loss_weighting": ("famo",)},
        by_task=ByTask(float, 0.0, one_for_all=False),
    )
    fairgrad_alpha: float = option(
        WEIGHTING,
        "fairgrad: fairness; 1 is nash, larger favours the task that gains least",
        2.0,
        minimum=0.5,
        maximum=10,
        only_with={"loss_weighting": ("fairgrad",)},
    )
    stch_mu: float = option(
        WEIGHTING,
        "stch: smoothness; near 0 only the largest loss counts",
        0.1,
        minimum=1e-6,
        maximum=1_000_000,
        only_with={"loss_weighting": ("stch",)},
    )
    stch_preferences: str | None = option(
        WEIGHTING,
        "stch: factors of the losses that are compared, ocnli=2 (others 1); only their ratios count",
        only_with={"loss_weighting": ("stch",)},
        by_task=ByTask(float, 1.0, one_for_all=False),
        above=0,
    )
    stch_ideal_losses: str | None = option(
        WEIGHTING,
        "stch: least possible losses, tnews=0.1; default 0",
        only_with={"loss_weighting": ("stch",)},
        by_task=ByTask(float, 0.0, one_for_all=False),
    )
    uw_so_temperature: float = option(
        WEIGHTING,
        "uw_so: softmax temperature of the inverse losses",
        2.0,
        minimum=1e-6,
        maximum=1_000_000,
        only_with={"loss_weighting": ("uw_so",)},
    )
    gradvac_beta: float = option(
        WEIGHTING,
        "gradvac: share of a step's cosines in their running mean",
        0.01,
        minimum=0,
        maximum=1,
        only_with={"loss_weighting": ("gradvac",)},
    )
    cr_mogm_method: str = option(
        WEIGHTING,
        "cr_mogm: whose weights are averaged over steps",
        "mgda",
        choices=CR_MOGM_METHODS,
        only_with={"loss_weighting": ("cr_mogm",)},
    )
    cr_mogm_alpha: float = option(
        WEIGHTING,
        "cr_mogm: share of the earlier weights in the average, 0 to below 1",
        0.9,
        minimum=0,
        maximum=1,
        only_with={"loss_weighting": ("cr_mogm",)},
    )
    krum_outliers: int = option(
        WEIGHTING,
        "krum: tasks whose gradients may be arbitrary; twice as many and 3 more tasks are needed",
        0,
        minimum=0,
        maximum=1000,
        only_with={"loss_weighting": ("krum",)},
    )
    krum_selected: int = option(
        WEIGHTING,
        "krum: tasks that a step trains",
        1,
        minimum=1,
        maximum=1000,
        only_with={"loss_weighting": ("krum",)},
    )
    graddrop_leaks: str = option(
        WEIGHTING,
        "graddrop: what a gradient of the sign that is not drawn is multiplied by, for all tasks or tnews=0.1 (others 0)",
        "0",
        by_task=ByTask(float, 0.0),
        minimum=0,
        maximum=1,
        only_with={"loss_weighting": ("graddrop",)},
    )
    trimmed_mean_trim_number: int = option(
        WEIGHTING,
        "trimmed_mean: values left out at each end; more than twice as many tasks are needed",
        1,
        minimum=0,
        maximum=1000,
        only_with={"loss_weighting": ("trimmed_mean",)},
    )
    excess_mtl_step_size: float = option(
        WEIGHTING,
        "excess_mtl: how fast weights follow the relative excess risks",
        0.01,
        minimum=0,
        maximum=1000,
        only_with={"loss_weighting": ("excess_mtl",)},
    )
    excess_mtl_warmup_steps: int = option(
        WEIGHTING,
        "excess_mtl: first steps, with equal weights, whose excess risks the later ones are relative to",
        1,
        minimum=1,
        maximum=MOST_STEPS,
        only_with={"loss_weighting": ("excess_mtl",)},
    )
    moco_beta: float = option(
        WEIGHTING,
        "moco: share of a step's gradients in the tracked ones, above 0",
        0.5,
        above=0,
        maximum=1,
        only_with={"loss_weighting": ("moco",)},
    )
    moco_gamma: float = option(
        WEIGHTING, "moco: rate of the weights", 0.1, minimum=0, maximum=1000, only_with={"loss_weighting": ("moco",)}
    )
    moco_rho: float = option(
        WEIGHTING, "moco: pull to equal weights", 0.0, minimum=0, maximum=1000, only_with={"loss_weighting": ("moco",)}
    )
    moco_decay: float = option(
        WEIGHTING,
        "moco: power of the step number that both rates are divided by",
        0.5,
        minimum=0,
        maximum=10,
        only_with={"loss_weighting": ("moco",)},
    )
    modo_gamma: float = option(
        WEIGHTING, "modo: rate of the weights", 0.001, minimum=0, maximum=1000, only_with={"loss_weighting": ("modo",)}
    )
    modo_rho: float = option(
        WEIGHTING, "modo: pull to equal weights", 0.1, minimum=0, maximum=1000, only_with={"loss_weighting": ("modo",)}
    )
    sdmgrad_lambda: float = option(
        WEIGHTING,
        "sdmgrad: share of the mean gradient; 0 is MGDA, large values the plain sum",
        0.3,
        minimum=0,
        maximum=1_000_000,
        only_with={"loss_weighting": ("sdmgrad",)},
    )
    sdmgrad_steps: int = option(
        WEIGHTING,
        "sdmgrad: steps of the weights in each train step",
        20,
        minimum=1,
        maximum=10_000,
        only_with={"loss_weighting": ("sdmgrad",)},
    )
    sdmgrad_rate: float = option(
        WEIGHTING,
        "sdmgrad: rate of these steps (the authors' 5 can jump)",
        0.5,
        minimum=0,
        maximum=1000,
        only_with={"loss_weighting": ("sdmgrad",)},
    )


@dataclass(frozen=True, kw_only=True)
class BatchSettings(StepModeSettings):
    """The batches of a step: sizes, sampling of tasks, order of rows, padding."""

    train_batch_size: int = option(
        TRAIN,
        "rows a batch, all of one task; on each GPU or worker, if there are several",
        required=True,
        minimum=1,
        maximum=MOST_ROWS,
    )
    joint_batch_sizes: str | None = option(
        TRAIN,
        "with joint: rows of the tasks' batches, tnews=32,ocnli=16; default train_batch_size",
        only_with={"step_mode": ("joint",)},
        by_task=ByTask(int, one_for_all=False),
        minimum=1,
    )
    task_sampling: str = option(
        TRAIN,
        "with alternating: whose batch a step gets; round_robin is the original's, temperature draws with "
        "rows^(1/sampling_temperature), annealed goes from proportional to nearly uniform, explicit takes task_rates",
        "round_robin",
        choices=TASK_SAMPLINGS,
        only_with={"step_mode": ("alternating",)},
        own_code=True,
    )
    sampling_temperature: float = option(
        TRAIN,
        "with temperature: 1 is proportional, large is uniform",
        2.0,
        minimum=1,
        maximum=1_000_000,
        only_with={"task_sampling": ("temperature",)},
    )
    task_rates: str | None = option(
        TRAIN,
        "with explicit: how often each task is drawn, tnews=2,ocemotion=1,ocnli=1.5",
        only_with={"task_sampling": ("explicit",)},
        by_task=ByTask(float, 0.0, one_for_all=False),
        above=0,
    )
    shuffle: bool = option(TRAIN, "reshuffle each task's rows every epoch", True)
    length_grouping: int = option(
        TRAIN,
        "sort this many batches at a time by length, so that less is padded; 1: off (the original)",
        1,
        minimum=1,
        maximum=100_000,
    )
    length_buckets: int = option(
        TRAIN,
        "pad to at most this many lengths, chosen to waste least; each costs compiling, so at most one for 20 steps",
        32,
        minimum=1,
        maximum=LONGEST_ROW,
    )
    pad_to_full_length: bool = option(
        TRAIN, "pad to the data's length instead of the batch's longest row (same numbers, slow)", False
    )


@dataclass(frozen=True, kw_only=True)
class OptimizerSettings(Settings):
    """The optimizer, and the learning rates of the model's parts."""

    optimizer: str = option(
        OPTIMIZER,
        "adam (AdamW with weight_decay_ratio > 0), lamb, adagrad, adadelta",
        "adam",
        choices=("adam", "lamb", "adagrad", "adadelta"),
    )
    learning_rate: float = option(OPTIMIZER, "peak rate before decay", 0.001, minimum=0, maximum=1000)
    weight_decay_ratio: float = option(OPTIMIZER, "weight decay, not for LayerNorm and biases", 0.0, minimum=0, maximum=1000)
    warmup_ratio: float = option(OPTIMIZER, "share of the steps with rising rate", 0.1, minimum=0, maximum=1)
    lr_decay: str | None = option(OPTIMIZER, "polynomial: linear to 0; anything else: constant", "polynomial")
    head_lr: str = option(
        OPTIMIZER,
        "factor of the learning rate for features, heads and a sharing structure's new layers, one for all or ocnli=10 "
        "(others 1)",
        "1",
        by_task=ByTask(float, 1.0),
        above=0,
    )
    layer_lr_decay: float = option(
        OPTIMIZER,
        "factor of the learning rate from each encoder layer to the one below; the top layer has it once, 1 is the original",
        1.0,
        above=0,
        maximum=1,
    )


@dataclass(frozen=True, kw_only=True)
class FoldSettings(Settings):
    """The fold that is left out of the training rows."""

    folds_file: str | None = option(TRAIN, "folds.json of the split command; rows of one fold become the dev rows")
    fold: int | None = option(
        TRAIN, "with folds_file: the fold to train without and to evaluate on, from 0", minimum=0, maximum=100_000
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.fold is None) != (not self.folds_file):
            raise UserError("--folds_file and --fold belong together: give both or neither.")
        if self.folds_file and getattr(self, "predict_input_fp", None):
            raise UserError(
                "--fold evaluates on its own rows, so there can be no --predict_input_fp beside it. Leave one of them out; "
                "the evaluate command scores a finished run on other files."
            )


@dataclass(frozen=True, kw_only=True)
class TrainSettings(
    FoldSettings,
    ArchitectureSettings,
    LossSettings,
    DistillationSettings,
    StepSettings,
    WeightingSettings,
    BatchSettings,
    OptimizerSettings,
    EncoderSettings,
    EasyTransferSettings,
):
    """Settings of train: training, and evaluation after it."""

    model_class: str | None = option(
        MODEL, "class of your own model instead of MultiTaskModel: file.py:Class or module:Class", own_code=True
    )
    train_input_fp: str = option(TRAIN, "*.list_tfrecord (one path a line) or one TFRecord file", required=True)
    num_epochs: float = option(
        TRAIN, "passes over all rows together; fractions allowed", 1.0, minimum=0, maximum=MOST_EPOCHS
    )
    model_dir: str = option(TRAIN, "folder of the run: checkpoints, logs, best/", required=True)
    save_steps: int | None = option(
        TRAIN, "steps between checkpoints; default once per epoch, 0 start and end only", minimum=0, maximum=MOST_STEPS
    )
    keep_checkpoint_max: int = option(TRAIN, "checkpoints kept", 10, minimum=1, maximum=1_000_000)
    log_step_count_steps: int = option(TRAIN, "steps between progress lines", 100, minimum=1, maximum=MOST_STEPS)
    log_gradients_every: int = option(
        TRAIN,
        "steps between measurements of all tasks' gradients and their cosines; 0: only where the method has them",
        0,
        minimum=0,
        maximum=MOST_STEPS,
    )
    distribution_strategy: str | None = option(
        DISTRIBUTION,
        "several GPUs (Mirrored) or machines (MultiWorkerMirrored, CollectiveAllReduce)",
        "None",
        choices=STRATEGIES,
    )
    seed: int = option(TRAIN, "seed of everything random", DEFAULT_SEED, minimum=SMALLEST_SEED, maximum=LARGEST_SEED)
    predict_input_fp: str | None = option(PREDICT, "dev files, evaluated after training; without it there is no evaluation")
    predict_batch_size: int = option(PREDICT, "rows a batch in evaluation", 64, minimum=1, maximum=MOST_ROWS)
    predict_precision: str = option(PREDICT, "the same as precision, for evaluation", "float32", choices=PRECISIONS)
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

    @property
    def is_distributed(self) -> bool:
        """Whether training uses several GPUs or workers."""
        return (self.distribution_strategy or "None") != "None"
