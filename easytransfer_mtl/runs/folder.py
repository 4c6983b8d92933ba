"""The files in a run's folder besides its checkpoints: enough to rebuild the model and to repeat the run."""

import json
import platform
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from transformers import PretrainedConfig

from easytransfer_mtl.data.published_tokenizer import AnyVocabulary
from easytransfer_mtl.data.tokenization import PUBLISHED, RULE_NAMES, TEXT_NORMALIZATIONS
from easytransfer_mtl.encoders.finding import EncoderFiles
from easytransfer_mtl.encoders.vocabularies import AUTO, write_vocabulary
from easytransfer_mtl.errors import UserError, shown
from easytransfer_mtl.files import check_outputs, read_json, write_json, write_text
from easytransfer_mtl.models.architecture import BASELINE, Architecture, architecture_from_json
from easytransfer_mtl.own_code import is_own
from easytransfer_mtl.tasks import Task, read_model_tasks

PACKAGES = ("tensorflow", "tf-keras", "transformers", "numpy", "scikit-learn", "absl-py")
TRAIN_CONFIG = "train_config.json"
LONGEST_SEQUENCE = 1 << 20
FOLD = {"fold": int, "num_folds": int, "folds_sha256": str}
"""Keys and types of the fold's entry in train_config.json."""


@dataclass(frozen=True)
class TaskInput:
    """How a task's texts are encoded, in training and in prediction."""

    sequence_length: int
    text_normalization: str


def package_versions() -> dict[str, str]:
    """Returns the versions of Python and of the packages that affect the computation."""
    return {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}}


def check_run_outputs(folder: Path, replaced: str, inputs: list[Path]) -> None:
    """Raises UserError if a run would overwrite files that it reads, or cannot write its files.

    Args:
        folder: the run's folder.
        replaced: name of the subfolder that is written at the end.
        inputs: files that the run reads.
    """
    files = ("config.json", "vocab.txt", "tokenizer.json", "tasks.json", TRAIN_CONFIG, "metrics.csv", "checkpoint")
    check_outputs([folder / name for name in files], inputs, [folder / replaced, folder / "interrupted"])


@dataclass(frozen=True)
class RunFolder:
    """A run's folder (``model_dir``) or an exported model (``best/``): config.json, vocab.txt, tasks.json and more."""

    path: Path

    @property
    def encoder_files(self) -> EncoderFiles:
        """The folder's config and vocabulary, for building the encoder."""
        return EncoderFiles(self.path, self.path, tanh_gelu=False)

    def with_its_rule(self, files: EncoderFiles) -> EncoderFiles:
        """Returns ``files`` with the tokenizer and vocabulary rule of this folder's run, unless set explicitly."""
        own = self.encoder_files
        if files.requested_tokenizer == AUTO:
            files = replace(files, requested_tokenizer=own.tokenizer)
        if files.tokenizer == PUBLISHED or own.tokenizer == PUBLISHED:
            return files
        if files.vocabulary_rule != AUTO:
            return files
        return replace(files, vocabulary_rule=own.vocabulary.rule)

    def write_encoder(self, config: PretrainedConfig, vocabulary: AnyVocabulary) -> None:
        """Writes config.json, vocab.txt and the vocabulary rule, or tokenizer.json."""
        self.path.mkdir(parents=True, exist_ok=True)
        write_text(self.path / "config.json", json.dumps(config.to_dict(), indent=2) + "\n")
        write_vocabulary(self.path, vocabulary)

    def write_model(
        self,
        config: PretrainedConfig,
        vocabulary: AnyVocabulary,
        tasks: tuple[Task, ...],
        inputs: dict[str, TaskInput],
        model_class: str = "MultiTaskModel",
        architecture: Architecture = BASELINE,
        own_code: dict[str, dict[str, str]] | None = None,
    ) -> None:
        """Writes config.json, vocab.txt (or tokenizer.json) and tasks.json."""
        self.write_encoder(config, vocabulary)
        self.write_tasks(tasks, inputs, model_class, architecture, own_code)

    def write_tasks(
        self,
        tasks: tuple[Task, ...],
        inputs: dict[str, TaskInput],
        model_class: str = "MultiTaskModel",
        architecture: Architecture = BASELINE,
        own_code: dict[str, dict[str, str]] | None = None,
    ) -> None:
        """Writes tasks.json."""
        value = {
            "model_class": model_class,
            "architecture": architecture.to_json(),
            "tasks": [task.to_json() for task in tasks],
            "inputs": {name: asdict(item) for name, item in inputs.items()},
        }
        if own_code:
            value["own_code"] = own_code
        write_json(self.path / "tasks.json", value)

    def read_tasks(self) -> tuple[tuple[Task, ...], dict[str, TaskInput]]:
        """Returns the model's tasks, and how their texts are encoded.

        Raises:
            UserError: the folder is not a run's, or tasks.json is damaged.
        """
        path = self.path / "tasks.json"
        tasks, value = read_model_tasks(self.path)
        try:
            inputs = {task.name: TaskInput(**value["inputs"][task.name]) for task in tasks}
        except (KeyError, TypeError) as error:
            raise UserError(f"{path} is damaged ({shown(error)}).") from None
        for name, item in inputs.items():
            length, normalization = item.sequence_length, item.text_normalization
            known = isinstance(normalization, str) and normalization in TEXT_NORMALIZATIONS
            if not known or type(length) is not int or not 0 < length <= LONGEST_SEQUENCE:
                raise UserError(f"{path} is damaged (inputs of {name}: {shown(vars(item))}).")
        return tasks, inputs

    def _read_tasks_file(self) -> dict[str, Any]:
        path = self.path / "tasks.json"
        value = read_json(path, "tasks.json")
        if not isinstance(value, dict):
            raise UserError(f"{path} is damaged (expected an object, found {shown(value)}).")
        return value

    def written_architecture(self) -> dict[str, Any]:
        """Returns the architecture in tasks.json as JSON; empty if the folder has none.

        Raises:
            UserError: tasks.json is damaged.
        """
        path = self.path / "tasks.json"
        found = self._read_tasks_file().get("architecture", {}) if path.exists() else {}
        if not isinstance(found, dict):
            raise UserError(f"{path} is damaged (architecture: {shown(found)}).")
        return found

    def read_architecture(self) -> Architecture:
        """Returns the model's architecture and imports the classes that it names; the baseline if the folder has none.

        ``ModelClass`` decides before whether user-defined classes may be imported.

        Raises:
            UserError: tasks.json is damaged, or a class cannot be imported.
        """
        return architecture_from_json(self.written_architecture(), str(self.path / "tasks.json"))

    def own_code(self) -> dict[str, dict[str, str]]:
        """Returns the result of ``own_code.describe`` for the user-defined classes of the run.

        Raises:
            UserError: tasks.json is damaged.
        """
        found = self._read_tasks_file().get("own_code", {})
        if not isinstance(found, dict) or not all(
            is_own(name) and isinstance(about, dict) and all(isinstance(value, str) for value in about.values())
            for name, about in found.items()
        ):
            raise UserError(f"{self.path / 'tasks.json'} is damaged (own_code: {shown(found)}).")
        return found

    def check_class(self, model_class: type) -> None:
        """Raises UserError if the folder's model has another class, with which its weights would mean something else."""
        written = self._read_tasks_file().get("model_class", model_class.__name__)
        if not isinstance(written, str) or not written.isidentifier():
            raise UserError(f"{self.path / 'tasks.json'} is damaged (model_class is {shown(written)}).")
        if written != model_class.__name__:
            raise UserError(
                f"{self.path} does not fit {model_class.__name__}: it was trained with the class {written}. Use that one "
                "(--model_class, or model_class from Python)."
            )

    def check_same_vocabulary(self, files: EncoderFiles) -> None:
        """Raises UserError if the run has another vocabulary or other token ids, or its file is missing."""
        own = self.encoder_files
        if not own.vocabulary_file.is_file():
            raise UserError(
                f"{own.vocabulary_file} is missing, so the run cannot be checked against {files.vocabulary_file}. Bring it "
                f"back (the encoder's {own.vocabulary_file.name}), or use another --model_dir."
            )
        before, now = own.vocabulary, files.vocabulary
        if before.sha256 != now.sha256:
            rules = (RULE_NAMES[before.rule], RULE_NAMES[now.rule])
            how = f" (ids by {rules[0]}, not by {rules[1]})" if rules[0] != rules[1] else ""
            if before.tokenizer != now.tokenizer:
                how = f" (tokenizer {before.tokenizer}, not {now.tokenizer})"
            raise UserError(
                f"{self.path} holds a run with another vocabulary than {files.vocabulary_file}{how}. Use another "
                "--model_dir."
            )

    def write_train_config(self, settings: dict[str, Any], data: dict[str, Any], plan: dict[str, Any]) -> None:
        """Writes train_config.json: all resolved settings, the data, the step plan and the versions."""
        value = {"settings": settings, "data": data, "plan": plan, "versions": package_versions()}
        write_json(self.path / TRAIN_CONFIG, value)

    def written_settings(self) -> dict[str, Any]:
        """Returns the settings in train_config.json; empty for a new run.

        Raises:
            UserError: the file is damaged.
        """
        return self._written("settings")

    def written_fold(self) -> dict[str, Any] | None:
        """Returns the entry in train_config.json for the fold that the run leaves out; None if it leaves out none.

        Raises:
            UserError: the file is damaged.
        """
        fold = self._written("data").get("fold")
        if fold is not None and not (isinstance(fold, dict) and {name: type(fold.get(name)) for name in FOLD} == FOLD):
            raise self.damaged(f"data.fold is {fold!r}")
        return fold

    def written_data(self) -> dict[str, Any]:
        """Returns the entry in train_config.json for the run's data; empty for a new run.

        Raises:
            UserError: the file is damaged.
        """
        data = self._written("data")
        items = [data.get(name, []) for name in ("train", "dev", "unlabelled")]
        if not all(isinstance(part, list) and all(isinstance(item, dict) for item in part) for part in items):
            raise self.damaged("data.train, data.dev or data.unlabelled is no list of files")
        if not isinstance(data.get("files_sha256", {}), dict):
            raise self.damaged(f"data.files_sha256 is {data['files_sha256']!r}")
        return data

    def written_texts(self) -> dict[str, Any]:
        """Returns the entry in train_config.json for the texts of a pre-training run.

        Raises:
            UserError: the file is damaged.
        """
        texts = self._written("data").get("texts")
        if not isinstance(texts, dict):
            raise self.damaged(f"data.texts is {texts!r}")
        return texts

    def damaged(self, what: str) -> UserError:
        """Returns the error for a damaged train_config.json."""
        return UserError(
            f"{self.path / TRAIN_CONFIG} is damaged ({what}); bring back the file that the run wrote, or train again."
        )

    def _written(self, section: str) -> dict[str, Any]:
        path = self.path / TRAIN_CONFIG
        value = read_json(path, TRAIN_CONFIG) if path.exists() else {}
        found = value.get(section, {}) if isinstance(value, dict) else None
        if not isinstance(found, dict):
            raise self.damaged(f"it has no {section}")
        return found

    def changed_settings(self, settings: dict[str, Any]) -> list[str]:
        """Returns the differences between ``settings`` and those that the run was started with; empty for a new run.

        ``model_dir`` is not compared, since the folder may have been moved.
        """
        before = self.written_settings()
        names = [name for name in before if name in settings and name != "model_dir"]
        changed = [name for name in names if str(before[name]) != str(settings[name])]  # 0.1 may be written "0.1"
        return [f"{name}: {before[name]!r} -> {settings[name]!r}" for name in changed]
