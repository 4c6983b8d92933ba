import tf_keras

from easytransfer_mtl import Sharing, option


class ScaledStates(Sharing):
    """All tasks share the encoder; each multiplies its pooled output by a vector of its own, which starts as 1."""

    delivers = frozenset({"pooled"})
    encodes_apart = True  # the tasks read different states
    states_scale: float = option(None, "what the vectors start as", 1.0, minimum=0, maximum=10)

    def __init__(self, encoder, tasks, settings):
        super().__init__(encoder, tasks, settings)
        start = tf_keras.initializers.Constant(settings.states_scale)
        self.scales = [self.add_weight(task.name.lower(), (self.width,), initializer=start) for task in tasks]

    def trunk(self, features, reads, training):  # once for a batch
        return self.encoded(features, reads, training)

    def branch(self, trunk, features, task, reads, training):  # for one task
        return trunk._replace(pooled=trunk.pooled * self.scales[task])

    def private_variables(self, task):  # which this task alone moves
        return [self.scales[task]]
