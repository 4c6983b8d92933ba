"""Experts on top of the encoder, mixed by each task's gate."""

import tensorflow as tf
import tf_keras

from easytransfer_mtl.encoders.dropout import DropoutClock
from easytransfer_mtl.encoders.interface import Encoder
from easytransfer_mtl.models.encoded import POOLED, SEQUENCE, Encoded, Reads
from easytransfer_mtl.models.sharing.base import Features, Sharing, encoded_by
from easytransfer_mtl.models.sharing.parts import dense
from easytransfer_mtl.models.sharing_options import SharingOptions
from easytransfer_mtl.tasks import Task


class Level(tf_keras.layers.Layer):
    """One level's layers, each a dense one.

    Attributes:
        shared: all tasks' experts side by side.
        own: each task's own experts likewise; empty without any.
        gates: each task's gate over its own and the shared experts.
        shared_gate: gate over all experts, for the next level; None on the last level.
    """

    def __init__(
        self, path: str, tasks: list[str], inputs: int, width: int, counts: tuple[int, int], last: bool, clock: DropoutClock
    ) -> None:
        """Takes its path below ``sharing/``, widths, and how many shared and how many own experts there are."""
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


class Experts(Sharing):
    """``mmoe``: Ma et al. (KDD 2018, "Modeling Task Relationships in Multi-task Learning with Multi-gate
    Mixture-of-Experts"): f_k(x) = sum over experts of softmax(G_k x)_e expert_e(x).

    ``ple``: Tang et al. (RecSys 2020, "Progressive Layered Extraction"): each task has experts of its own beside the
    shared ones, on several levels; between levels a shared gate mixes all experts into the shared experts' next input. One
    level of it is the paper's CGC, and one without tasks' own experts is MMoE.

    An expert is one dense layer with ReLU, as MMoE's. The experts work on each token's states alone, or on the pooled
    output, which the encoder's pooler makes before. Experts of a level below the last reach every task through the shared
    gate, so that all tasks move them.

    The trap: experts start at random on top of a pre-trained encoder; a high rate for the heads helps them too.
    """

    encodes_apart = True
    delivers = frozenset({POOLED, SEQUENCE})
    starts_as_hard = False

    def __init__(self, encoder: Encoder, tasks: tuple[Task, ...], options: SharingOptions, levels: int, own: int) -> None:
        """Builds the levels: ``own`` experts of each task on each."""
        super().__init__(encoder)
        width, names = options.expert_size or self.width, [task.name.lower() for task in tasks]
        counts, clock = (options.experts, own), encoder.clock
        self.levels = [
            Level(f"level_{number}", names, width if number else self.width, width, counts, number == levels - 1, clock)
            for number in range(levels)
        ]
        self.width = width

    def private_variables(self, task: int) -> list[tf.Variable]:
        """Returns what no other task's output depends on: its experts of the last level, its gates of the last two."""
        layers = [level.gates[task] for level in self.levels[-2:]] + self.levels[-1].own[task : task + 1]
        return [variable for layer in layers for variable in layer.trainable_variables]

    def trunk(self, features: Features, reads: Reads, training: bool) -> Encoded:
        """Runs the encoder."""
        return encoded_by(self.encoder, features, reads, training)

    def branch(self, trunk: Encoded, features: Features, task: int, reads: Reads, training: bool) -> Encoded:
        """Sends what is read through the experts."""
        pooled = self.mixed(trunk.pooled, task) if POOLED in reads else None
        return trunk._replace(pooled=pooled, sequence=self.mixed(trunk.sequence, task) if SEQUENCE in reads else None)

    def mixed(self, inputs: tf.Tensor, task: int) -> tf.Tensor:
        """Returns a task's mixture [..., W] of the last level's experts for inputs [..., H]."""
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
        """Returns experts' outputs [..., N, W]."""
        return tf.reshape(experts(inputs), [*tf.unstack(tf.shape(inputs))[:-1], -1, self.width])


def _mix(weights: tf.Tensor, outputs: list[tf.Tensor]) -> tf.Tensor:
    """Returns the weighted sum [..., W] of experts' outputs, all side by side, with weights [..., N]."""
    every = outputs[0] if len(outputs) == 1 else tf.concat(outputs, axis=-2)
    return tf.reduce_sum(weights[..., tf.newaxis] * every, axis=-2)
