"""The settings of the commands that look at runs instead of making one: benchmark, plot, compare."""

from dataclasses import dataclass

from easytransfer_mtl.config.common import TRAIN, CommonSettings
from easytransfer_mtl.config.options import option
from easytransfer_mtl.config.settings import TrainSettings
from easytransfer_mtl.config.weighting_settings import STEP_MODES


@dataclass(frozen=True, kw_only=True)
class BenchmarkSettings(CommonSettings):
    """Speed of conversion, training and prediction on this machine."""

    modelZooBasePath: str | None = option("", "folder of EasyTransfer's model zoo; default ~/.eztransfer_modelzoo")
    data_dir: str | None = option(None, "contest files; default: generated ones with the contest's lengths")
    tokenizer_name_or_path: str | None = option(None, "with data_dir: encoder whose vocab.txt is used")
    output: str | None = option(None, "write the results, every round's numbers included, to this JSON file too")
    parts: str = option(
        None,
        "what to measure; can be added: curves (cost against batch size, length, layers, width), profile (one step), "
        "weighting (a joint step of every loss weighting)",
        "conversion,training,shapes,prediction,first_step,start_up",
    )
    rounds: int = option(None, "rounds; everything is measured once a round, medians are compared", 3, minimum=1)
    sizes: str = option(None, "encoders, layers x width; all parts measure the first, shapes all", "12x768,4x256")
    shapes: str = option(None, "batches of the part shapes, rows x tokens", "32x40,16x128")
    train_batch_size: int = option(None, "rows a batch of our training and prediction", 64, minimum=1)
    sequence_length: int = option(None, "longest row, and what the original's recipe pads to", 128, minimum=5)


@dataclass(frozen=True, kw_only=True)
class PlotSettings(CommonSettings):
    """Pictures of a run."""

    model_dir: str | None = option(None, "folder of the run; may stand without the flag's name", required=True)
    output: str | None = option(None, "where run.png and run.svg go; default: plots/ in the run's folder")
    smoothing: int = option(None, "values that each point is the mean of; 0: chosen to show about 60 points", 0, minimum=0)


@dataclass(frozen=True, kw_only=True)
class CompareSettings(TrainSettings):
    """Trainings with several settings over several seeds, and their table; every other flag is each training's."""

    step_mode: str = option(TRAIN, "as train's, but joint unless told", "joint", choices=STEP_MODES)
    variants: str = option(
        None,
        "what to compare with the first, separated by semicolons: a loss weighting and, after it, settings of its own, "
        "for instance: equal; fixed task_weights=ocnli=2; gradnorm gradnorm_alpha=0.5",
        "equal; uncertainty; dwa; dtp; rlw; gradnorm; mgda; pcgrad; famo",
    )
    seeds: str = option(None, "comma list; every variant is trained with each", "1,2,3")
    single_task: bool = option(None, "train every task alone too, on as many of its batches", True)
    model_dir: str | None = option(TRAIN, "folder of the runs and of compare.txt, .csv and .json", required=True)
    jobs: int = option(None, "trainings at a time; each gets its share of the processor's cores", 1, minimum=1)
    keep_runs: bool = option(None, "keep the finished runs' checkpoints and best/ folders", False)
