"""Texts as a stored model reads them: with its own tokenizer, text normalization and length."""

from collections.abc import Iterable

from easytransfer_mtl.data.encoded_rows import EncodedRows, from_features
from easytransfer_mtl.data.published_features import feature_builder
from easytransfer_mtl.encoders.config_checks import most_tokens
from easytransfer_mtl.encoders.loading import load_config
from easytransfer_mtl.evaluation.stored_models import StoredModel
from easytransfer_mtl.runs.folder import TaskInput
from easytransfer_mtl.tasks import Task


class TextEncoder:
    """Encodes texts for one model."""

    def __init__(self, member: StoredModel) -> None:
        """Reads the model's tokenizer and its tasks' input settings.

        Raises:
            UserError: the model's folder is damaged.
        """
        files = member.folder.encoder_files
        self._inputs = member.folder.read_tasks()[1]
        self._vocabulary = files.vocabulary
        self._positions = most_tokens(load_config(files).to_dict())

    def read_alike(self, tasks: Iterable[Task]) -> list[list[Task]]:
        """Returns the tasks in groups that encode the same texts to the same rows."""
        groups: dict[tuple[TaskInput, bool], list[Task]] = {}
        for task in tasks:
            groups.setdefault((self._inputs[task.name], task.second_sequence is None), []).append(task)
        return list(groups.values())

    def encode(self, task_name: str, texts: Iterable[tuple[str, ...]]) -> EncodedRows:
        """Encodes rows of one or two texts; the label ids are zeros."""
        builder = feature_builder(self._vocabulary, self._inputs[task_name].text_normalization, self.length_of(task_name))
        return from_features(builder.encode(item) for item in texts)

    def length_of(self, task_name: str) -> int:
        """Returns the number of tokens at which a task's rows are cut."""
        length = self._inputs[task_name].sequence_length
        # Runs of earlier versions may record a sequence length that is longer than the encoder can read.
        return min(length, self._positions or length)
