"""The teacher of a distillation: stored models, whose averaged probabilities of the training rows are computed once.

Of numbers it is the models' averaged numbers; of tags the averaged probabilities of each character or word, which its first
token carries.
"""

import gc
import hashlib
import json
import logging
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from easytransfer_mtl.config.train_settings import TrainSettings
from easytransfer_mtl.data.encoded_rows import EncodedRows, from_units
from easytransfer_mtl.data.published_features import feature_builder
from easytransfer_mtl.data.published_tokenizer import AnyVocabulary
from easytransfer_mtl.data.source_texts import source_of, texts_of
from easytransfer_mtl.data.tag_units import units_of
from easytransfer_mtl.encoders.config_checks import most_tokens
from easytransfer_mtl.encoders.loading import load_config
from easytransfer_mtl.errors import UserError, listed
from easytransfer_mtl.evaluation.ensemble import mean_probabilities, one_at_a_time
from easytransfer_mtl.evaluation.inference import Inference
from easytransfer_mtl.evaluation.member_weights import TaskWeights, member_weights
from easytransfer_mtl.evaluation.model_class import ModelClass
from easytransfer_mtl.evaluation.model_hash import model_sha256
from easytransfer_mtl.evaluation.stored_models import StoredModel, check_alike, find_models
from easytransfer_mtl.evaluation.text_encoder import TextEncoder
from easytransfer_mtl.files import check_outputs, files_in
from easytransfer_mtl.runs.identity import rows_sha256
from easytransfer_mtl.runs.task_data import TaskData, check_segments
from easytransfer_mtl.tasks import SCORE, TAGS, Task
from easytransfer_mtl.training.teacher_files import ENDING, TeacherFile

Texts = list[tuple[str, ...]]
FORMAT = 1


@dataclass(frozen=True)
class Teacher:
    """Stored models and the rows whose probabilities they give.

    Attributes:
        members: the models.
        weights: see ``member_weights``.
        data: the training rows by task, then those without labels; rows with tags know their tokens' characters or words.
        sources: TFRecord -> the CSV file of its rows; empty if the models read the TFRecords.
        texts: TFRecord -> its rows' texts; empty if the models read the TFRecords.
        files: TFRecord -> where its probabilities are kept.
        model_class: whether user-defined classes that the models name may be imported.
        batch_size: rows per batch.
        precision: of the models' matrix products.
    """

    members: list[StoredModel]
    weights: TaskWeights
    data: list[TaskData]
    sources: dict[Path, Path]
    texts: dict[Path, Texts]
    files: dict[Path, TeacherFile]
    model_class: ModelClass
    batch_size: int
    precision: str

    @property
    def identity(self) -> dict[Path, str]:
        """TFRecord -> hash of what its probabilities depend on, which a resumed run must have unchanged."""
        return {
            path: hashlib.sha256(json.dumps(file.made_from, sort_keys=True).encode()).hexdigest()
            for path, file in self.files.items()
        }

    @property
    def inputs(self) -> list[Path]:
        """The files that are read: those of the models, and the texts'."""
        return [*(path for member in self.members for path in files_in(member.folder.path)), *self.sources.values()]

    def taught(self) -> list[TaskData]:
        """Returns ``data`` with probabilities, which are computed and kept if they are not kept already.

        Raises:
            UserError: a model is damaged, or the file cannot be written.
            NonFiniteError: a model's probabilities are NaN or infinite.
        """
        found: dict[Path, np.ndarray] = {}
        for path, file in self.files.items():
            kept, problem = file.read()
            if kept is None:
                logging.info("%s: the teacher's probabilities are computed: %s", file.path, problem)
            else:
                logging.info("%s: the teacher's probabilities are read", file.path)
                found[path] = kept
        missing = [item for item in self.data if item.file.path not in found]
        if missing:
            paths = [self.files[item.file.path].path for item in missing]
            check_outputs(paths, [*self.inputs, *(item.file.path for item in self.data)])
            found |= self._computed(missing)
        return [replace(item, rows=replace(item.rows, teacher=found[item.file.path])) for item in self.data]

    def _computed(self, missing: list[TaskData]) -> dict[Path, np.ndarray]:
        parts: dict[Path, list[np.ndarray]] = {item.file.path: [] for item in missing}
        for member in one_at_a_time(self.members):
            inference = Inference(member.load(self.model_class), self.batch_size, self.precision, member.name)
            for item in missing:
                name, path = item.task.name, item.file.path
                outputs = inference.outputs(self._rows(member, item), [name], f"teacher {path.name}")
                parts[path].append(outputs[name].probabilities)
            del inference
        gc.collect()  # before the student is built
        means = {item.file.path: self._mean(item, parts[item.file.path]) for item in missing}
        for path, mean in means.items():
            self.files[path].write(mean)
        return means

    def _mean(self, item: TaskData, parts: list[np.ndarray]) -> np.ndarray:
        mean = mean_probabilities(parts, self.weights.get(item.task.name)).astype(np.float32)
        return of_tokens(mean, item.rows) if item.task.type == TAGS else mean

    def _rows(self, member: StoredModel, item: TaskData) -> EncodedRows:
        texts = self.texts.get(item.file.path)
        return item.rows if texts is None else TextEncoder(member).encode(item.task, texts)


def find_teacher(
    settings: TrainSettings, tasks: tuple[Task, ...], data: list[TaskData], vocabulary: AnyVocabulary
) -> Teacher | None:
    """Finds the teacher of a run, and checks that it can read the rows; None without ``--teacher``.

    Args:
        settings: the configuration.
        tasks: the tasks that may occur.
        data: the training rows by task, then those without labels.
        vocabulary: the student's, which the TFRecords were made with.

    Raises:
        UserError: the models differ in tasks or labels from each other or from the student, cannot read the TFRecords, or
            the texts are not found.
    """
    if not settings.teacher:
        return None
    members = find_models(settings.teacher, tasks, "--teacher")
    theirs = {task.name: task for task in check_alike(members)}
    for item in data:
        _check_task(item.task, theirs, members[0])
    model_class = ModelClass(trust_own_code=settings.trust_own_code)
    for member in members:
        model_class.of(member.folder)
    sources: dict[Path, Path] = {}
    texts: dict[Path, Texts] = {}
    if folder := settings.teacher_data_dir:
        sources = {item.file.path: source_of(item.file, folder, "--teacher_data_dir") for item in data}
        texts = {item.file.path: texts_of(item.file, sources[item.file.path], item.rows.label_ids) for item in data}
    else:
        for member in members:
            _check_reads_records(member, data, vocabulary)
    weights = member_weights(settings.teacher_weights, members, "--teacher_weights")
    files = _files(members, weights, data, bool(texts), settings.predict_precision)
    if texts:
        data = [_with_units(item, texts[item.file.path], vocabulary) if item.task.type == TAGS else item for item in data]
    return Teacher(
        members, weights, data, sources, texts, files, model_class, settings.predict_batch_size, settings.predict_precision
    )


def _files(
    members: list[StoredModel], weights: TaskWeights, data: list[TaskData], from_texts: bool, precision: str
) -> dict[Path, TeacherFile]:
    """Returns TFRecord -> the file of its probabilities, with what these depend on."""
    hashes, files = [model_sha256(member) for member in members], {}
    for item in data:
        shares = weights.get(item.task.name, (1.0,) * len(members))
        made_from = {
            "format": FORMAT,
            "models": [list(pair) for pair in sorted(zip(hashes, shares))],
            "precision": precision,
            "rows": len(item.rows),
            "rows_sha256": rows_sha256(item.rows),
            "texts": item.file.manifest.source_sha256 if from_texts and item.file.manifest else None,
        }
        path = Path(f"{item.file.path}{ENDING}")
        count = len(item.rows.input_ids) if item.task.type == TAGS else len(item.rows)
        of_numbers = item.task.type == SCORE
        files[item.file.path] = TeacherFile(path, made_from, (count, item.task.num_labels), of_numbers)
    return files


def _check_task(task: Task, theirs: dict[str, Task], member: StoredModel) -> None:
    """Raises UserError unless the teacher has a task with the same labels and number of texts."""
    if task.name not in theirs:
        raise UserError(
            f"--teacher: {member.name} has the tasks {listed(list(theirs))} and no {task.name}; a teacher needs every task "
            "of its student."
        )
    for what, value in _meanings(task).items():
        found = _meanings(theirs[task.name])[what]
        if found != value:
            raise UserError(
                f"--teacher: {member.name} has the {what} {found} in {task.name}, the student {value}; its probabilities do "
                "not mean the same."
            )


def _meanings(task: Task) -> dict[str, Any]:
    labels, texts = ",".join(task.label_enumerate_values), 2 if task.second_sequence else 1
    return {"type": task.type, "labels": labels, "number of texts": texts, "unit": task.unit if task.type == TAGS else None}


def of_tokens(of_units: np.ndarray, rows: EncodedRows) -> np.ndarray:
    """Returns what is said of characters or words, [N, U, C], as said of the tokens that they begin with, [T, C].

    It is 0 for all other tokens, and for units that nothing is said of.
    """
    found = np.zeros((len(rows.input_ids), of_units.shape[2]), of_units.dtype)
    tokens = np.flatnonzero((rows.units >= 0) & (rows.units < of_units.shape[1]))
    found[tokens] = of_units[np.repeat(np.arange(len(rows)), rows.lengths)[tokens], rows.units[tokens]]
    return found


def _with_units(item: TaskData, texts: Texts, vocabulary: AnyVocabulary) -> TaskData:
    """Returns rows with tags, of which a TFRecord does not say which characters or words have no token, with their numbers.

    Raises:
        UserError: the texts are not encoded to the rows.
    """
    builder = feature_builder(vocabulary, item.task_input.text_normalization, item.task_input.sequence_length)
    encoded = from_units(builder.encode_units(units_of(text, item.task.unit)) for text, *_ in texts)
    same = np.array_equal(encoded.input_ids, item.rows.input_ids) and np.array_equal(encoded.offsets, item.rows.offsets)
    if not same:
        raise UserError(
            f"{item.file.path}: its texts are encoded to other token ids now than when it was converted, so what a teacher "
            "says of their characters or words has no place in it. Convert the data again."
        )
    return replace(item, rows=replace(item.rows, unit_numbers=encoded.unit_numbers))


def _check_reads_records(member: StoredModel, data: list[TaskData], vocabulary: AnyVocabulary) -> None:
    """Raises UserError unless a model can read the student's TFRecords."""
    files, inputs = member.folder.encoder_files, member.folder.read_tasks()[1]
    instead = "Give --teacher_data_dir, the folder of the CSV files, from which it reads the texts itself."
    if files.vocabulary.sha256 != vocabulary.sha256:
        raise UserError(
            f"--teacher: {member.name} has another vocabulary than the student, and TFRecords hold the token ids of one. "
            f"{instead}"
        )
    check_segments(data, member.folder.read_architecture())
    most = most_tokens(load_config(files).to_dict())
    for item in data:
        name, longest = item.task.name, int(item.rows.lengths.max())
        if most and longest > most:
            raise UserError(
                f"--teacher: {member.name} reads at most {most} tokens, {item.file.path} has rows of {longest}. {instead}"
            )
        its, made = inputs[name].text_normalization, item.task_input.text_normalization
        if its != made:
            raise UserError(
                f"--teacher: {member.name} was trained on texts of text_normalization {its}, {item.file.path} has {made}. "
                f"{instead}"
            )
