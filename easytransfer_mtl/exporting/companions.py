"""What lies beside an exported graph: its tokenizer, tasks.json and a client."""

import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

from easytransfer_mtl.data.published_tokenizer import AnyVocabulary, PublishedVocabulary
from easytransfer_mtl.data.wordpiece_json import tokenizer_json
from easytransfer_mtl.encoders.vocabularies import TOKENIZER_FILE, VOCABULARY_FILE, vocabulary_text
from easytransfer_mtl.files import write_json, write_text
from easytransfer_mtl.runs.folder import TaskInput
from easytransfer_mtl.tasks import Task

CLIENT = Path(__file__).with_name("client.py")


def write_companions(
    folder: Path, vocabulary: AnyVocabulary, tasks: tuple[Task, ...], inputs: dict[str, TaskInput], about: dict[str, Any]
) -> None:
    """Writes tokenizer.json, vocab.txt (with EasyTransfer's WordPiece), tasks.json and client.py.

    Args:
        folder: the export's, which exists.
        vocabulary: the model's.
        tasks: the model's.
        inputs: how each task's texts are encoded.
        about: further entries of tasks.json.
    """
    how: dict[str, Any] = {"tokenizer": vocabulary.tokenizer}
    if isinstance(vocabulary, PublishedVocabulary):
        (folder / TOKENIZER_FILE).write_bytes(vocabulary.content)
        how["direction"] = vocabulary.direction
    else:
        write_json(folder / TOKENIZER_FILE, tokenizer_json(vocabulary))
        write_text(folder / VOCABULARY_FILE, vocabulary_text(vocabulary))
    value = {
        "tasks": [task.to_json() for task in tasks],
        "inputs": {task.name: {**asdict(inputs[task.name]), **how} for task in tasks},
    }
    write_json(folder / "tasks.json", {**value, **about})
    shutil.copyfile(CLIENT, folder / CLIENT.name)
