"""What lies in a run's folder beside its checkpoints: enough to rebuild the model and to repeat the run."""

import json
import platform
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from transformers import PretrainedConfig

from easytransfer_mtl.data.tokenization import TEXT_NORMALIZATIONS
from easytransfer_mtl.encoders.finding import EncoderFiles
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.files import check_outputs, read_json, real_path, replacing, sha256_of, write_json, write_text
from easytransfer_mtl.models.architecture import BASELINE, Architecture
from easytransfer_mtl.models.architecture_checks import architecture_from_json
from easytransfer_mtl.tasks import Task, read_model_tasks

PACKAGES = ("tensorflow", "tf-keras", "transformers", "numpy", "scikit-learn", "absl-py")
TRAIN_CONFIG = "train_config.json"
FOLD = {"fold": int, "num_folds": int, "folds_sha256": str}
"""What train_config.json says of a fold, and the types of it."""


@dataclass(frozen=True)
class TaskInput:
    """How a task's texts became features; prediction does the same."""

    sequence_length: int
    text_normalization: str


def package_versions() -> dict[str, str]:
    """Returns the versions of Python and of what computes."""
    return {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}}


def check_run_outputs(folder: Path, replaced: str, inputs: list[Path]) -> None:
    """Raises UserError if a run in a folder would write over what it reads, or cannot write.

    Args:
        folder: the run's.
        replaced: the folder in it that is written at the end.
        inputs: files that the run reads.
    """
    files = ("config.json", "vocab.txt", "tasks.json", TRAIN_CONFIG, "metrics.csv", "checkpoint")
    check_outputs([folder / name for name in files], inputs, [folder / replaced, folder / "interrupted"])


@dataclass(frozen=True)
class RunFolder:
    """A run's folder (``model_dir``) or an exported model (``best/``): config.json, vocab.txt, tasks.json and more."""

    path: Path

    @property
    def encoder_files(self) -> EncoderFiles:
        """The folder's config and vocabulary, for building the encoder."""
        return EncoderFiles(self.path, self.path, tanh_gelu=False)

    def write_encoder(self, config: PretrainedConfig, vocabulary_file: Path) -> None:
        """Writes config.json and vocab.txt."""
        self.path.mkdir(parents=True, exist_ok=True)
        write_text(self.path / "config.json", json.dumps(config.to_dict(), indent=2) + "\n")
        if real_path(vocabulary_file) != real_path(self.path / "vocab.txt"):
            with replacing(self.path / "vocab.txt") as temporary:
                temporary.write_bytes(vocabulary_file.read_bytes())

    def write_model(
        self,
        config: PretrainedConfig,
        vocabulary_file: Path,
        tasks: tuple[Task, ...],
        inputs: dict[str, TaskInput],
        model_class: str = "MultiTaskModel",
        architecture: Architecture = BASELINE,
    ) -> None:
        """Writes config.json, vocab.txt and tasks.json."""
        self.write_encoder(config, vocabulary_file)
        value = {
            "model_class": model_class,
            "architecture": architecture.to_json(),
            "tasks": [task.to_json() for task in tasks],
            "inputs": {name: asdict(item) for name, item in inputs.items()},
        }
        write_json(self.path / "tasks.json", value)

    def read_tasks(self) -> tuple[tuple[Task, ...], dict[str, TaskInput]]:
        """Reads the model's tasks and how their texts are encoded.

        Raises:
            UserError: the folder is not a run's, or tasks.json is damaged.
        """
        path = self.path / "tasks.json"
        tasks, value = read_model_tasks(self.path)
        try:
            inputs = {task.name: TaskInput(**value["inputs"][task.name]) for task in tasks}
        except (KeyError, TypeError) as error:
            raise UserError(f"{path} is damaged ({error}).") from None
        for name, item in inputs.items():
            if item.text_normalization not in TEXT_NORMALIZATIONS or type(item.sequence_length) is not int:
                raise UserError(f"{path} is damaged (inputs of {name}: {item}).")
        return tasks, inputs

    def read_architecture(self) -> Architecture:
        """Reads what the model is made of; a folder that does not tell holds a baseline.

        Raises:
            UserError: tasks.json is damaged.
        """
        path = self.path / "tasks.json"
        return architecture_from_json(read_json(path, "tasks.json").get("architecture", {}), str(path))

    def check_class(self, model_class: type) -> None:
        """Raises UserError if the folder's model is of another class: its weights would mean something else."""
        written = read_json(self.path / "tasks.json", "tasks.json").get("model_class", model_class.__name__)
        if written != model_class.__name__:
            raise UserError(
                f"{self.path} does not fit {model_class.__name__}: it was trained with the class {written}. Use that one "
                "(from Python: easytransfer_mtl's functions train, evaluate, predict and submit take it as model_class)."
            )

    def check_same_model(self, vocabulary_file: Path, tasks: tuple[Task, ...], model_class: type) -> None:
        """Checks that what is to go on is the run in this folder.

        Raises:
            UserError: the run has other tasks, labels or class, or another vocabulary.
        """
        self.check_class(model_class)
        before, _ = self.read_tasks()
        old, new = ([(task.name, task.label_enumerate_values) for task in group] for group in (before, tasks))
        if old != new:
            raise UserError(f"{self.path} holds a run of the tasks {old}, not {new}. Use another --model_dir.")
        self.check_same_vocabulary(vocabulary_file)

    def check_same_vocabulary(self, vocabulary_file: Path) -> None:
        """Raises UserError if the run was made with another vocabulary, or has lost it."""
        own = self.encoder_files.vocabulary_file
        if not own.is_file():
            raise UserError(
                f"{own} is missing, so the run cannot be checked against {vocabulary_file}. Bring it back (the encoder's "
                "vocab.txt), or use another --model_dir."
            )
        if sha256_of(own) != sha256_of(vocabulary_file):
            raise UserError(
                f"{self.path} holds a run with another vocabulary than {vocabulary_file}. Use another --model_dir."
            )

    def write_train_config(self, settings: dict[str, Any], data: dict[str, Any], plan: dict[str, Any]) -> None:
        """Writes train_config.json: every resolved setting, the data, the step plan and the versions."""
        value = {"settings": settings, "data": data, "plan": plan, "versions": package_versions()}
        write_json(self.path / TRAIN_CONFIG, value)

    def written_settings(self) -> dict[str, Any]:
        """Returns the settings in train_config.json; none for a new run.

        Raises:
            UserError: the file is damaged.
        """
        return self._written("settings")

    def written_fold(self) -> dict[str, Any] | None:
        """Returns what train_config.json says of the fold that the run leaves out; None if it leaves out none.

        Raises:
            UserError: the file is damaged.
        """
        fold = self._written("data").get("fold")
        if fold is not None and not (isinstance(fold, dict) and {name: type(fold.get(name)) for name in FOLD} == FOLD):
            raise self.damaged(f"data.fold is {fold!r}")
        return fold

    def written_texts(self) -> dict[str, Any]:
        """Returns what train_config.json says of the texts that a pre-training is on.

        Raises:
            UserError: the file is damaged.
        """
        texts = self._written("data").get("texts")
        if not isinstance(texts, dict):
            raise self.damaged(f"data.texts is {texts!r}")
        return texts

    def damaged(self, what: str) -> UserError:
        """Returns the error that train_config.json is not what a run writes."""
        return UserError(
            f"{self.path / TRAIN_CONFIG} is damaged ({what}); bring back the file that the run wrote, or train anew."
        )

    def _written(self, section: str) -> dict[str, Any]:
        path = self.path / TRAIN_CONFIG
        value = read_json(path, TRAIN_CONFIG) if path.exists() else {}
        found = value.get(section, {}) if isinstance(value, dict) else None
        if not isinstance(found, dict):
            raise self.damaged(f"it has no {section}")
        return found

    def changed_settings(self, settings: dict[str, Any]) -> list[str]:
        """Returns how ``settings`` differ from those that the run was started with; empty for a new run.

        The folder itself may have been moved.
        """
        before = self.written_settings()
        names = [name for name in before if name in settings and name != "model_dir"]
        changed = [name for name in names if str(before[name]) != str(settings[name])]  # 0.1 may be written "0.1"
        return [f"{name}: {before[name]!r} -> {settings[name]!r}" for name in changed]
