"""Finding the weights in a folder."""

import os
import re
from pathlib import Path

from easytransfer_mtl.encoders.weight_files.sharded import INDEX_SUFFIX
from easytransfer_mtl.errors import UserError

FORMATS_BY_SUFFIX = {".safetensors": "safetensors", ".h5": "h5", ".bin": "torch", ".pt": "torch", ".pth": "torch"}
TF1_FORMAT = "tf1"
_PREFERRED = tuple(
    f"{name}{suffix}" for name in ("model.safetensors", "tf_model.h5", "pytorch_model.bin") for suffix in ("", INDEX_SUFFIX)
)
_TF1_INDEX = re.compile(r"((?:(?:bert_)?model|electra\w*)\.ckpt.*)\.index")
_TF1_FILE_END = re.compile(r"\.(index|meta|data-\d{5}-of-\d{5})$")
_TF1_LOOKED_FOR = (
    "model.ckpt*.index, bert_model.ckpt*.index, electra*.ckpt*.index or a checkpoint file naming another prefix"
)


def find_weights(location: str | os.PathLike[str]) -> tuple[Path, str]:
    """Finds the weights that a location means.

    Args:
        location: a folder, a weight file, an index of shards, or a TensorFlow 1 checkpoint prefix (or one of its files).
            In a folder safetensors goes before HDF5, HDF5 before PyTorch, PyTorch before TensorFlow 1, and a single file
            before shards.

    Returns:
        The file (for TensorFlow 1 the prefix) and its format: "safetensors", "h5", "torch" or "tf1".

    Raises:
        UserError: nothing is there, or a folder has several checkpoints and does not say which one is meant.
    """
    path = Path(location)
    if path.is_dir():
        return _find_in_folder(path)
    suffix = Path(path.name.removesuffix(INDEX_SUFFIX)).suffix
    if path.is_file() and suffix in FORMATS_BY_SUFFIX:
        return path, FORMATS_BY_SUFFIX[suffix]
    prefix = path.with_name(_TF1_FILE_END.sub("", path.name)) if path.name else path
    if _is_tf1_prefix(prefix):
        return prefix, TF1_FORMAT
    if path.is_file():
        raise UserError(
            f"Weight file {path}: the format is not known from its name; known endings are {', '.join(FORMATS_BY_SUFFIX)}, "
            f"each also with {INDEX_SUFFIX}, and TensorFlow 1 checkpoints (a prefix with {path.name}.index beside it)."
        )
    raise UserError(f"Weights {path} do not exist: there is no such folder or file, and no {path}.index of a checkpoint.")


def _find_in_folder(folder: Path) -> tuple[Path, str]:
    for name in _PREFERRED:
        if (folder / name).is_file():
            return folder / name, FORMATS_BY_SUFFIX[Path(name.removesuffix(INDEX_SUFFIX)).suffix]
    latest = _latest_checkpoint(folder)
    if latest is not None:
        return latest, TF1_FORMAT
    names = sorted(path.name for path in folder.iterdir())
    prefixes = [match[1] for name in names if (match := _TF1_INDEX.fullmatch(name))]
    if len(prefixes) > 1:
        raise UserError(f"Folder {folder} has several checkpoints; give one of {[str(folder / name) for name in prefixes]}.")
    if prefixes:
        return folder / prefixes[0], TF1_FORMAT
    looked_for = f"{', '.join(_PREFERRED)}, {_TF1_LOOKED_FOR}"
    found = f"{names[:20]}{f' and {len(names) - 20} more' if len(names) > 20 else ''}" if names else "nothing"
    raise UserError(
        f"Folder {folder} has no weights. Looked for: {looked_for}. Found: {found}. To start from random "
        "weights on purpose, pass --random_init."
    )


def _latest_checkpoint(folder: Path) -> Path | None:
    """The checkpoint named by TensorFlow's ``checkpoint`` file, if it is there."""
    try:
        state = (folder / "checkpoint").read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None
    match = re.search(r'^\s*model_checkpoint_path:\s*"([^"]+)"', state, re.MULTILINE)
    # The path may be that of the machine it was saved on; its files are in this folder all the same.
    prefix = folder / re.split(r"[/\\]", match[1])[-1] if match else None
    return prefix if prefix is not None and _is_tf1_prefix(prefix) else None


def _is_tf1_prefix(prefix: Path) -> bool:
    return bool(prefix.name) and prefix.with_name(f"{prefix.name}.index").is_file()
