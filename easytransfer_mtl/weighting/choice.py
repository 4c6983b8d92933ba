"""From ``--loss_weighting`` and its options to the weighting."""

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass

from easytransfer_mtl.config.weighting_settings import WeightingSettings
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.files import read_json
from easytransfer_mtl.seeding import DEFAULT_SEED
from easytransfer_mtl.weighting.base import TaskWeighting
from easytransfer_mtl.weighting.cagrad import CAGrad
from easytransfer_mtl.weighting.dtp import DTP
from easytransfer_mtl.weighting.dwa import DWA
from easytransfer_mtl.weighting.equal import Equal
from easytransfer_mtl.weighting.famo import FAMO
from easytransfer_mtl.weighting.fixed import Fixed
from easytransfer_mtl.weighting.gradnorm import GradNorm
from easytransfer_mtl.weighting.imtl_g import IMTLG
from easytransfer_mtl.weighting.imtl_l import IMTLL
from easytransfer_mtl.weighting.mgda import MGDA
from easytransfer_mtl.weighting.nash import Nash
from easytransfer_mtl.weighting.pcgrad import PCGrad
from easytransfer_mtl.weighting.rlw import RLW
from easytransfer_mtl.weighting.task_values import LARGEST, parse_task_numbers, parse_task_values
from easytransfer_mtl.weighting.uncertainty import Uncertainty
from easytransfer_mtl.weighting.upgrad import UPGrad

SINGLE_TASK = ("equal", "fixed")
"""What makes sense with one task too."""


@dataclass(frozen=True)
class RunFacts:
    """What methods need to know of a run: its tasks, their numbers of labels, its epoch in steps, its seed."""

    task_names: list[str]
    num_labels: list[int]
    steps_per_epoch: int = 1
    seed: int = DEFAULT_SEED

    @property
    def num_tasks(self) -> int:
        """K."""
        return len(self.task_names)


Settings = WeightingSettings
Maker = Callable[[Settings, RunFacts], TaskWeighting]


def _fixed(settings: Settings, run: RunFacts) -> Fixed:
    if not settings.task_weights:
        raise UserError("loss_weighting fixed needs --task_weights, for instance ocnli=1.5,ocemotion=1,tnews=1.")
    return Fixed(parse_task_values("task_weights", settings.task_weights, run.task_names, 1.0))


def _uncertainty(settings: Settings, run: RunFacts) -> Uncertainty:
    rate = settings.weighting_learning_rate
    return Uncertainty(run.num_tasks, settings.uncertainty_form, settings.uncertainty_start, rate)


def _gradnorm(settings: Settings, run: RunFacts) -> GradNorm:
    known = settings.gradnorm_initial_losses == "log_classes"
    initial = [math.log(count) for count in run.num_labels] if known else None
    return GradNorm(run.num_tasks, settings.gradnorm_alpha, initial, settings.weighting_learning_rate)


def _dwa(settings: Settings, run: RunFacts) -> DWA:
    return DWA(run.num_tasks, settings.dwa_steps_per_epoch or run.steps_per_epoch, settings.dwa_temperature)


def _dtp(settings: Settings, run: RunFacts) -> DTP:
    gammas = parse_task_numbers("dtp_gamma", settings.dtp_gamma, run.task_names, 1.0)
    return DTP(
        [1.0 / count for count in run.num_labels],
        gammas,
        settings.dtp_focal_gamma,
        settings.dtp_smoothing,
        settings.dtp_normalize,
        _indicators(settings.dtp_kpi_file, run.task_names) if settings.dtp_kpi_file else None,
    )


def _indicators(path: str, task_names: list[str]) -> list[float]:
    """Reads a file of one number per task."""
    found = read_json(path, "dtp_kpi_file")
    values = {str(name).lower(): value for name, value in found.items()} if isinstance(found, dict) else {}
    wanted = [name.lower() for name in task_names]
    if set(values) != set(wanted) or not all(
        type(value) in (int, float) and abs(value) <= LARGEST for value in values.values()
    ):
        raise UserError(f'dtp_kpi_file {path} must be {{"{wanted[0]}": 0.5, ...}} with a number for {", ".join(wanted)}.')
    return [float(values[name]) for name in wanted]


def _famo(settings: Settings, run: RunFacts) -> FAMO:
    bounds = parse_task_values("famo_lower_bounds", settings.famo_lower_bounds or "", run.task_names, 0.0)
    return FAMO(run.num_tasks, settings.famo_gamma, bounds, settings.weighting_learning_rate)


METHODS: dict[str, tuple[Maker, tuple[str, ...]]] = {
    "equal": (lambda settings, run: Equal(run.num_tasks), ()),
    "fixed": (_fixed, ("task_weights",)),
    "uncertainty": (_uncertainty, ("uncertainty_form", "uncertainty_start", "weighting_learning_rate")),
    "gradnorm": (
        _gradnorm,
        ("gradnorm_alpha", "gradnorm_initial_losses", "weighting_learning_rate", "gram_variables"),
    ),
    "dwa": (_dwa, ("dwa_temperature", "dwa_steps_per_epoch")),
    "dtp": (_dtp, ("dtp_gamma", "dtp_focal_gamma", "dtp_smoothing", "dtp_normalize", "dtp_kpi_file")),
    "mgda": (
        lambda settings, run: MGDA(run.num_tasks, settings.mgda_normalization),
        ("mgda_normalization", "gram_variables"),
    ),
    "rlw": (lambda settings, run: RLW(run.num_tasks, run.seed), ()),
    "imtl_l": (lambda settings, run: IMTLL(run.num_tasks, settings.weighting_learning_rate), ("weighting_learning_rate",)),
    "imtl_g": (lambda settings, run: IMTLG(run.num_tasks), ("gram_variables",)),
    "pcgrad": (lambda settings, run: PCGrad(run.num_tasks, run.seed), ("gram_variables",)),
    "cagrad": (
        lambda settings, run: CAGrad(run.num_tasks, settings.cagrad_c, settings.cagrad_rescale),
        ("cagrad_c", "cagrad_rescale", "gram_variables"),
    ),
    "nash": (
        lambda settings, run: Nash(run.num_tasks, settings.nash_max_norm, settings.nash_update_every),
        ("nash_max_norm", "nash_update_every", "gram_variables"),
    ),
    "upgrad": (lambda settings, run: UPGrad(run.num_tasks), ("gram_variables",)),
    "famo": (_famo, ("famo_gamma", "famo_lower_bounds", "weighting_learning_rate")),
}
"""Name -> how it is made, and the settings that have an effect with it."""


def make_weighting(settings: Settings, run: RunFacts) -> TaskWeighting:
    """Builds the weighting that the settings name.

    Raises:
        UserError: an option does not fit, or is given where it has no effect; the method cannot work with one task, or
            not with one task a step.
    """
    name = settings.loss_weighting
    make, options = METHODS[name]
    _check_effect(settings, name, options)
    if run.num_tasks == 1 and name not in SINGLE_TASK:
        raise UserError(f"loss_weighting {name} weighs tasks against each other; this run has only {run.task_names[0]}.")
    weighting = make(settings, run)
    if weighting.needs_joint_step and settings.step_mode != "joint":
        raise UserError(f"loss_weighting {name} needs every task in every step; set --step_mode=joint.")
    return weighting


def _check_effect(settings: Settings, name: str, options: tuple[str, ...]) -> None:
    """Raises UserError if an option of another method is set."""
    defaults = {field.name: field.default for field in dataclasses.fields(settings)}
    for option in dict.fromkeys(option for _, group in METHODS.values() for option in group):
        if option not in options and getattr(settings, option) not in (defaults[option], ""):
            owners = [method for method, (_, group) in METHODS.items() if option in group]
            raise UserError(
                f"{option} has no effect with loss_weighting {name}; it belongs to {', '.join(owners)}. "
                f"Set --loss_weighting={owners[0]}, or leave it out."
            )
