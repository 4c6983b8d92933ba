"""Draws a run: losses, weights, gradient shares and conflicts on one page."""

from pathlib import Path

from easytransfer_mtl.config.study_settings import PlotSettings
from easytransfer_mtl.evaluation.run_plot import PAGES, plot_run
from easytransfer_mtl.files import check_outputs, files_in
from easytransfer_mtl.tasks import read_model_tasks


def run(settings: PlotSettings) -> int:
    """Writes the images and prints their paths; returns the exit status."""
    folder = Path(settings.model_dir)
    tasks, _ = read_model_tasks(folder)
    output = Path(settings.output) if settings.output else folder / "plots"
    check_outputs([output / name for name in PAGES], [*files_in(folder), *settings.named_files])
    for path in plot_run(folder, tasks, output, settings.smoothing):
        print(path)
    return 0
