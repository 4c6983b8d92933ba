"""Finds the weights in a folder."""

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
_TF1_ANY_INDEX = re.compile(r"(.+)\.index")
_TF1_FILE_END = re.compile(r"\.(index|meta|data-\d{5}-of-\d{5})$")
_NO_WEIGHTS = re.compile(r"(training_args|optimizer|scheduler|scaler|rng_state|heads)\b.*|.*-\d{5}-of-\d{5}\.\w+")
"""Files that end like weights but are none: other files that training saves, and shards without their index."""


def find_weights(location: str | os.PathLike[str]) -> tuple[Path, str]:
    """Finds the weights that a location stands for.

    Args:
        location: a folder, a weight file, an index of shards, or a TensorFlow 1 checkpoint prefix (or one of its files). In
            a folder, safetensors comes before HDF5, HDF5 before PyTorch, PyTorch before TensorFlow 1, and a single file
            before shards; if no file has a usual name, the only one with another name is taken.

    Returns:
        The file (for TensorFlow 1 the prefix) and its format: "safetensors", "h5", "torch" or "tf1".

    Raises:
        UserError: nothing is found, or a folder has several checkpoints and does not say which one to take.
    """
    path = Path(location)
    if path.is_dir():
        return _find_in_folder(path)
    suffix = Path(path.name.removesuffix(INDEX_SUFFIX)).suffix
    if path.is_file() and suffix in FORMATS_BY_SUFFIX:
        return path, FORMATS_BY_SUFFIX[suffix]
    prefix = tf1_prefix(path)
    if prefix is not None:
        return prefix, TF1_FORMAT
    if path.is_file():
        raise UserError(
            f"Weight file {path}: the format is not known from its name; known endings are {', '.join(FORMATS_BY_SUFFIX)}, "
            f"each also with {INDEX_SUFFIX}, and TensorFlow 1 checkpoints (a prefix with {path.name}.index beside it)."
        )
    raise UserError(f"Weights {path} do not exist: there is no such folder or file, and no {path}.index of a checkpoint.")


def tf1_prefix(path: Path) -> Path | None:
    """Returns the prefix of an existing TensorFlow 1 checkpoint, given that prefix or one of the files; otherwise None."""
    prefix = path.with_name(_TF1_FILE_END.sub("", path.name)) if path.name else path
    return prefix if _is_tf1_prefix(prefix) else None


def _find_in_folder(folder: Path) -> tuple[Path, str]:
    for name in _PREFERRED:
        if (folder / name).is_file():
            return folder / name, FORMATS_BY_SUFFIX[Path(name.removesuffix(INDEX_SUFFIX)).suffix]
    latest = _latest_checkpoint(folder)
    if latest is not None:
        return latest, TF1_FORMAT
    names = sorted(path.name for path in folder.iterdir())
    candidates = _prefixes(names, _TF1_INDEX) or _prefixes(names, _TF1_ANY_INDEX) + _files_of_other_names(folder, names)
    if len(candidates) > 1:
        raise UserError(
            f"Folder {folder} has several checkpoints; give one of {[str(folder / name) for name in candidates]}."
        )
    if candidates:
        return find_weights(folder / candidates[0])
    looked_for = f"{', '.join(_PREFERRED)}, or else one file that ends so, or one TensorFlow 1 checkpoint (*.index)"
    found = f"{names[:20]}{f' and {len(names) - 20} more' if len(names) > 20 else ''}" if names else "nothing"
    raise UserError(
        f"Folder {folder} has no weights. Looked for: {looked_for}. Found: {found}. To start from random "
        "weights on purpose, pass --random_init."
    )


def _prefixes(names: list[str], pattern: re.Pattern[str]) -> list[str]:
    return [match[1] for name in names if (match := pattern.fullmatch(name))]


def _files_of_other_names(folder: Path, names: list[str]) -> list[str]:
    weights = [name for name in names if Path(name.removesuffix(INDEX_SUFFIX)).suffix in FORMATS_BY_SUFFIX]
    return [name for name in weights if not _NO_WEIGHTS.fullmatch(name) and (folder / name).is_file()]


def _latest_checkpoint(folder: Path) -> Path | None:
    """Returns the checkpoint named by TensorFlow's ``checkpoint`` file, or None if it does not exist."""
    try:
        state = (folder / "checkpoint").read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None
    match = re.search(r'^\s*model_checkpoint_path:\s*"([^"]+)"', state, re.MULTILINE)
    # The path may be from the machine that saved the checkpoint; its files are in this folder anyway.
    prefix = folder / re.split(r"[/\\]", match[1])[-1] if match else None
    return prefix if prefix is not None and _is_tf1_prefix(prefix) else None


def _is_tf1_prefix(prefix: Path) -> bool:
    return bool(prefix.name) and prefix.with_name(f"{prefix.name}.index").is_file()
