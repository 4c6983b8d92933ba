"""Soft sharing: an encoder for each task, tied by a distance between their parameters."""

import tensorflow as tf

from easytransfer_mtl.encoders.interface import Encoder
from easytransfer_mtl.models.encoded import Encoded, Reads
from easytransfer_mtl.models.features import FeatureSpec
from easytransfer_mtl.models.sharing.base import Features, Sharing
from easytransfer_mtl.models.sharing.distance import l2, squared_distance
from easytransfer_mtl.models.sharing.hard import HardSharing
from easytransfer_mtl.models.sharing.layer_weights import num_tied_layers, parse_layer_weights, variables_by_part
from easytransfer_mtl.models.sharing.parts import encoded_like, encoder_copy
from easytransfer_mtl.models.sharing_options import SharingOptions
from easytransfer_mtl.models.unread import leave_unread
from easytransfer_mtl.tasks import Task

ROLE = "of {} alone; each other task's encoder is in heads.safetensors (sharing/private_...)"


class SoftSharing(Sharing):
    """Duong et al. (ACL 2015, "Low Resource Dependency Parsing", eq. 4): loss + weight * sum over pairs of |A - B|^2.

    The first task's encoder is the model's own, the others start as copies of it. Every layer can have a weight, and
    ``l2`` takes each layer's distance without the square, which draws close layers together altogether (Yang and
    Hospedales, "Trace Norm Regularised Deep Multi-Task Learning", 2017, tie the layers by their rank instead).

    A task's penalty is soft_weight / 2 * sum over other tasks: those of all tasks add up to every pair once. Its gradient
    moves the task's own encoder only, by what all pairs with it ask for, so that one joint step and a round of alternating
    steps tie the encoders alike, whether idle ones move or not.

    The trap: gradient steps of rate r on the penalty are stable for r * soft_weight * K < 1 only, and clipping by the
    global norm sees the penalty too; a huge weight stalls training and does not give hard sharing.
    """

    def __init__(self, encoder: Encoder, tasks: tuple[Task, ...], options: SharingOptions) -> None:
        """Copies the encoder for every task but the first.

        Raises:
            UserError: ``soft_layers`` names what the encoder does not have.
        """
        super().__init__(encoder)
        self.role = ROLE.format(tasks[0].name) if tasks[1:] else HardSharing.role
        self.others = [encoder_copy(encoder, f"private_{task.name.lower()}") for task in tasks[1:]]
        self.weight = options.soft_weight
        self.squared = options.soft_distance == "squared_l2"
        self.encodes_apart = bool(self.others)
        weights = parse_layer_weights("soft_layers", options.soft_layers, num_tied_layers(encoder.config))
        self.__dict__["_tied"] = {part: weight for part, weight in weights.items() if weight > 0}
        self.has_penalty = bool(self.others) and self.weight > 0 and bool(self._tied)

    def encoder_of(self, task: int) -> Encoder:
        """Returns a task's encoder."""
        return self.others[task - 1] if task else self.encoder

    def private_variables(self, task: int) -> list[tf.Variable]:
        """Returns its encoder's variables: nothing is shared."""
        return self.encoder_of(task).trainable_variables

    def private_depths(self) -> list[tuple[tf.Variable, int]]:
        """Returns the other encoders' variables with their depths."""
        return [
            (variable, other.depth_of(variable)) for other in self.others for variable in other.canonical_variables.values()
        ]

    def leave_unread(self, features: list[FeatureSpec]) -> None:
        """Takes out of training what each task does not read of its own encoder, if no distance moves it."""
        tied = self._tied if self.has_penalty else ()
        for task, feature in enumerate(features):
            leave_unread(self.encoder_of(task), [feature], tied)

    def branch(self, trunk: None, features: Features, task: int, reads: Reads, training: bool) -> Encoded:
        """Returns the states of the task's encoder."""
        encoded = encoded_like(self.encoder_of(task), self.encoder, features, reads, training)
        return encoded._replace(penalty=self.penalty(task)) if training and self.has_penalty else encoded

    def penalty(self, task: int) -> tf.Tensor:
        """Returns a task's part of the weighted distances, float32 []."""
        own, terms = variables_by_part(self.encoder_of(task)), []
        for other in range(len(self.others) + 1):
            if other != task:
                theirs = variables_by_part(self.encoder_of(other))
                terms += [weight * self._distance(own[part], theirs[part]) for part, weight in self._tied.items()]
        value = self.weight / 2 * tf.add_n(terms)
        return 2.0 * value - tf.stop_gradient(value)  # half of its gradient is of the other tasks' penalties

    def _distance(self, own: list[tf.Variable], theirs: list[tf.Variable]) -> tf.Tensor:
        squared = tf.add_n([squared_distance(*pair) for pair in zip(own, theirs, strict=True)])
        return squared if self.squared else l2(squared)
