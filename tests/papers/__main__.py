"""``python tests/papers FOLDER``: runs the papers' own problems and draws what came out."""

import os
import sys
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")

import numpy as np
from matplotlib.figure import Figure
from two_noises import SIGMAS, learned_sigmas
from unequal_scales import Training, train
from valley import FRONT, descend, famo, losses_and_gradients

from easytransfer_mtl.evaluation.run_plot import COLOURS
from easytransfer_mtl.files import replacing
from easytransfer_mtl.weighting import IMTLG, MGDA, CAGrad, Equal, GradNorm, Nash, PCGrad, TaskWeighting, UPGrad

STARTS = ((-8.5, 7.5), (0.0, 0.0), (9.0, 9.0), (-7.5, -0.5), (9.0, -1.0))
SCALE, STEPS = 0.1, 50_000
WINDOW = 25
EPOCHS = 1200
METHODS: dict[str, Callable[[], TaskWeighting]] = {
    "equal": lambda: Equal(2),
    "pcgrad": lambda: PCGrad(2, 0),
    "upgrad": lambda: UPGrad(2),
    "cagrad": lambda: CAGrad(2),
    "mgda": lambda: MGDA(2),
    "imtl_g": lambda: IMTLG(2),
    "nash": lambda: Nash(2),
    "famo": lambda: famo(SCALE),
}


def draw_valley() -> Figure:
    """Draws every method's way down from the five starts of the Nash-MTL and FAMO papers, and prints where it ended."""
    figure = Figure(figsize=(13, 7), layout="constrained")
    figure.suptitle("Two conflicting losses, the first weakened by ten: who reaches the front (line below)")
    grid = np.linspace(-10, 10, 121)
    ground = np.array([[losses_and_gradients(x, y, SCALE)[0].sum() for x in grid] for y in grid])
    for axes, (name, make) in zip(figure.subplots(2, 4, sharex=True, sharey=True).flat, METHODS.items(), strict=True):
        axes.contour(grid, grid, ground, levels=25, linewidths=0.4, cmap="Greys")
        axes.plot([-7, 7], [FRONT, FRONT], color="black", linewidth=2.5)
        reached = 0
        for start, colour in zip(STARTS, COLOURS):
            path = descend(make(), start, SCALE, STEPS)
            reached += path.reached_front
            axes.plot(*path.points.T, color=colour, linewidth=1.3)
            axes.plot(*start, "o", color=colour, markersize=4)
            axes.plot(*path.points[-1], "*", color=colour, markersize=9)
            print(
                f"{name:<8} from {start}: {'front' if path.reached_front else 'stuck'} after {path.steps} steps", flush=True
            )
        axes.set_title(f"{name}: {reached} of {len(STARTS)}")
    return figure


def draw_scales() -> Figure:
    """Draws GradNorm beside equal weights on regressions whose targets differ by a factor of 100."""
    runs: dict[str, Training] = {
        name: train(weighting, [1.0, 100.0], 120 * WINDOW)
        for name, weighting in (("equal", Equal(2)), ("gradnorm", GradNorm(2, 0.12)))
    }
    figure = Figure(figsize=(11, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    for (name, run), style in zip(runs.items(), (":", "-")):
        for task, sigma in enumerate((1, 100)):
            left.plot(run.weights[:, task], style, color=COLOURS[task], label=f"{name}, sigma {sigma}")
            means = run.shares[:, task].reshape(-1, WINDOW).mean(axis=1)
            right.plot(np.arange(len(means)) * WINDOW, means, style, color=COLOURS[task])
        print(f"{name}: task-normalised test loss {run.task_normalised_loss:.3f}", flush=True)
    left.set_title("weight")
    right.set_title("share of the gradient norm on the last shared layer (sum 2)")
    for axes in (left, right):
        axes.set_xlabel("step")
    left.legend(frameon=False, loc="center right")
    return figure


def draw_noises() -> Figure:
    """Draws the noise that learned uncertainty finds in two outputs, beside what is left of each output's error."""
    sigmas, residuals = learned_sigmas(EPOCHS)
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    for output, (noise, colour) in enumerate(zip(SIGMAS, COLOURS)):
        axes.plot(residuals[:, output], color=colour, linewidth=0.7, alpha=0.5, label=f"residual, noise {noise:g}")
        axes.plot(sigmas[:, output], color=colour, linewidth=2, label=f"learned sigma, noise {noise:g}")
        print(f"noise {noise:g}: sigma {sigmas[-1, output]:.2f}, residual {residuals[-1, output]:.2f}", flush=True)
    axes.set_yscale("log")
    axes.set_xlabel("epoch")
    axes.set_title("learned uncertainty on two regressions of known noise")
    axes.legend(frameon=False, loc="center right")
    return figure


def main(folder: str) -> None:
    """Writes uncertainty, gradnorm and valley as .png and .svg."""
    for name, draw in (("uncertainty", draw_noises), ("gradnorm", draw_scales), ("valley", draw_valley)):
        figure = draw()
        for kind in ("png", "svg"):
            with replacing(Path(folder) / f"{name}.{kind}") as temporary:
                figure.savefig(temporary, format=kind, dpi=100, metadata={"Date": None} if kind == "svg" else None)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python tests/papers FOLDER")
    main(sys.argv[1])
