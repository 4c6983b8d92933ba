"""Texts as a stored model reads them: with its own tokenizer, text normalization and length."""

from collections.abc import Iterable

from easytransfer_mtl.data.encoded_rows import EncodedRows, from_features, from_units
from easytransfer_mtl.data.published_features import check_units, feature_builder
from easytransfer_mtl.data.tag_units import units_of
from easytransfer_mtl.encoders.config_checks import most_tokens
from easytransfer_mtl.encoders.loading import load_config
from easytransfer_mtl.evaluation.stored_models import StoredModel
from easytransfer_mtl.runs.folder import TaskInput
from easytransfer_mtl.tasks import TAGS, Task


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
        groups: dict[tuple[TaskInput, bool, str], list[Task]] = {}
        for task in tasks:
            unit = task.unit if task.type == TAGS else ""
            groups.setdefault((self._inputs[task.name], task.second_sequence is None, unit), []).append(task)
        return list(groups.values())

    def encode(self, task: Task, texts: Iterable[tuple[str, ...]]) -> EncodedRows:
        """Encodes rows of one or two texts; label ids and tags are zeros.

        Raises:
            UserError: the tokenizer cannot encode the units of a task with tags, see ``check_units``.
        """
        builder = feature_builder(self._vocabulary, self._inputs[task.name].text_normalization, self.length_of(task.name))
        if task.type == TAGS:
            check_units(builder, [task])
            return from_units(builder.encode_units(units_of(text, task.unit)) for text, *_ in texts)
        return from_features(builder.encode(item) for item in texts)

    def length_of(self, task_name: str) -> int:
        """Returns the number of tokens at which a task's rows are cut."""
        length = self._inputs[task_name].sequence_length
        # Runs of earlier versions may record a sequence length that is longer than the encoder can read.
        return min(length, self._positions or length)
