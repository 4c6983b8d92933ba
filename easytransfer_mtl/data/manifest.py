"""The manifest of a TFRecord file: its content and provenance, in a JSON file beside it."""

import os
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from easytransfer_mtl.data.tokenization import (
    EASYTRANSFER,
    LINES,
    TEXT_NORMALIZATIONS,
    TOKENIZERS,
    VOCABULARY_RULES,
    WORDPIECE,
)
from easytransfer_mtl.errors import UserError, shown
from easytransfer_mtl.files import read_json, write_json
from easytransfer_mtl.tasks import Task, task_from_json

FORMAT_VERSION, LARGEST_NUMBER, LONGEST_TEXT = 1, 1 << 40, 1024


@dataclass(frozen=True)
class Manifest:
    """Provenance of one TFRecord file.

    Attributes:
        task: the task with its label map.
        rows: number of records.
        labelled: whether label_id is a real label (otherwise it is 0 everywhere).
        sequence_length: padded length of the features.
        text_normalization: applied before tokenizing; prediction applies the same.
        vocabulary_sha256: see ``Vocabulary.sha256``.
        vocabulary_size: number of tokens.
        source: name of the CSV file.
        source_sha256: hash of its bytes.
        vocabulary_rule: see ``Vocabulary.rule``.
        tokenizer: one of ``TOKENIZERS``.
    """

    task: Task
    rows: int
    labelled: bool
    sequence_length: int
    text_normalization: str
    vocabulary_sha256: str
    vocabulary_size: int
    source: str
    source_sha256: str
    vocabulary_rule: str = LINES
    tokenizer: str = WORDPIECE


def manifest_path(tfrecord: str | os.PathLike[str]) -> Path:
    """Returns the path of a TFRecord file's manifest."""
    return Path(f"{tfrecord}.manifest.json")


def write_manifest(tfrecord: str | os.PathLike[str], manifest: Manifest) -> None:
    """Writes the manifest beside ``tfrecord``."""
    value = {"format_version": FORMAT_VERSION, **asdict(manifest), "task": manifest.task.to_json()}
    write_json(manifest_path(tfrecord), value)


def read_manifest(tfrecord: str | os.PathLike[str]) -> Manifest | None:
    """Reads the manifest beside ``tfrecord``; returns None if there is none, as for files that EasyTransfer wrote.

    Raises:
        UserError: the manifest is damaged or has another format version.
    """
    path = manifest_path(tfrecord)
    if not path.exists():
        return None
    value = read_json(path, "manifest")
    names = [field.name for field in fields(Manifest)]
    if isinstance(value, dict):
        # Older manifests lack the keys: EasyTransfer's was the only rule then, and its WordPiece the only tokenizer.
        value.setdefault("vocabulary_rule", EASYTRANSFER)
        value.setdefault("tokenizer", WORDPIECE)
    if not isinstance(value, dict) or set(value) != {"format_version", *names}:
        raise UserError(f"manifest {path}: expected the keys format_version, {', '.join(names)}; convert the data again.")
    if value.pop("format_version") != FORMAT_VERSION:
        raise UserError(f"manifest {path}: unknown format_version; this program writes {FORMAT_VERSION}.")
    _check_types(value, path)
    return Manifest(**{**value, "task": task_from_json(value["task"], f"{path}: task")})


def _check_types(value: dict[str, Any], path: Path) -> None:
    wanted: dict[str, type] = {"rows": int, "sequence_length": int, "vocabulary_size": int, "labelled": bool}
    for key, content in value.items():
        kind = wanted.get(key, str)
        wrong = type(content) is not kind or (
            kind is int and isinstance(content, int) and not 0 <= content <= LARGEST_NUMBER
        )
        if kind is str and not wrong:
            wrong = len(content) > LONGEST_TEXT or not content.isprintable()
        if key != "task" and wrong:
            raise UserError(f"manifest {path}: {key} is {shown(content)}; convert the data again.")
    if value["text_normalization"] not in TEXT_NORMALIZATIONS:
        raise UserError(f"manifest {path}: text_normalization {shown(value['text_normalization'])} is not known.")
    if value["vocabulary_rule"] not in VOCABULARY_RULES:
        raise UserError(f"manifest {path}: vocabulary_rule {shown(value['vocabulary_rule'])} is not known.")
    if value["tokenizer"] not in TOKENIZERS:
        raise UserError(f"manifest {path}: tokenizer {shown(value['tokenizer'])} is not known.")
