"""One page of plots for a run: losses, dev scores, weights, gradient shares, conflicts between the tasks."""

import itertools
import logging
import math
from pathlib import Path
from typing import Any

from easytransfer_mtl.errors import UserError
from easytransfer_mtl.evaluation.run_metrics import STEP, Panel, has_news, read_dev_scores, read_metrics
from easytransfer_mtl.files import real_path, replacing
from easytransfer_mtl.tasks import CLASSIFY, Task

PAGES = ("run.png", "run.svg")
POINTS = 60
STYLES, MOST_LINES = ("-", "--"), 16
WIDE, HIGH = 5.5, 3.75
"""Of a panel, in inches."""
TITLES = {
    "loss": "loss (dotted: guessing)",
    "score": "score on the dev rows",
    "learning_rate": "learning rate",
    "weight": "weight in the objective",
    "grad_share": "share of the weighted gradient norms",
    "cosine": "cosine of the task gradients",
}
GRADIENTS = "not measured; train with --log_gradients_every=N"
WITHOUT = {"grad_share": GRADIENTS, "cosine": GRADIENTS, "score": "no checkpoint was scored; run evaluate"}
"""Why a panel has no values."""
HINT = "plot needs matplotlib: pip install 'easytransfer_mtl[plot]'."
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#999999")
"""The palette of Okabe and Ito, which colour-blind readers can distinguish."""


def plot_run(folder: Path, tasks: tuple[Task, ...], output: Path, window: int) -> list[Path]:
    """Draws a run's page as PNG and SVG: the panels that show a change.

    Args:
        folder: the run's folder.
        tasks: the model's tasks.
        output: folder for run.png and run.svg.
        window: number of values averaged per point; 0 to show about 60 points.

    Returns:
        The two files.

    Raises:
        UserError: matplotlib is missing, or there is nothing to draw.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise UserError(HINT) from None
    panels = {**read_metrics(folder / "metrics.csv"), "score": read_dev_scores(folder)}
    guessing = {task.name: math.log(task.num_labels) for task in tasks if task.type == CLASSIFY}
    drawn = [name for name in TITLES if has_news(name, panels[name])]
    for name in sorted(set(TITLES).difference(drawn)):
        why = "it never changes" if panels[name] else WITHOUT.get(name, "there are no values")
        logging.info("not drawn: %s (%s)", TITLES[name], why)
    rows = math.ceil(len(drawn) / 2)
    figure = Figure(figsize=(2 * WIDE, rows * HIGH), layout="constrained")
    shown = f"every point is the mean of {window} values" if window else f"means of about 1/{POINTS} of the values"
    figure.suptitle(f"{real_path(folder).name}: {shown}")
    places = figure.subplots(rows, 2, squeeze=False).flat
    for axes, name in itertools.zip_longest(places, drawn):
        if name is None:
            axes.set_axis_off()
            continue
        axes.set_title(TITLES[name])
        axes.set_xlabel("step")
        _draw(axes, name, panels[name], guessing, 1 if name == "score" else window)
    return [_saved(figure, output / name, name.partition(".")[2]) for name in PAGES]


def _draw(axes: Any, name: str, panel: Panel, guessing: dict[str, float], window: int) -> None:
    """Draws one panel: a line per series, reference levels, legend."""
    window = window or max(1, max(len(series.values) for series in panel.values()) // POINTS)
    if len(panel) > MOST_LINES:
        least = sorted(panel, key=lambda key: sum(panel[key].values) / len(panel[key].values))
        panel = {key: panel[key] for key in least[:MOST_LINES]}
        axes.set_title(f"{axes.get_title()}, the {MOST_LINES} lowest")
    for number, (key, series) in enumerate(panel.items()):
        colour, style = COLOURS[number % len(COLOURS)], STYLES[number // len(COLOURS)]
        steps, values = series.smoothed(window)
        marker = "." if len(steps) < 3 or name == "score" else None
        axes.plot(steps, values, style, label=key, color=colour, linewidth=1.4, marker=marker)
        if name == "loss" and key in guessing:
            axes.axhline(guessing[key], color=colour, linestyle=":", linewidth=0.8)
    if name == "cosine":
        axes.axhline(0.0, color="grey", linewidth=0.8)
    elif name != "loss" and all(min(series.values) >= 0 for series in panel.values()):
        axes.set_ylim(bottom=0)
    if list(panel) != [STEP]:
        axes.legend(fontsize="small", frameon=False, ncols=1 + len(panel) // 8)


def _saved(figure: Any, path: Path, kind: str) -> Path:
    with replacing(path) as temporary:
        figure.savefig(temporary, format=kind, dpi=120, metadata={"Date": None} if kind == "svg" else None)
    return path
