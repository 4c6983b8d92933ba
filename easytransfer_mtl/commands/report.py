"""Writes the page of one or several evaluated runs."""

from pathlib import Path

from easytransfer_mtl.config.study_settings import ReportSettings
from easytransfer_mtl.errors import UserError, listed
from easytransfer_mtl.files import check_outputs, real_path, write_text
from easytransfer_mtl.reporting.page import render
from easytransfer_mtl.reporting.sources import read_source, source_files

MOST_RUNS = 20


def run(settings: ReportSettings) -> int:
    """Writes the page and prints its path; returns the exit status."""
    folders = _folders(settings.runs)
    name = "report.html" if len(folders) == 1 else "comparison.html"
    output = Path(settings.output) if settings.output else folders[0] / name
    sources = [read_source(folder) for folder in folders]
    check_outputs([output], [*(path for source in sources for path in source_files(source)), *settings.named_files])
    write_text(output, render(sources))
    print(output)
    return 0


def _folders(runs: str) -> list[Path]:
    """Returns the folders of a comma list; a list that is itself the name of a folder is that folder."""
    names = [runs] if Path(runs).is_dir() else runs.split(",")
    if not all(names):
        raise UserError("--runs has an empty entry; give A,B,... without a comma at an end.")
    if len(names) > MOST_RUNS:
        raise UserError(f"There are {len(names)} runs; at most {MOST_RUNS} fit on a page.")
    places = [real_path(name) for name in names]
    twice = sorted({name for name, place in zip(names, places) if places.count(place) > 1})
    if twice:
        raise UserError(f"{listed(twice)} is given twice; give each run once.")
    return [Path(name) for name in names]
