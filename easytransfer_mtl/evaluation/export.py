"""A run's best model as a self-contained folder: Hugging Face encoder, heads, vocabulary, tasks."""

import logging
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.numpy import load_file

from easytransfer_mtl import __version__
from easytransfer_mtl.encoders.dropout import DropoutClock
from easytransfer_mtl.encoders.finding import find_encoder
from easytransfer_mtl.encoders.finite import check_finite
from easytransfer_mtl.encoders.loading import load_encoder
from easytransfer_mtl.encoders.recorded_hashes import KEY, hashes_of
from easytransfer_mtl.encoders.saving import save_encoder
from easytransfer_mtl.encoders.weight_files.safetensors_file import write_safetensors
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.evaluation.model_class import AS_STORED, ModelClass
from easytransfer_mtl.files import read_json, replacing_folder, write_json
from easytransfer_mtl.models.multitask_model import MultiTaskModel
from easytransfer_mtl.models.variables import build_variables, own_variables
from easytransfer_mtl.runs.folder import RunFolder, TaskInput
from easytransfer_mtl.tasks import Task

HEADS_FILE, EXPORT_FILE = "heads.safetensors", "export.json"


def export_model(
    model: MultiTaskModel,
    run: RunFolder,
    inputs: dict[str, TaskInput],
    about: dict[str, Any],
    tasks: tuple[Task, ...] | None = None,
) -> Path:
    """Writes the run's ``best/``; an existing one is replaced only when the new one is complete.

    The encoder is written by ``save_encoder``, for transformers' PyTorch class of its type and for
    ``--pretrain_model_name_or_path``.

    Args:
        model: the model with the weights to export.
        run: the run, for its vocabulary and user-defined classes.
        inputs: how each task's texts were encoded.
        about: content of export.json: step and scores. The sharing, the encoder's role and the SHA-256 of every file are
            added.
        tasks: the model's tasks with the thresholds to export; None for those that the model has.

    Raises:
        NonFiniteError: a weight is NaN or infinite; an existing folder is kept.
    """
    target = run.path / "best"
    heads = {key: variable.numpy() for key, variable in own_variables(model).items()}
    check_finite(heads, "The heads to export")
    with replacing_folder(target) as fresh:
        save_encoder(model.encoder, run.encoder_files.vocabulary, fresh)
        RunFolder(fresh).write_tasks(tasks or model.tasks, inputs, type(model).__name__, model.architecture, run.own_code())
        write_safetensors(fresh / HEADS_FILE, heads)
        about = {**about, "sharing": model.architecture.sharing.sharing, "encoder": model.sharing.role}
        write_json(fresh / EXPORT_FILE, {**about, "easytransfer_mtl": __version__, KEY: hashes_of(fresh)})
    logging.info("Exported %s", target)
    return target


def load_exported(folder: str, model_class: ModelClass = AS_STORED) -> tuple[MultiTaskModel, dict[str, TaskInput]]:
    """Loads a folder written by ``export_model``; nothing else is needed.

    Args:
        folder: usually ``best/``.
        model_class: the class the model was trained with, and whether user-defined code may be imported.

    Returns:
        The model, and how each task's texts are encoded.

    Raises:
        UserError: the folder is not an export, is damaged, has files that do not match the recorded hashes, or was trained
            with another class.
    """
    path = Path(folder)
    if not (path / EXPORT_FILE).is_file():
        inside = path / "best"
        hint = (
            f"did you mean {inside}?"
            if inside.is_dir()
            else "train and evaluate first; the best model goes to <model_dir>/best."
        )
        raise UserError(f"{path} is not an exported model (no {EXPORT_FILE}); {hint}")
    files = find_encoder(str(path))  # checks the hashes of all files
    about = read_json(path / EXPORT_FILE, "export.json")
    # Earlier versions wrote only the step.
    if isinstance(about, dict) and not about.get("trained", about.get("step") != 0):
        logging.warning("%s is the start of its run (step 0), before any training.", path)
    tasks, inputs = RunFolder(path).read_tasks()
    chosen = model_class.of(RunFolder(path))
    encoder = load_encoder(files, DropoutClock(0)).encoder
    model = chosen(encoder, tasks, architecture=RunFolder(path).read_architecture())
    build_variables(model)
    _load_own_variables(model, path / HEADS_FILE)
    return model, inputs


def _load_own_variables(model: MultiTaskModel, path: Path) -> None:
    """Loads the weights outside the encoder, all or none.

    Raises:
        UserError: the file is damaged, or holds other weights or another number format.
    """
    try:
        arrays = load_file(path)
    except (SafetensorError, OSError, KeyError, TypeError) as error:  # the last two: formats that NumPy lacks
        raise UserError(f"{path} cannot be read: {error}") from None
    check_finite(arrays, str(path))
    variables = own_variables(model)
    wrong = sorted(set(arrays) ^ set(variables)) or [
        key for key in arrays if arrays[key].shape != tuple(variables[key].shape)
    ]
    if wrong:
        raise UserError(
            f"{path} does not fit {type(model).__name__} ({', '.join(wrong)}); was it trained with another class? An export "
            "of an earlier version may hold the state of a learned loss weighting too: evaluate exports the run again."
        )
    formats = {key: (str(arrays[key].dtype), variable.dtype.name) for key, variable in variables.items()}
    other = [f"{key}: {found} instead of {wanted}" for key, (found, wanted) in sorted(formats.items()) if found != wanted]
    if other:
        raise UserError(f"{path} is damaged: number formats are others than an export's ({', '.join(other)}).")
    for key, value in arrays.items():
        variables[key].assign(value)
