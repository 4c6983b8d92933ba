"""The settings of folds and of averaged models."""

from dataclasses import dataclass

from easytransfer_mtl.config.common import EVALUATE, PREDICT, PREPROCESS, TRAIN, BadRowSettings, CommonSettings
from easytransfer_mtl.config.limits import LARGEST_SEED, SMALLEST_SEED
from easytransfer_mtl.config.options import option
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.seeding import DEFAULT_SEED

TASKS_HELP = "JSON file with the tasks of a TF1 checkpoint of EasyTransfer's (default: TNEWS, OCEMOTION, OCNLI); others tell"


@dataclass(frozen=True, kw_only=True)
class SplitSettings(BadRowSettings):
    """Labelled files to folds."""

    tasks_file: str | None = option("", "JSON file with your own tasks; default: TNEWS, OCEMOTION, OCNLI")
    data_dir: str | None = option(PREPROCESS, "folder of contest files; every task's train file is split", required=True)
    output_dir: str | None = option(PREPROCESS, "where folds.json and a CSV a task go", required=True)
    folds: int = option(PREPROCESS, "number of folds", 5, json_key="num_folds", minimum=2, maximum=100_000)
    seed: int = option(
        PREPROCESS, "seed of the order in which rows are dealt", DEFAULT_SEED, minimum=SMALLEST_SEED, maximum=LARGEST_SEED
    )
    include_dev: bool = option(PREPROCESS, "split the dev files' rows too, together with the train files'", False)
    header: bool = option(PREPROCESS, "pass over the first line of every CSV file", False)


@dataclass(frozen=True, kw_only=True)
class FoldSettings(CommonSettings):
    """The part of training's settings that takes one fold out of the training rows."""

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
class CheckpointsSettings(CommonSettings):
    """Which model or models predict."""

    tasks_file: str | None = option("", TASKS_HELP)
    predict_checkpoint_path: str | None = option(
        PREDICT,
        "one model: best/ or the folder of a run, or a checkpoint prefix (model_dir/model.ckpt-1234; with @ema behind it "
        "its moving averages), also a TF1 training checkpoint of EasyTransfer's",
    )
    checkpoints: str | None = option(
        PREDICT, "instead: several, A,B,... or a pattern such as 'runs/fold_*', whose probabilities are averaged"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if bool(self.predict_checkpoint_path) == bool(self.checkpoints):
            what = "not both" if self.checkpoints else "neither was given"
            raise UserError(f"Give --predict_checkpoint_path (one model) or --checkpoints (an average); {what}.")


@dataclass(frozen=True, kw_only=True)
class EvaluatedSettings(CommonSettings):
    """What evaluate scores: a run, or an average of models."""

    tasks_file: str | None = option("", TASKS_HELP)
    model_dir: str | None = option(TRAIN, "folder of the run; every kept checkpoint is scored")
    checkpoints: str | None = option(
        PREDICT, "instead: score the average of these models and each alone, A,B,... or a pattern such as 'runs/fold_*'"
    )
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
