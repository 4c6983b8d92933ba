"""Sharing with an external memory that all tasks write to and read from."""

import tensorflow as tf
import tf_keras

from easytransfer_mtl.config.train_settings import SharingSettings
from easytransfer_mtl.encoders.dropout import DropoutClock
from easytransfer_mtl.encoders.interface import Encoder
from easytransfer_mtl.models.encoded import POOLED, SEQUENCE, Encoded, Reads, inputs_of
from easytransfer_mtl.models.own_layers import Drawn
from easytransfer_mtl.models.sharing.base import Features, Sharing
from easytransfer_mtl.models.sharing.parts import dense
from easytransfer_mtl.tasks import Task

NOT_A_TOKEN = -1e9


class Hands(tf_keras.layers.Layer):
    """The six dense layers with which one task writes to and reads from the memory."""

    def __init__(self, path: str, width: int, clock: DropoutClock) -> None:
        """Takes the layers' path below ``sharing/``, the states' width and the clock."""
        super().__init__(name=path)
        self.key = dense(f"{path}/write_key", width, width, clock)
        self.erase = dense(f"{path}/erase", width, width, clock, "sigmoid")
        self.add_content = dense(f"{path}/add", width, width, clock, "tanh")
        self.query = dense(f"{path}/read_key", width, width, clock)
        self.gate = dense(f"{path}/read_gate", 2 * width, width, clock, "sigmoid")
        self.fuse = dense(f"{path}/fuse", width, width, clock, stddev=0.0)


class SharedMemory(Sharing):
    """Liu, Qiu and Huang (EMNLP 2016, "Deep Multi-Task Learning with Shared Memory"), with attention instead of recurrence.

    The memory M [N, H] is trained and shared by all tasks. Every row starts from it:

        write: slot n attends over the row's tokens and gets their mean c_n; M'_n = M_n (1 - erase(c_n)) + add(c_n)
        read:  token t attends over the slots and gets their mean r_t
        fuse:  h_t + gate(r_t, h_t) * W r_t

    Keys, erase, add, gate and W are task-specific, as in the paper, where each task's LSTM computes them. W starts at 0, so
    that the model starts as hard sharing. The pooled output is the encoder's pooler applied to the fused first token.

    Differences from the paper: it writes and reads token by token, and the read value feeds the LSTM's state; here a row
    writes once and reads once, from the encoder's last states, which takes a few matrix products on a CPU. Addressing uses
    scaled dot products instead of cosines. In the paper each task has its own LSTM besides the memory; here the tasks
    share the encoder as well. A row's writes are not kept after it, as in the paper: rows do not influence each other, and
    predictions do not depend on their order.
    """

    encodes_apart = True
    delivers = frozenset({POOLED, SEQUENCE})

    def __init__(self, encoder: Encoder, tasks: tuple[Task, ...], settings: SharingSettings) -> None:
        """Builds the memory and each task's layers."""
        super().__init__(encoder, tasks, settings)
        # Standard deviation 1: the scale of states after a LayerNorm.
        start = Drawn(1.0, encoder.clock.seed, "sharing", "memory")
        with tf.name_scope("sharing/memory"):
            self.slots = self.add_weight("slots", (settings.memory_slots, self.width), initializer=start)
        self.hands = [Hands(task.scope, self.width, encoder.clock) for task in tasks]

    def private_variables(self, task: int) -> list[tf.Variable]:
        """Returns the variables of the task's ``Hands``."""
        return self.hands[task].trainable_variables

    def trunk(self, features: Features, reads: Reads, training: bool) -> tf.Tensor:
        """Returns the encoder's states [B, S, H], whatever ``reads`` requests: every token writes."""
        return self.encoder.encode(*inputs_of(features), training=training)[0]

    def branch(self, trunk: tf.Tensor, features: Features, task: int, reads: Reads, training: bool) -> Encoded:
        """Writes to the memory and reads it, for the first tokens only unless ``reads`` has the sequence."""
        memory = self._written(self.hands[task], trunk, features["input_mask"])
        states = trunk if SEQUENCE in reads else trunk[:, :1]
        fused = self._read(self.hands[task], states, memory)
        sequence = fused if SEQUENCE in reads else None
        return Encoded(*inputs_of(features), self.encoder.pooler(fused), sequence, (), tf.constant(0.0))

    def _written(self, hands: Hands, states: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
        """Returns every row's memory [B, N, H]."""
        slots = tf.convert_to_tensor(self.slots)
        scores = tf.transpose(tf.tensordot(hands.key(states), slots, [[2], [1]]), [0, 2, 1]) * self.width**-0.5
        scores += (1.0 - tf.cast(mask, tf.float32))[:, tf.newaxis] * NOT_A_TOKEN
        content = tf.matmul(tf.nn.softmax(scores), states)
        return slots * (1.0 - hands.erase(content)) + hands.add_content(content)

    def _read(self, hands: Hands, states: tf.Tensor, memory: tf.Tensor) -> tf.Tensor:
        """Returns the states fused with the values read from the memory [B, S, H]."""
        scores = tf.matmul(hands.query(states), memory, transpose_b=True) * self.width**-0.5
        found = tf.matmul(tf.nn.softmax(scores), memory)
        return states + hands.gate(tf.concat([found, states], axis=-1)) * hands.fuse(found)
