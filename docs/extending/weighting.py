import tensorflow as tf

from easytransfer_mtl import TaskWeighting, option


class HardestFirst(TaskWeighting):
    """A task weighs the more the greater its loss is."""

    hardest_power: float = option(None, "power of the loss", 1.0, minimum=0, maximum=10)

    def weights(self, signals):
        return self.num_tasks * tf.nn.softmax(self.settings.hardest_power * tf.math.log(signals.losses + 1e-6))
