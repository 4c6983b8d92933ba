"""Writes the page of one or several evaluated runs."""

from pathlib import Path

from easytransfer_mtl.config.study_settings import ReportSettings
from easytransfer_mtl.files import check_outputs, write_text
from easytransfer_mtl.reporting.page import render
from easytransfer_mtl.reporting.sources import read_source, run_folders, source_files

MOST_RUNS = 20
"""Runs on a page."""


def run(settings: ReportSettings) -> int:
    """Writes the page and prints its path; returns the exit status."""
    folders = run_folders(settings.runs, MOST_RUNS)
    name = "report.html" if len(folders) == 1 else "comparison.html"
    output = Path(settings.output) if settings.output else folders[0] / name
    sources = [read_source(folder) for folder in folders]
    check_outputs([output], [*(path for source in sources for path in source_files(source)), *settings.named_files])
    write_text(output, render(sources))
    print(output)
    return 0
