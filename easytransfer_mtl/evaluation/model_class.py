"""The class of a stored model, and whether user-defined code named in its folder may be imported."""

import hashlib
import logging
from dataclasses import dataclass
from pathlib import Path

from easytransfer_mtl.config.export_settings import ExportSettings
from easytransfer_mtl.config.predict_settings import CheckpointsSettings, EvaluateSettings
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.models.multitask_model import MultiTaskModel
from easytransfer_mtl.own_code import SUFFIX, own_class
from easytransfer_mtl.runs.folder import RunFolder

OF_TRAINING = ("loss_weighting", "task_sampling")
"""Settings whose classes are not needed after training."""


@dataclass(frozen=True)
class ModelClass:
    """The user's choice of class for stored models.

    Attributes:
        given: the class; None for the one named in the folder.
        trust_own_code: whether user-defined classes named in the folder are imported.
    """

    given: type[MultiTaskModel] | None = None
    trust_own_code: bool = False

    def of(self, folder: RunFolder) -> type[MultiTaskModel]:
        """Returns the class for building a folder's model.

        Raises:
            UserError: the folder names user-defined classes that may not or cannot be imported, or its model has another
                class.
        """
        named = {name: about for name, about in folder.own_code().items() if about.get("setting") not in OF_TRAINING}
        chosen = self.given
        for name, about in named.items():
            is_model = about.get("setting") == "model_class"
            if is_model and self.given is not None:
                continue
            if not self.trust_own_code:
                instead = f" (or --model_class={name}, if that is all)" if len(named) == 1 and is_model else ""
                raise UserError(
                    f"{folder.path} was trained with its user's own code: {', '.join(named)}. Nothing of it is imported "
                    f"unless you say so: look at it, and give --trust_own_code{instead}."
                )
            _warn_of_changes(name, about)
            if is_model:
                chosen = own_class(name, MultiTaskModel, "model_class")
        chosen = chosen or MultiTaskModel
        folder.check_class(chosen)
        return chosen


AS_STORED = ModelClass()
"""The class named in the folder, without importing user-defined code."""


def model_class_of(
    settings: EvaluateSettings | ExportSettings | CheckpointsSettings, given: type[MultiTaskModel] | None
) -> ModelClass:
    """Returns the choice made by a command's settings, or by a class passed from Python."""
    if given is None and settings.model_class:
        given = own_class(settings.model_class, MultiTaskModel, "model_class")
    return ModelClass(given, settings.trust_own_code)


def _warn_of_changes(name: str, about: dict[str, str]) -> None:
    home = name.rsplit(":", 1)[0]
    if not home.endswith(SUFFIX):
        return
    if not Path(home).is_file():
        raise UserError(
            f"{name} cannot be imported: there is no file {home} here. It was trained in {about.get('started_from')}, where "
            f"it is {about.get('file')}; start from there, or bring the file here."
        )
    if hashlib.sha256(Path(home).read_bytes()).hexdigest() != about.get("sha256"):
        logging.warning("%s has changed since the model was trained with it", home)
