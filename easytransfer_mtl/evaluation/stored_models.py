"""Models on disk: found by their paths, and checked to have the same tasks before they are averaged."""

import glob
import logging
from dataclasses import dataclass, replace
from pathlib import Path

from easytransfer_mtl.encoders.recorded_hashes import check_hashes
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.evaluation.easytransfer_checkpoint import EasyTransferFolder, is_easytransfer_checkpoint
from easytransfer_mtl.evaluation.evaluator import build_model
from easytransfer_mtl.evaluation.export import EXPORT_FILE, load_exported
from easytransfer_mtl.evaluation.model_class import AS_STORED, ModelClass
from easytransfer_mtl.evaluation.weights import EMA, Weights, has_averages, split_kind, weights_at
from easytransfer_mtl.files import real_path
from easytransfer_mtl.models.multitask_model import MultiTaskModel
from easytransfer_mtl.runs.checkpoint_files import INTERRUPTED, NAME, checkpoint_steps
from easytransfer_mtl.runs.folder import RunFolder
from easytransfer_mtl.tasks import CONTEST_TASKS, MULTI_LABEL, Task, task_named


@dataclass(frozen=True)
class StoredModel:
    """A model on disk.

    Attributes:
        name: the path, as shown to the user.
        folder: an exported folder (``best/``), a run's folder, or the folder of an EasyTransfer checkpoint.
        weights: the weights in a checkpoint; None for an exported folder.
    """

    name: str
    folder: RunFolder
    weights: Weights | None = None

    @property
    def run(self) -> RunFolder:
        """The folder of the model's run: the parent of an exported ``best/``, else ``folder`` itself."""
        path = real_path(self.folder.path)
        return RunFolder(path.parent) if self.weights is None and path.name == "best" else self.folder

    def load(self, model_class: ModelClass = AS_STORED) -> MultiTaskModel:
        """Builds the model with its weights.

        Raises:
            UserError: the model is damaged or has another class.
            NonFiniteError: a weight is NaN or infinite.
        """
        if self.weights is None:
            return load_exported(str(self.folder.path), model_class)[0]
        if self.weights.prefix.name == f"{NAME}-0":
            logging.warning("%s is the start of its run (step 0), before any training.", self.name)
        if isinstance(self.folder, EasyTransferFolder):
            return self.folder.load(model_class.given or MultiTaskModel)
        model = build_model(self.folder, model_class)
        self.weights.restore(model)
        if not self.weights.is_ema and has_averages(prefix := self.weights.prefix):
            logging.info("%s: the weights of its last step; its moving averages are %s%s", prefix, prefix, EMA)
        return model


def stored_model_at(path: str, tasks: tuple[Task, ...] = CONTEST_TASKS) -> StoredModel:
    """Finds the model at a path: an exported folder, a run's folder (its ``best/``), or a checkpoint prefix.

    Args:
        path: the path.
        tasks: the tasks of an EasyTransfer checkpoint, which does not name them.

    Raises:
        UserError: there is no model, or it does not have the requested weights.
    """
    bare, kind = split_kind(path)
    place = Path(bare)
    if kind and place.is_dir():
        raise UserError(
            f"{path}: {kind} belongs behind a checkpoint prefix (MODEL_DIR/model.ckpt-1234{kind}); a folder's best/ holds "
            "one kind of weights, which its export.json names."
        )
    for name, exported in ((path, place), (str(place / "best"), place / "best")):
        if (exported / EXPORT_FILE).is_file():
            check_hashes(exported, with_weights=False)  # only of the small files; loading the model checks all
            return StoredModel(name, RunFolder(exported))
    if Path(f"{bare}.index").is_file():
        run = place.parent.parent if place.parent.name == INTERRUPTED else place.parent
        weights = weights_at(path)
        weights.check()
        is_original = is_easytransfer_checkpoint(weights.prefix)
        folder = EasyTransferFolder(run, weights.prefix, tasks) if is_original else RunFolder(run)
        return StoredModel(path, folder, weights)
    if place.is_dir():
        originals = [str(found) for found in sorted(checkpoint_steps(place).values()) if is_easytransfer_checkpoint(found)]
        if originals:
            raise UserError(f"{path} holds checkpoints of EasyTransfer's; name one of them: {', '.join(originals)}.")
        raise UserError(
            f"{path} is not an exported model (no {EXPORT_FILE}), nor a run with one in best/. Train with dev files or run "
            "evaluate, which export the best model; or name one of the run's checkpoints, MODEL_DIR/model.ckpt-STEP."
        )
    raise UserError(
        f"{path} is no folder and no checkpoint (there is no {bare}.index). Give the folder of a run, its best/, or a "
        "checkpoint prefix such as MODEL_DIR/model.ckpt-1234, or MODEL_DIR/model.ckpt-1234@ema for its moving averages."
    )


def find_models(
    checkpoints: str, tasks: tuple[Task, ...] = CONTEST_TASKS, setting: str = "--checkpoints"
) -> list[StoredModel]:
    """Finds the models of ``--checkpoints`` or ``--teacher``.

    Args:
        checkpoints: paths as for ``stored_model_at``, separated by commas; each may be a pattern (``*``, ``?``, ``[...]``).
        tasks: see ``stored_model_at``.
        setting: the flag, for errors.

    Raises:
        UserError: a path or a pattern leads to no model, or two lead to the same model.
    """
    members = [stored_model_at(path, tasks) for entry in checkpoints.split(",") for path in _matches(entry.strip(), setting)]
    places = [_place(member) for member in members]
    twice = sorted({member.name for member, place in zip(members, places) if places.count(place) > 1})
    if twice:
        raise UserError(f"{setting} names a model more than once: {', '.join(twice)}. Give each once.")
    return members


def _place(member: StoredModel) -> tuple[Path, bool]:
    """Returns what identifies a model: the place of its weights, and whether the moving averages are meant."""
    weights = member.weights
    return real_path(weights.prefix if weights else member.folder.path), bool(weights and weights.is_ema)


def _matches(entry: str, setting: str) -> list[str]:
    """Returns the sorted paths of an entry: the entry itself, or all matching folders and checkpoint prefixes."""
    if not entry:
        raise UserError(f"{setting} has an empty entry; give A,B,... without a comma at an end.")
    pattern, kind = split_kind(entry)
    if Path(pattern).exists() or Path(f"{pattern}.index").is_file() or not glob.has_magic(pattern):
        return [entry]
    # A pattern of prefixes (model.ckpt-*) matches each prefix's .index and .data files.
    folders = [path for path in glob.glob(pattern) if Path(path).is_dir()]
    indexes = [path for wanted in (pattern, f"{pattern}.index") for path in glob.glob(wanted) if path.endswith(".index")]
    prefixes = [path.removesuffix(".index") for path in indexes]
    untrained = {path for path in prefixes if Path(path).name == f"{NAME}-0"}
    for path in sorted(untrained):
        logging.info("%s is left out of %s: it is a run's start.", path, entry)
    fitting = {*folders, *prefixes} - untrained
    if not fitting:
        hint = " In a pattern a [ that is meant as it stands is written [[]." if "[" in pattern else ""
        raise UserError(f"{setting}: {entry!r} fits no folder and no checkpoint of a training that has begun.{hint}")
    return sorted(f"{path}{kind}" for path in fitting)


def check_alike(members: list[StoredModel]) -> tuple[Task, ...]:
    """Returns the common tasks of all models, in the order of the first model, with the mean of the models' thresholds.

    Vocabularies, lengths and encoders may differ, since every model encodes the texts itself.

    Raises:
        UserError: tasks, labels or text normalization differ.
    """
    first, *others = members
    wanted = _meanings(first)
    for other in others:
        found = _meanings(other)
        if found.keys() != wanted.keys():
            raise UserError(
                f"{other.name} has the tasks {', '.join(found)}, {first.name} has {', '.join(wanted)}; models of other "
                "tasks cannot be averaged."
            )
        for name, meaning in wanted.items():
            its = found[name]
            differing = [f"{what} {its[what]} and {value}" for what, value in meaning.items() if its[what] != value]
            if differing:
                raise UserError(
                    f"{other.name} and {first.name} differ in {name}: {'; '.join(differing)}. Their probabilities do not "
                    "mean the same and cannot be averaged."
                )
    return tuple(_with_mean_threshold(task, members) for task in first.folder.read_tasks()[0])


def _with_mean_threshold(task: Task, members: list[StoredModel]) -> Task:
    if task.type != MULTI_LABEL:
        return task
    each = [task_named(task.name, member.folder.read_tasks()[0]).threshold for member in members]
    return replace(task, threshold=sum(each) / len(each))


def _meanings(member: StoredModel) -> dict[str, dict[str, str]]:
    """Returns what gives each task's probabilities their meaning: labels, columns read, text normalization."""
    tasks, inputs = member.folder.read_tasks()
    return {
        task.name: {
            "labels": ",".join(task.label_enumerate_values),
            "type": task.type,
            "unit": task.unit,
            "texts": f"{task.first_sequence},{task.second_sequence} of {','.join(task.columns)}",
            "text_normalization": inputs[task.name].text_normalization,
        }
        for task in tasks
    }
