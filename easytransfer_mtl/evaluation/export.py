"""A run's best model as a folder that stands alone: Hugging Face encoder, heads, vocabulary, tasks."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from easytransfer_mtl import __version__
from easytransfer_mtl.encoders.dropout import DropoutClock
from easytransfer_mtl.encoders.finding import find_encoder
from easytransfer_mtl.encoders.loading import load_encoder
from easytransfer_mtl.encoders.saving import save_encoder
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.files import read_json, replacing_folder, write_json
from easytransfer_mtl.models.multitask_model import MultiTaskModel
from easytransfer_mtl.models.variables import build_variables, own_variables
from easytransfer_mtl.training.run_folder import RunFolder, TaskInput

HEADS_FILE, EXPORT_FILE = "heads.safetensors", "export.json"


def export_model(model: MultiTaskModel, run: RunFolder, inputs: dict[str, TaskInput], about: dict[str, Any]) -> Path:
    """Writes ``best/`` of the run, replacing an older one only when the new one is complete.

    The encoder is in Hugging Face's layout (config.json, model.safetensors, vocab.txt), so ``TFBertModel`` (or the class of
    its type) and ``--pretrain_model_name_or_path`` load it.

    Args:
        model: with the weights to export.
        run: the run, for its vocabulary.
        inputs: how each task's texts were encoded.
        about: written to export.json: step and scores.
    """
    target = run.path / "best"
    with replacing_folder(target) as fresh:
        save_encoder(model.encoder, fresh)
        RunFolder(fresh).write_model(
            model.encoder.config,
            run.encoder_files.vocabulary,
            model.tasks,
            inputs,
            type(model).__name__,
            model.architecture,
        )
        save_file({key: np.asarray(v.numpy(), order="C") for key, v in own_variables(model).items()}, fresh / HEADS_FILE)
        write_json(fresh / EXPORT_FILE, {**about, "easytransfer_mtl": __version__})
    logging.info("Exported %s", target)
    return target


def load_exported(
    folder: str, model_class: type[MultiTaskModel] = MultiTaskModel
) -> tuple[MultiTaskModel, dict[str, TaskInput]]:
    """Loads a folder that ``export_model`` wrote; nothing else is needed.

    Args:
        folder: the folder, usually ``best/``.
        model_class: the class it was trained with.

    Returns:
        The model, and how each task's texts are encoded.

    Raises:
        UserError: the folder is not an export, is damaged, or was trained with another class.
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
    read_json(path / EXPORT_FILE, "export.json")
    tasks, inputs = RunFolder(path).read_tasks()
    RunFolder(path).check_class(model_class)
    encoder = load_encoder(find_encoder(str(path)), DropoutClock(0)).encoder
    model = model_class(encoder, tasks, architecture=RunFolder(path).read_architecture())
    build_variables(model)
    _load_own_variables(model, path / HEADS_FILE)
    return model, inputs


def _load_own_variables(model: MultiTaskModel, path: Path) -> None:
    """Gives a model its weights outside the encoder, all or none.

    Raises:
        UserError: the file is damaged, holds others, or holds them in another number format.
    """
    try:
        arrays = load_file(path)
    except (SafetensorError, OSError, KeyError, TypeError) as error:  # the last two for formats that numpy lacks
        raise UserError(f"{path} cannot be read: {error}") from None
    variables = own_variables(model)
    wrong = sorted(set(arrays) ^ set(variables)) or [
        key for key in arrays if arrays[key].shape != tuple(variables[key].shape)
    ]
    if wrong:
        raise UserError(
            f"{path} does not fit {type(model).__name__} ({', '.join(wrong)}); was it trained with another class?"
        )
    formats = {key: (str(arrays[key].dtype), variable.dtype.name) for key, variable in variables.items()}
    other = [f"{key}: {found} instead of {wanted}" for key, (found, wanted) in sorted(formats.items()) if found != wanted]
    if other:
        raise UserError(f"{path} is damaged: number formats are others than an export's ({', '.join(other)}).")
    for key, value in arrays.items():
        variables[key].assign(value)
