import numpy as np

from easytransfer_mtl import TaskSampling, option


class SmallestFirst(TaskSampling):
    """Small tasks are drawn more often in the first epochs; later all alike."""

    even_after: int = option(None, "epochs until all tasks are drawn alike", 2, minimum=1, maximum=1000)

    def rates(self, epoch):  # one number a task, any scale
        left = max(0.0, 1.0 - epoch / self.settings.even_after)
        return np.asarray(self.num_rows) ** -left
