"""Run in a process without TensorFlow: what transformers' PyTorch classes make of exported folders.

Arguments: the class of the model, then the folders, each with inputs.npz (input_ids, attention_mask, token_type_ids). Leaves
outputs.npz in each (the model's outputs by name, the layers' states as hidden_0, hidden_1, ...), and prints what loading
told, one JSON object a folder.
"""

import json
import os
import sys

os.environ |= {"USE_TF": "0", "USE_TORCH": "1", "HF_HUB_OFFLINE": "1"}

import numpy as np  # noqa: E402
import torch  # noqa: E402
import transformers  # noqa: E402


def main(class_name: str, *folders: str) -> None:
    """Loads and runs each."""
    for folder in folders:
        model, told = getattr(transformers, class_name).from_pretrained(folder, output_loading_info=True)
        with np.load(f"{folder}/inputs.npz") as inputs, torch.no_grad():
            given = {name: torch.tensor(values.astype(np.int64)) for name, values in inputs.items()}
            outputs = dict(model.eval()(**given, output_hidden_states=True))
        layers = {f"hidden_{number}": states for number, states in enumerate(outputs.pop("hidden_states"))}
        np.savez(f"{folder}/outputs.npz", **{name: value.numpy() for name, value in {**outputs, **layers}.items()})
        print(json.dumps({"class": type(model).__name__, **{name: sorted(map(str, keys)) for name, keys in told.items()}}))


if __name__ == "__main__":
    main(*sys.argv[1:])
