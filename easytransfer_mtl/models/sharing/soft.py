"""Soft sharing: one encoder per task, tied by a distance between their parameters."""

import tensorflow as tf

from easytransfer_mtl.config.train_settings import SharingSettings
from easytransfer_mtl.encoders.interface import Encoder
from easytransfer_mtl.models.encoded import Encoded, Reads
from easytransfer_mtl.models.features import FeatureSpec
from easytransfer_mtl.models.sharing.base import Features, Sharing, leave_unread
from easytransfer_mtl.models.sharing.distance import l2, squared_distance
from easytransfer_mtl.models.sharing.hard import HardSharing
from easytransfer_mtl.models.sharing.layer_weights import num_tied_layers, parse_layer_weights, variables_by_part
from easytransfer_mtl.models.sharing.parts import encoded_like, encoder_copy
from easytransfer_mtl.tasks import Task

ROLE = "of {} alone; each other task's encoder is in heads.safetensors (sharing/private_...)"


class SoftSharing(Sharing):
    """Duong et al. (ACL 2015, "Low Resource Dependency Parsing", eq. 4): loss + weight * sum over pairs of |A - B|^2.

    The first task's encoder is the model's encoder; the others start as copies of it. Every layer can have a weight.
    ``l2`` uses each layer's distance without the square, which makes layers that are close coincide (Yang and Hospedales,
    "Trace Norm Regularised Deep Multi-Task Learning", 2017, tie the layers by their rank instead).

    A task's penalty is soft_weight / 2 * sum over the other tasks, so that the sum over all tasks counts every pair once.
    Its gradient updates the task's own encoder only, but with the full gradient of all pairs that contain the task, so that
    one joint step and one round of alternating steps tie the encoders equally, whether idle encoders are updated or not.

    Pitfall: gradient steps with learning rate r on the penalty are stable only for r * soft_weight * K < 1, and clipping by
    the global norm includes the penalty; a huge weight stalls training and does not give hard sharing.
    """

    def __init__(self, encoder: Encoder, tasks: tuple[Task, ...], settings: SharingSettings) -> None:
        """Copies the encoder for every task but the first.

        Raises:
            UserError: ``soft_layers`` is not valid for the encoder.
        """
        super().__init__(encoder, tasks, settings)
        self.role = ROLE.format(tasks[0].name) if tasks[1:] else HardSharing.role
        self.others = [encoder_copy(encoder, f"private_{task.scope}") for task in tasks[1:]]
        self.weight = settings.soft_weight
        self.squared = settings.soft_distance == "squared_l2"
        self.encodes_apart = bool(self.others)
        weights = parse_layer_weights("soft_layers", settings.soft_layers, num_tied_layers(encoder.config))
        self.__dict__["_tied"] = {part: weight for part, weight in weights.items() if weight > 0}
        self.has_penalty = bool(self.others) and self.weight > 0 and bool(self._tied)

    def encoder_of(self, task: int) -> Encoder:
        """Returns a task's encoder."""
        return self.others[task - 1] if task else self.encoder

    def private_variables(self, task: int) -> list[tf.Variable]:
        """Returns the variables of the task's encoder, none of which is shared."""
        return self.encoder_of(task).trainable_variables

    def private_depths(self) -> list[tuple[tf.Variable, int]]:
        """Returns the variables of all encoders but the first task's, with their depths."""
        return [
            (variable, other.depth_of(variable)) for other in self.others for variable in other.canonical_variables.values()
        ]

    def leave_unread(self, features: list[FeatureSpec]) -> None:
        """Makes parts of an encoder that its task does not read untrainable, unless the penalty updates them."""
        tied = self._tied if self.has_penalty else ()
        for task, feature in enumerate(features):
            leave_unread(self.encoder_of(task), [feature], tied)

    def branch(self, trunk: None, features: Features, task: int, reads: Reads, training: bool) -> Encoded:
        """Returns the requested outputs of the task's encoder."""
        encoded = encoded_like(self.encoder_of(task), self.encoder, features, reads, training)
        return encoded._replace(penalty=self.penalty(task)) if training and self.has_penalty else encoded

    def penalty(self, task: int) -> tf.Tensor:
        """Returns a task's share of the weighted distances, float32 []."""
        own, terms = variables_by_part(self.encoder_of(task)), []
        for other in range(len(self.others) + 1):
            if other != task:
                theirs = variables_by_part(self.encoder_of(other))
                terms += [weight * self._distance(own[part], theirs[part]) for part, weight in self._tied.items()]
        value = self.weight / 2 * tf.add_n(terms)
        return 2.0 * value - tf.stop_gradient(value)  # doubles the gradient: one half is that of the other tasks' penalties

    def _distance(self, own: list[tf.Variable], theirs: list[tf.Variable]) -> tf.Tensor:
        squared = tf.add_n([squared_distance(*pair) for pair in zip(own, theirs, strict=True)])
        return squared if self.squared else l2(squared)
