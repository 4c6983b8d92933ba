"""The settings of the commands that look at runs instead of making one: plot and compare."""

from dataclasses import dataclass

from easytransfer_mtl.config.common import TRAIN, CommonSettings
from easytransfer_mtl.config.limits import MOST_STEPS
from easytransfer_mtl.config.options import option
from easytransfer_mtl.config.settings import TrainSettings
from easytransfer_mtl.config.weighting_settings import STEP_MODES


@dataclass(frozen=True, kw_only=True)
class PlotSettings(CommonSettings):
    """Pictures of a run."""

    model_dir: str | None = option(None, "folder of the run; may stand without the flag's name", required=True)
    output: str | None = option(None, "where run.png and run.svg go; default: plots/ in the run's folder")
    smoothing: int = option(
        None, "values that each point is the mean of; 0: chosen to show about 60 points", 0, minimum=0, maximum=MOST_STEPS
    )


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
    jobs: int = option(None, "trainings at a time; each gets its share of the processor's cores", 1, minimum=1, maximum=1000)
    keep_runs: bool = option(None, "keep the finished runs' checkpoints and best/ folders", False)
