"""The settings of every command: EasyTransfer's keys under their own names and sections, and ours beside them."""

from dataclasses import dataclass

from easytransfer_mtl.config.common import (
    DISTRIBUTION,
    EVALUATE,
    MODEL,
    OPTIMIZER,
    PRECISIONS,
    PREDICT,
    PREPROCESS,
    TRAIN,
    VOCABULARY_RULE,
    VOCABULARY_RULES,
    CommonSettings,
)
from easytransfer_mtl.config.convert_settings import ConvertSettings, EasyTransferSettings
from easytransfer_mtl.config.ensemble_settings import (
    CheckpointsSettings,
    EvaluatedSettings,
    FoldSettings,
    SplitSettings,
)
from easytransfer_mtl.config.head_settings import HeadSettings
from easytransfer_mtl.config.limits import (
    LARGEST_NORM,
    LARGEST_SEED,
    LONGEST_ROW,
    MOST_EPOCHS,
    MOST_ROWS,
    MOST_STEPS,
    SMALLEST_SEED,
)
from easytransfer_mtl.config.loss_settings import LossSettings
from easytransfer_mtl.config.options import option
from easytransfer_mtl.config.pretrain_settings import PretrainSettings
from easytransfer_mtl.config.sharing_settings import SharingSettings
from easytransfer_mtl.config.weighting_settings import WeightingSettings
from easytransfer_mtl.seeding import DEFAULT_SEED

STRATEGIES = ("None", "MirroredStrategy", "MultiWorkerMirroredStrategy", "CollectiveAllReduceStrategy")
BOARDS = ("auto", "test", "b", "a")


@dataclass(frozen=True, kw_only=True)
class TrainSettings(FoldSettings, HeadSettings, SharingSettings, LossSettings, WeightingSettings, EasyTransferSettings):
    """Training, and evaluation after it."""

    pretrain_model_name_or_path: str | None = option(
        MODEL, "encoder: Hugging Face name or folder, EasyTransfer name, or TF1 checkpoint prefix", required=True
    )
    vocabulary_rule: str = option(MODEL, VOCABULARY_RULE, "auto", choices=VOCABULARY_RULES)
    random_init: bool = option(MODEL, "start from random weights; reads config.json and vocab.txt only", False)
    random_pooler: bool = option(MODEL, "draw a random pooler if the checkpoint has none", False)
    gelu: str = option(
        MODEL, "auto: tanh where EasyTransfer used it, else as config.json says", "auto", choices=("auto", "tanh", "exact")
    )
    train_input_fp: str | None = option(TRAIN, "*.list_tfrecord (one path a line) or one TFRecord file", required=True)
    train_batch_size: int | None = option(
        TRAIN,
        "rows a batch, all of one task; on each GPU or worker, if there are several",
        required=True,
        minimum=1,
        maximum=MOST_ROWS,
    )
    num_epochs: float = option(
        TRAIN, "passes over all rows together; fractions allowed", 1.0, minimum=0, maximum=MOST_EPOCHS
    )
    model_dir: str | None = option(TRAIN, "folder of the run: checkpoints, logs, best/", required=True)
    save_steps: int | None = option(
        TRAIN, "steps between checkpoints; default once per epoch, 0 start and end only", minimum=0, maximum=MOST_STEPS
    )
    keep_checkpoint_max: int = option(TRAIN, "checkpoints kept", 10, minimum=1, maximum=1_000_000)
    log_step_count_steps: int = option(TRAIN, "steps between progress lines", 100, minimum=1, maximum=MOST_STEPS)
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
    gradient_clip: bool = option(OPTIMIZER, "clip by global norm", True)
    clip_norm_value: float = option(OPTIMIZER, "norm to clip to", 1.0, above=0, maximum=LARGEST_NORM)
    num_freezed_layers: int = option(OPTIMIZER, "encoder layers to freeze, from the bottom", 0, minimum=0, maximum=1000)
    distribution_strategy: str | None = option(
        DISTRIBUTION,
        "several GPUs (Mirrored) or machines (MultiWorkerMirrored, CollectiveAllReduce)",
        "None",
        choices=STRATEGIES,
    )
    num_accumulated_batches: int = option(
        DISTRIBUTION, "batches whose gradients are averaged for one step", 1, minimum=1, maximum=10_000
    )
    idle_heads: str = option(
        TRAIN,
        "heads of the other tasks: zero gives them zero gradients (the original), skip leaves them alone",
        "zero",
        choices=("zero", "skip"),
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
    precision: str = option(
        TRAIN,
        "CPU only: bfloat16 computes training's matrix products in bfloat16 (differs from the original; faster)",
        "float32",
        choices=PRECISIONS,
    )
    seed: int = option(TRAIN, "seed of everything random", DEFAULT_SEED, minimum=SMALLEST_SEED, maximum=LARGEST_SEED)
    predict_input_fp: str | None = option(PREDICT, "dev files, evaluated after training; without it there is no evaluation")
    predict_batch_size: int = option(PREDICT, "rows a batch in evaluation", 64, minimum=1, maximum=MOST_ROWS)
    predict_precision: str = option(PREDICT, "the same as precision, for evaluation", "float32", choices=PRECISIONS)

    @property
    def is_distributed(self) -> bool:
        """Whether several GPUs or workers are to train."""
        return (self.distribution_strategy or "None") != "None"


@dataclass(frozen=True, kw_only=True)
class EvaluateSettings(EvaluatedSettings):
    """Every kept checkpoint of a run, or an average of models, on the dev files."""

    predict_input_fp: str | None = option(
        PREDICT, "dev files: *.list_tfrecord or one TFRecord file; not needed for a run that was trained with --fold"
    )
    predict_batch_size: int = option(PREDICT, "rows a batch", 64, minimum=1, maximum=MOST_ROWS)
    predict_precision: str = option(
        PREDICT, "CPU only: bfloat16 is faster and changes probabilities a little", "float32", choices=PRECISIONS
    )
    eval_input_fp: str | None = option(EVALUATE, "the same as predict_input_fp, which wins")
    eval_batch_size: int | None = option(
        EVALUATE, "the same as predict_batch_size, wins over it", minimum=1, maximum=MOST_ROWS
    )
    eval_checkpoint_path: str | None = option(
        EVALUATE,
        "evaluate this checkpoint prefix only (PREFIX@ema: its averages), export nothing; of a run, or a TF1 training "
        "checkpoint of EasyTransfer's with config.json and vocab.txt beside it",
    )
    swa_checkpoints: int | None = option(
        EVALUATE,
        "score the mean of the last so many checkpoints too, 0 for none; default: as in training",
        minimum=0,
        maximum=1000,
    )
    num_eval_steps: int | None = option(
        EVALUATE, "at most this many batches a task; default all", minimum=1, maximum=MOST_STEPS
    )
    f1_labels: str = option(
        EVALUATE,
        "labels that macro-F1 averages over: present in truth or prediction (the original), or all",
        "present",
        choices=("present", "all"),
    )
    legacy_score: bool = option(EVALUATE, "also print the number that the original would have printed", False)


@dataclass(frozen=True, kw_only=True)
class PredictSettings(CheckpointsSettings):
    """Probabilities and labels for unlabelled files."""

    predict_input_fp: str | None = option(PREDICT, "TASK=FILE.csv,... of files without labels")
    data_dir: str | None = option(PREPROCESS, "instead: folder of contest files")
    board: str = option(
        PREDICT, "with data_dir: which test files; auto takes the first of test, b, a that is there", "auto", choices=BOARDS
    )
    predict_output_fp: str | None = option(
        PREDICT, "output folder: one CSV a task with ids, labels, probabilities", required=True
    )
    predict_batch_size: int = option(PREDICT, "rows a batch", 64, minimum=1, maximum=MOST_ROWS)
    predict_precision: str = option(
        PREDICT, "CPU only: bfloat16 is faster and changes probabilities a little", "float32", choices=PRECISIONS
    )
    header: bool = option(PREPROCESS, "pass over the first line of every CSV file", False)


@dataclass(frozen=True, kw_only=True)
class SubmitSettings(PredictSettings):
    """The contest's submission: predictions, three JSON-lines files, result.zip, check."""

    predict_output_fp: str | None = option(PREDICT, "output folder: a JSON-lines file a task, result.zip", required=True)


@dataclass(frozen=True, kw_only=True)
class CheckSubmissionSettings(CommonSettings):
    """Check of a result.zip or of a folder with the three files."""

    tasks_file: str | None = option("", "JSON file with your own tasks; default: TNEWS, OCEMOTION, OCNLI")
    submission: str | None = option(None, "result.zip, or the folder of the three files", required=True)
    predict_input_fp: str | None = option(PREDICT, "TASK=FILE.csv,... of the test files, to compare ids with")
    data_dir: str | None = option(PREPROCESS, "instead: folder of contest files")
    board: str = option(
        PREDICT, "with data_dir: which test files; auto takes the first of test, b, a that is there", "auto", choices=BOARDS
    )
    header: bool = option(PREPROCESS, "whether the first line of every test file is a header", False)


ALL_SETTINGS: tuple[type, ...] = (
    SplitSettings,
    ConvertSettings,
    PretrainSettings,
    TrainSettings,
    EvaluateSettings,
    PredictSettings,
    SubmitSettings,
    CheckSubmissionSettings,
)
