"""Mixture of experts on top of the encoder, with one gate per task."""

import tensorflow as tf
import tf_keras

from easytransfer_mtl.config.train_settings import SharingSettings
from easytransfer_mtl.encoders.dropout import DropoutClock
from easytransfer_mtl.encoders.interface import Encoder
from easytransfer_mtl.models.encoded import POOLED, SEQUENCE, Encoded, Reads
from easytransfer_mtl.models.sharing.base import Features, Sharing, encoded_by
from easytransfer_mtl.models.sharing.parts import dense
from easytransfer_mtl.tasks import Task


class Level(tf_keras.layers.Layer):
    """The dense layers of one level.

    Attributes:
        shared: the shared experts, as one layer with concatenated outputs.
        own: one such layer per task with the task's own experts; empty without any.
        gates: each task's gate over its own and the shared experts.
        shared_gate: gate over all experts, for the next level; None on the last level.
    """

    def __init__(
        self, path: str, tasks: list[str], inputs: int, width: int, counts: tuple[int, int], last: bool, clock: DropoutClock
    ) -> None:
        """Builds the layers.

        Args:
            path: below ``sharing/``.
            tasks: lower-case task names.
            inputs: width of the inputs.
            width: of an expert's output.
            counts: number of shared experts, and of each task's own experts.
            last: whether this is the last level.
            clock: has the run's seed.
        """
        super().__init__(name=path)
        shared, own = counts

        def experts(owner: str, count: int) -> tf_keras.layers.Dense:
            return dense(f"{path}/{owner}_experts", inputs, count * width, clock, "relu")

        def gate(owner: str, count: int) -> tf_keras.layers.Dense:
            return dense(f"{path}/{owner}_gate", inputs, count, clock, "softmax")

        self.shared = experts("shared", shared)
        self.own = [experts(f"task_{name}", own) for name in tasks] if own else []
        self.gates = [gate(f"task_{name}", shared + own) for name in tasks]
        self.shared_gate = None if last else gate("shared", shared + own * len(tasks))


class Mmoe(Sharing):
    """``mmoe``: Ma et al. (KDD 2018, "Modeling Task Relationships in Multi-task Learning with Multi-gate
    Mixture-of-Experts"): f_k(x) = sum over experts of softmax(G_k x)_e expert_e(x).

    ``ple``: Tang et al. (RecSys 2020, "Progressive Layered Extraction"): each task has its own experts besides the shared
    ones, on several levels; between levels a shared gate mixes all experts into the shared experts' next input. PLE with
    one level is the paper's CGC; with one level and no task-specific experts it is MMoE.

    An expert is one dense layer with ReLU, as in MMoE. Experts are applied to each token's state separately, or to the
    output of the encoder's pooler. Experts of a level below the last reach every task through the shared gate, so that all
    tasks update them.

    Pitfall: experts start at random on top of a pre-trained encoder; a high learning rate for heads helps them too.
    """

    encodes_apart = True
    delivers = frozenset({POOLED, SEQUENCE})
    starts_as_hard = False

    def __init__(self, encoder: Encoder, tasks: tuple[Task, ...], settings: SharingSettings) -> None:
        """Builds the levels."""
        super().__init__(encoder, tasks, settings)
        levels, own = self.shape(settings)
        width, names = settings.expert_size or self.width, [task.scope for task in tasks]
        counts, clock = (settings.experts, own), encoder.clock
        self.levels = [
            Level(f"level_{number}", names, width if number else self.width, width, counts, number == levels - 1, clock)
            for number in range(levels)
        ]
        self.width = width

    @staticmethod
    def shape(settings: SharingSettings) -> tuple[int, int]:
        """Returns the number of levels, and the number of each task's own experts per level."""
        return 1, 0

    def private_variables(self, task: int) -> list[tf.Variable]:
        """Returns the variables that no other task depends on: the last level's experts, the last two levels' gates."""
        layers = [level.gates[task] for level in self.levels[-2:]] + self.levels[-1].own[task : task + 1]
        return [variable for layer in layers for variable in layer.trainable_variables]

    def trunk(self, features: Features, reads: Reads, training: bool) -> Encoded:
        """Runs the encoder."""
        return encoded_by(self.encoder, features, reads, training)

    def branch(self, trunk: Encoded, features: Features, task: int, reads: Reads, training: bool) -> Encoded:
        """Applies the experts to the requested outputs."""
        pooled = self.mixed(trunk.pooled, task) if POOLED in reads else None
        return trunk._replace(pooled=pooled, sequence=self.mixed(trunk.sequence, task) if SEQUENCE in reads else None)

    def mixed(self, inputs: tf.Tensor, task: int) -> tf.Tensor:
        """Returns a task's mixture [..., W] of the last level's experts, given inputs [..., H]."""
        every = range(len(self.levels[0].gates))
        own, common = dict.fromkeys(every, inputs), inputs
        for above, level in zip(reversed(range(len(self.levels))), self.levels):
            shared = self._outputs(level.shared, common)
            read = every if above else [task]
            outputs = {place: [self._outputs(level.own[place], own[place])] if level.own else [] for place in read}
            if level.shared_gate is not None:
                common = _mix(level.shared_gate(common), [*sum(outputs.values(), []), shared])
            read_above = every if above > 1 else [task]
            own = {place: _mix(level.gates[place](own[place]), [*outputs[place], shared]) for place in read_above}
        return own[task]

    def _outputs(self, experts: tf_keras.layers.Dense, inputs: tf.Tensor) -> tf.Tensor:
        """Returns the outputs of N experts [..., N, W]."""
        return tf.reshape(experts(inputs), [*tf.unstack(tf.shape(inputs))[:-1], -1, self.width])


def _mix(weights: tf.Tensor, outputs: list[tf.Tensor]) -> tf.Tensor:
    """Returns the sum [..., W] of all experts' outputs [..., n, W], concatenated to N, weighted by [..., N]."""
    every = outputs[0] if len(outputs) == 1 else tf.concat(outputs, axis=-2)
    return tf.reduce_sum(weights[..., tf.newaxis] * every, axis=-2)


class Ple(Mmoe):
    """``Mmoe`` with several levels and task-specific experts."""

    @staticmethod
    def shape(settings: SharingSettings) -> tuple[int, int]:
        """Returns the number of levels, and the number of each task's own experts per level."""
        return settings.ple_levels, settings.task_experts
