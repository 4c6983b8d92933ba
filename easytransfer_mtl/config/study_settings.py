"""The settings of plot, report and compare."""

from dataclasses import dataclass

from easytransfer_mtl.config.base import CommonSettings
from easytransfer_mtl.config.options import option
from easytransfer_mtl.config.sections import MOST_STEPS, TRAIN
from easytransfer_mtl.config.train_settings import STEP_MODES, TrainSettings


@dataclass(frozen=True, kw_only=True)
class PlotSettings(CommonSettings):
    """Settings of plot: pictures of a run."""

    model_dir: str = option(None, "folder of the run; may stand without the flag's name", required=True)
    output: str | None = option(None, "where run.png and run.svg go; default: plots/ in the run's folder")
    smoothing: int = option(
        None, "values that each point is the mean of; 0: chosen to show about 60 points", 0, minimum=0, maximum=MOST_STEPS
    )


@dataclass(frozen=True, kw_only=True)
class ReportSettings(CommonSettings):
    """Settings of report: a page of evaluated runs."""

    runs: str = option(
        None,
        "folders of evaluated runs, or of evaluate --checkpoints --output_dir, A,B,...; may stand without the flag's name, "
        "separated by spaces",
        required=True,
    )
    output: str | None = option(
        None, "the page's file; default: report.html, of several runs comparison.html, in the (first) folder"
    )


VARIANTS = "equal; uncertainty; dwa; dtp; rlw; gradnorm; mgda; pcgrad; famo"
"""What is compared if nothing is named."""


@dataclass(frozen=True, kw_only=True)
class CompareSettings(TrainSettings):
    """Settings of compare: several settings trained over several seeds; all other flags apply to each training."""

    step_mode: str = option(TRAIN, "as train's, but joint by default", "joint", choices=STEP_MODES)
    variants: str | None = option(
        None,
        "what to compare with the first, separated by semicolons: a loss weighting and, after it, settings of its own, "
        "for instance: equal; fixed task_weights=ocnli=2; gradnorm gradnorm_alpha=0.5; "
        f"default: {VARIANTS}; with --budget all weightings of the step mode with values of their main option",
    )
    budget: str | None = option(
        None,
        "time for everything, for instance 2h, 90m, 3600s: short trainings find the variants that are worth a full length, "
        "see docs/weighting.md",
    )
    runs: str | None = option(
        None,
        "folders of finished, evaluated runs, A,B,...: they stand in the table beside the variants; without --variants, "
        "--budget and files to train on it is of them alone",
    )
    seeds: str = option(None, "comma list; every variant is trained with each, with --budget as the time allows", "1,2,3")
    single_task: bool = option(None, "train every task alone too, on as many of its batches", True)
    model_dir: str = option(TRAIN, "folder of the runs and of compare.txt, .csv and .json", required=True)
    jobs: int = option(None, "trainings at a time; each gets its share of the processor's cores", 1, minimum=1, maximum=1000)
    keep_runs: bool = option(None, "keep the finished runs' checkpoints and best/ folders", False)

    @property
    def trains(self) -> bool:
        """Whether there is anything to train; otherwise the table is of finished runs alone."""
        return not self.runs or any((self.variants, self.budget, self.train_input_fp))

    def needs(self, name: str) -> bool:
        """A table of finished runs needs its folder and nothing that a training needs."""
        return self.trains or name == "model_dir"
