"""The settings of the commands that use trained models: evaluate, predict, submit, check_submission, serve."""

from dataclasses import dataclass

from easytransfer_mtl.config.base import CommonSettings
from easytransfer_mtl.config.options import option
from easytransfer_mtl.config.sections import (
    BOARDS,
    EVALUATE,
    MOST_BODY_BYTES,
    MOST_CHARACTERS,
    MOST_ROWS,
    MOST_STEPS,
    PRECISIONS,
    PREDICT,
    PREDICT_PRECISION,
    PREPROCESS,
    SERVE,
    TEXT_FORMATS,
    TRAIN,
)
from easytransfer_mtl.errors import UserError

MODEL_CLASS_HELP = "class of your own that the model was trained with: file.py:Class or module:Class"
TRUST_HELP = "import the classes of its user's own that a model's folder names; they can do anything that you can"
TASKS_HELP = (
    "JSON file with the tasks of a TF1 checkpoint of EasyTransfer's (default: TNEWS, OCEMOTION, OCNLI); others name theirs"
)


CHECKPOINT_WEIGHTS_HELP = (
    "with checkpoints: the models' weights in the average, 0.5,0.3,0.2 in their order, or dev: each model's own dev score "
    "of each task; or by task, tnews=0.5:0.3:0.2,ocnli=dev; default: equal"
)


@dataclass(frozen=True, kw_only=True)
class CheckpointsSettings(CommonSettings):
    """The model that predicts, or the models whose probabilities are averaged, and how they run."""

    model_class: str | None = option(None, MODEL_CLASS_HELP, own_code=True)
    trust_own_code: bool = option(None, TRUST_HELP, False)
    tasks_file: str | None = option("", TASKS_HELP)
    predict_checkpoint_path: str | None = option(
        PREDICT,
        "one model: best/ or the folder of a run, or a checkpoint prefix (model_dir/model.ckpt-1234; with @ema behind it "
        "its moving averages), also a TF1 training checkpoint of EasyTransfer's",
    )
    checkpoints: str | None = option(
        PREDICT, "instead: several, A,B,... or a pattern such as 'runs/fold_*', whose probabilities are averaged"
    )
    checkpoint_weights: str | None = option(PREDICT, CHECKPOINT_WEIGHTS_HELP)
    predict_batch_size: int = option(PREDICT, "rows a batch", 64, minimum=1, maximum=MOST_ROWS)
    predict_precision: str = option(PREDICT, PREDICT_PRECISION, "float32", choices=PRECISIONS)

    def __post_init__(self) -> None:
        super().__post_init__()
        if bool(self.predict_checkpoint_path) == bool(self.checkpoints):
            what = "not both" if self.checkpoints else "neither was given"
            raise UserError(f"Give --predict_checkpoint_path (one model) or --checkpoints (an average); {what}.")
        _check_weights(self)


def _check_weights(settings: "CheckpointsSettings | EvaluatedSettings") -> None:
    if settings.checkpoint_weights and not settings.checkpoints:
        raise UserError("--checkpoint_weights are those of --checkpoints A,B,...; give these too, or leave the weights out.")


@dataclass(frozen=True, kw_only=True)
class EvaluatedSettings(CommonSettings):
    """What evaluate scores: a run or an average of models."""

    model_class: str | None = option(None, MODEL_CLASS_HELP, own_code=True)
    trust_own_code: bool = option(None, TRUST_HELP, False)
    tasks_file: str | None = option("", TASKS_HELP)
    model_dir: str | None = option(TRAIN, "folder of the run; every kept checkpoint is scored")
    checkpoints: str | None = option(
        PREDICT, "instead: score the average of these models and each alone, A,B,... or a pattern such as 'runs/fold_*'"
    )
    checkpoint_weights: str | None = option(PREDICT, CHECKPOINT_WEIGHTS_HELP)
    data_dir: str | None = option(
        None,
        "folder of contest files. Of a run: those that the dev TFRecords were converted from, for the ids and texts in "
        "rows.csv. With checkpoints: in place of dev TFRecords, every model reads the dev files with its own tokenizer",
    )
    header: bool = option(None, "with checkpoints and data_dir: pass over the first line of every CSV file", False)
    output_dir: str | None = option(EVALUATE, "with checkpoints: where the tables go")

    def __post_init__(self) -> None:
        super().__post_init__()
        one = getattr(self, "eval_checkpoint_path", None)
        if bool(self.model_dir) == bool(self.checkpoints) and (self.checkpoints or not one):
            what = "not both" if self.checkpoints else "neither was given"
            raise UserError(
                f"Give --model_dir (a run) or --checkpoints (an average); {what}. --eval_checkpoint_path (one checkpoint) "
                "needs neither."
            )
        if bool(self.checkpoints) != bool(self.output_dir):
            raise UserError("--checkpoints and --output_dir belong together: the tables of an average need a folder.")
        of_runs = ("eval_checkpoint_path", "num_eval_steps", "legacy_score")
        unfit = [f"--{name}" for name in of_runs if self.checkpoints and getattr(self, name, None)]
        if unfit:
            raise UserError(f"{', '.join(unfit)} is of a run, not of an average; leave it out with --checkpoints.")
        _check_weights(self)
        if self.data_dir and one and not self.checkpoints:
            raise UserError("--data_dir is for rows.csv, which is not written for one checkpoint; leave it out.")
        if self.header and not (self.data_dir and self.checkpoints):
            raise UserError("--header is about the CSV files that --checkpoints read (--data_dir); leave it out.")
        records = next((name for name in ("predict_input_fp", "eval_input_fp") if getattr(self, name, None)), None)
        if self.data_dir and records and self.checkpoints:
            raise UserError(f"--data_dir and --{records} are two kinds of dev files; give one (--{records}= takes it back).")
        if self.checkpoint_weights and not (self.data_dir or records):
            raise UserError(
                "--checkpoint_weights are those of an average, and without dev files each model is scored on its own fold; "
                "give --predict_input_fp or --data_dir, or leave the weights out."
            )


@dataclass(frozen=True, kw_only=True)
class EvaluateSettings(EvaluatedSettings):
    """Settings of evaluate: scores every kept checkpoint of a run, or an average of models, on the dev files."""

    predict_input_fp: str | None = option(
        PREDICT, "dev files: *.list_tfrecord or one TFRecord file; not needed for a run that was trained with --fold"
    )
    predict_batch_size: int = option(PREDICT, "rows a batch", 64, minimum=1, maximum=MOST_ROWS)
    predict_precision: str = option(PREDICT, PREDICT_PRECISION, "float32", choices=PRECISIONS)
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
class PredictingSettings(CheckpointsSettings):
    """What predict and submit have in common: the files without labels."""

    predict_input_fp: str | None = option(PREDICT, "TASK=FILE,... of files without labels")
    data_dir: str | None = option(PREPROCESS, "instead: folder of contest files")
    board: str = option(
        PREDICT, "with data_dir: which test files; auto takes the first of test, b, a that is there", "auto", choices=BOARDS
    )
    header: bool = option(PREPROCESS, "pass over the first line of every CSV file", False)


@dataclass(frozen=True, kw_only=True)
class PredictSettings(PredictingSettings):
    """Settings of predict: probabilities and labels for unlabelled files, or texts from the standard input (``-``)."""

    predict_output_fp: str = option(
        PREDICT,
        "output folder: a file a task with ids, labels, label names, probabilities; - for the standard output",
        required=True,
    )
    input_format: str = option(
        PREDICT,
        "contest: tab separated, with ids, without header; csv: with a header that names the columns; tsv: with tabs and a "
        "header, without quoting; jsonl: an object a line; text: a row a line, the texts of a pair separated by "
        "a tab; auto tells by the file's ending and first line",
        "auto",
        choices=("auto", *TEXT_FORMATS),
    )
    output_format: str = option(PREDICT, "csv, or jsonl: an object a line", "csv", choices=("csv", "jsonl"))


@dataclass(frozen=True, kw_only=True)
class SubmitSettings(PredictingSettings):
    """Settings of submit: predictions, three JSON-lines files, and the checked result.zip for the contest."""

    predict_output_fp: str = option(PREDICT, "output folder: a JSON-lines file a task, result.zip", required=True)


@dataclass(frozen=True, kw_only=True)
class CheckSubmissionSettings(CommonSettings):
    """Settings of check_submission: checks a result.zip, or a folder with the three files."""

    tasks_file: str | None = option("", "JSON file with your own tasks; default: TNEWS, OCEMOTION, OCNLI")
    submission: str = option(None, "result.zip, or the folder of the three files", required=True)
    predict_input_fp: str | None = option(PREDICT, "TASK=FILE.csv,... of the test files, to compare ids with")
    data_dir: str | None = option(PREPROCESS, "instead: folder of contest files")
    board: str = option(
        PREDICT, "with data_dir: which test files; auto takes the first of test, b, a that is there", "auto", choices=BOARDS
    )
    header: bool = option(PREPROCESS, "whether the first line of every test file is a header", False)


@dataclass(frozen=True, kw_only=True)
class ServeSettings(CheckpointsSettings):
    """Settings of serve: answers requests over HTTP, for programs and on a page for people."""

    host: str = option(
        SERVE, "address to listen on; 0.0.0.0 lets every machine of the network in, and nobody is asked for a password",
        "127.0.0.1",
    )  # fmt: skip
    port: int = option(SERVE, "port to listen on; 0 takes a free one, which is printed", 8000, minimum=0, maximum=65_535)
    max_texts: int = option(SERVE, "texts, or pairs of texts, a request", 256, minimum=1, maximum=MOST_ROWS)
    max_characters: int = option(SERVE, "characters a text", 10_000, minimum=1, maximum=MOST_CHARACTERS)
    max_body_bytes: int = option(SERVE, "bytes of a request's body", 1 << 20, minimum=100, maximum=MOST_BODY_BYTES)
    max_requests: int = option(
        SERVE, "requests at a time, waiting ones included; those beyond are refused with status 503", 256,
        minimum=1, maximum=10_000,
    )  # fmt: skip
    request_seconds: float = option(
        SERVE, "seconds that a client may take to send a request, and to read the answer", 10.0, above=0, maximum=3600
    )
