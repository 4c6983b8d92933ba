"""ROC curves: the share of a label's rows that are found, over the share of the others that are found with them."""

import numpy as np
from sklearn.metrics import roc_auc_score, roc_curve

from easytransfer_mtl.reporting.charts import COLOURS, Chart, shares
from easytransfer_mtl.tasks import Task

MOST_CURVES = len(COLOURS)
MOST_POINTS = 120


def roc_chart(task: Task, truth: np.ndarray, probabilities: np.ndarray) -> Chart | None:
    """Draws the curves of a task's labels, each against the others; of many labels those with the smallest areas.

    Of one label of two it is the curve of the second one. Labels that all rows have, or none, have no curve.

    Args:
        task: the task.
        truth: [N, C], 0 or 1.
        probabilities: [N, C].
    """
    known = [label for label in range(truth.shape[1]) if 0 < truth[:, label].sum() < len(truth)]
    if task.num_labels == 2 and (truth.sum(axis=1) == 1).all():
        known = known[-1:]
    areas = {label: float(roc_auc_score(truth[:, label], probabilities[:, label])) for label in known}
    chosen = sorted(areas, key=lambda label: areas[label])[:MOST_CURVES]
    lines = {}
    for label in chosen:
        false, true, _ = roc_curve(truth[:, label], probabilities[:, label])
        places = np.unique(np.linspace(0, len(false) - 1, MOST_POINTS).round().astype(int))
        name = f"{task.named(task.label_enumerate_values[label])}: {areas[label]:.4f}"
        lines[name] = list(zip(false[places].tolist(), true[places].tolist()))
    fewest = f", the {len(chosen)} smallest areas" if len(chosen) < len(known) else ""
    axis = "share of the other rows"
    return shares(f"ROC curves and their areas{fewest}", axis, lines) if lines else None
