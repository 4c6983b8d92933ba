"""Describes the contest's files: labels, lengths in characters and tokens, words; as text, JSON and a page."""

import logging
from pathlib import Path
from typing import Any

from easytransfer_mtl.config.data_settings import EdaSettings
from easytransfer_mtl.config.sections import LONGEST_ROW
from easytransfer_mtl.data.contest_files import list_files
from easytransfer_mtl.data.features import RowEncoder
from easytransfer_mtl.data.learned_labels import with_labels
from easytransfer_mtl.data.published_features import feature_builder
from easytransfer_mtl.encoders.finding import find_encoder
from easytransfer_mtl.files import check_outputs, files_in, write_json, write_text
from easytransfer_mtl.inspection.description import SEQUENCE_LENGTHS, TaskDescription, describe
from easytransfer_mtl.inspection.description_text import description_text
from easytransfer_mtl.inspection.page import page
from easytransfer_mtl.tasks import CONTEST_TASKS, load_tasks

PAGE, NUMBERS = "eda.html", "eda.json"


def run(settings: EdaSettings) -> int:
    """Describes the files, prints the tables and writes page and JSON; returns the exit status."""
    tasks = load_tasks(settings.tasks_file) if settings.tasks_file else CONTEST_TASKS
    tasks = with_labels(tasks, settings.data_dir, settings.header)
    files, _ = list_files(settings.data_dir, tasks)
    encoder, read = _encoder(settings)
    output = Path(settings.output_dir)
    paths = [output / PAGE, output / NUMBERS]
    check_outputs(paths, [*(file.path for file in files), *read, *settings.named_files])
    described = describe(settings.data_dir, tasks, settings.header, encoder)
    for item in described:
        for file in item.files:
            if file.bad_rows:
                left_out = f"bad rows are left out ({file.bad_rows:,}); `easytransfer_mtl check_data` says why"
                logging.warning("warning: %s: %s.", file.file, left_out)
    print(description_text(described))
    tokenizer = settings.tokenizer_name_or_path
    write_json(paths[1], _numbers(settings, described))
    write_text(paths[0], page(described, settings.data_dir, tokenizer, settings.text_normalization))
    print(f"page: {paths[0]}\nnumbers: {paths[1]}")
    return 0


def _encoder(settings: EdaSettings) -> tuple[RowEncoder | None, list[Path]]:
    """Returns what counts tokens, and the files that it is read from; nothing without a tokenizer."""
    if not settings.tokenizer_name_or_path:
        return None, []
    files = find_encoder(
        settings.tokenizer_name_or_path, settings.modelZooBasePath, False, settings.vocabulary_rule, settings.tokenizer
    )
    return feature_builder(files.vocabulary, settings.text_normalization, LONGEST_ROW), files_in(files.folder)


def _numbers(settings: EdaSettings, described: list[TaskDescription]) -> dict[str, Any]:
    return {
        "data_dir": settings.data_dir,
        "tokenizer": settings.tokenizer_name_or_path,
        "text_normalization": settings.text_normalization,
        "sequence_lengths": list(SEQUENCE_LENGTHS),
        "tasks": [item.to_json() for item in described],
    }
