"""Dynamic task prioritisation: the harder a task still is, the larger its weight."""

import math

import tensorflow as tf

from easytransfer_mtl.config.by_task import LARGEST
from easytransfer_mtl.config.options import by_task
from easytransfer_mtl.config.train_settings import WeightingSettings
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.files import read_json
from easytransfer_mtl.weighting.base import RunFacts, Signals, TaskWeighting, state_variable

LOWEST, HIGHEST = 0.05, 0.99


class DTP(TaskWeighting):
    """Guo et al., "Dynamic task prioritization for multitask learning", ECCV 2018.

    k_i is a running mean of the task's performance indicator, w_i = -(1 - k_i)^gamma_i ln k_i. Within a task, every row's
    cross entropy is multiplied by (1 - p)^focal_gamma, p the probability of its label (the paper's example level, the focal
    loss).

    The indicator is the accuracy on the training batches, initialised with chance (1 / C). It costs nothing, but it is noisy
    and, late in training, higher than on unseen rows. ``indicators`` sets fixed values instead, for instance macro-F1 of
    earlier runs.

    Options: ``gamma`` per task (1), ``focal_gamma`` (1), ``smoothing`` a (0.1) in k <- a x + (1 - a) k, ``normalize``
    (False) to scale the weights to sum to K. The values of a and gamma that the paper used are not known.

    Pitfall: unnormalised weights shrink by a factor of 5 to 10 as tasks are learned, and they start differently: at 2.5
    with 15 classes, at 0.7 with 3. k is clipped to [0.05, 0.99], since w is unbounded at 0. No gradient flows through k.

    A task without a batch in a step keeps its k.
    """

    needs_accuracies = True

    def __init__(
        self,
        chance: list[float],
        gamma: list[float] | None = None,
        focal_gamma: float = 1.0,
        smoothing: float = 0.1,
        normalize: bool = False,
        indicators: list[float] | None = None,
    ) -> None:
        """Raises UserError if an option is out of range; ``chance`` is each task's accuracy by chance."""
        gamma = gamma or [1.0] * len(chance)
        if not 0 < smoothing <= 1 or any(not 0 <= power < math.inf for power in [*gamma, focal_gamma]):
            raise UserError(
                f"dtp: smoothing {smoothing} must be above 0 and at most 1, gamma {gamma} and focal gamma {focal_gamma} "
                "0 or more."
            )
        if any(not 0 <= value <= 1 for value in indicators or []):
            raise UserError(f"dtp: indicators {indicators} must be from 0 to 1.")
        super().__init__(len(chance), "dtp")
        self.focal_gamma = focal_gamma
        self.smoothing = 0.0 if indicators else smoothing
        self.normalize = normalize
        self._gamma = tf.constant(gamma, tf.float32)
        self.indicators = state_variable(indicators or chance, "indicators")

    @classmethod
    def make(cls, settings: WeightingSettings, run: RunFacts) -> "DTP":
        """Builds the weighting from a run's settings."""
        return cls(
            [1.0 / count for count in run.num_labels],
            list(by_task(settings, "dtp_gamma", run.task_names).values()),
            settings.dtp_focal_gamma,
            settings.dtp_smoothing,
            settings.dtp_normalize,
            _read_indicators(settings.dtp_kpi_file, run.task_names) if settings.dtp_kpi_file else None,
        )

    def weights(self, signals: Signals) -> tf.Tensor:
        """Returns -(1 - k)^gamma ln k."""
        k = tf.clip_by_value(self.indicators, LOWEST, HIGHEST)
        weights = -((1.0 - k) ** self._gamma) * tf.math.log(k)
        return weights * self.num_tasks / tf.reduce_sum(weights) if self.normalize else weights

    @tf.autograph.experimental.do_not_convert
    def update(self, signals: Signals, losses_after: tf.Tensor | None = None) -> None:
        """Updates k of the active tasks."""
        assert signals.accuracies is not None  # guaranteed by needs_accuracies
        moved = self.smoothing * signals.accuracies + (1.0 - self.smoothing) * self.indicators
        self.indicators.assign(tf.where(signals.active, moved, self.indicators))


def _read_indicators(path: str, task_names: list[str]) -> list[float]:
    found = read_json(path, "dtp_kpi_file")
    values = {str(name).lower(): value for name, value in found.items()} if isinstance(found, dict) else {}
    wanted = [name.lower() for name in task_names]
    if set(values) != set(wanted) or not all(
        type(value) in (int, float) and abs(value) <= LARGEST for value in values.values()
    ):
        raise UserError(f'dtp_kpi_file {path} must be {{"{wanted[0]}": 0.5, ...}} with a number for {", ".join(wanted)}.')
    return [float(values[name]) for name in wanted]
