"""transformers' TensorFlow models of exported folders, loaded as docs/exported_models.md says."""

from pathlib import Path
from typing import Any

from safetensors.numpy import load_file
from transformers.modeling_tf_pytorch_utils import load_pytorch_state_dict_in_tf2_model


def tensorflow_model(model_class: Any, folder: Path) -> Any:
    """Returns a model of a TensorFlow class with a folder's weights.

    Raises:
        AttributeError: a weight is missing.
    """
    model = model_class(model_class.config_class.from_pretrained(folder))
    return load_pytorch_state_dict_in_tf2_model(model, load_file(folder / "model.safetensors"))
