"""The export of a pre-training run: ``final/``, a self-contained folder that training can start from."""

import logging
from dataclasses import asdict
from pathlib import Path
from typing import Any

from easytransfer_mtl import __version__
from easytransfer_mtl.config.pretrain_settings import PretrainSettings
from easytransfer_mtl.encoders.recorded_hashes import KEY, hashes_of
from easytransfer_mtl.encoders.saving import save_encoder
from easytransfer_mtl.files import replacing_folder, write_json
from easytransfer_mtl.pretraining.measurement import PretrainingProgress
from easytransfer_mtl.pretraining.model import MaskedLanguageModel
from easytransfer_mtl.pretraining.preparation import Prepared
from easytransfer_mtl.runs.folder import package_versions

FINAL, ABOUT_FILE = "final", "pretraining.json"


def exported(run: Path) -> Path | None:
    """Returns the run's ``final/``; None if there is none."""
    return run / FINAL if (run / FINAL / ABOUT_FILE).is_file() else None


def export_final(
    model: MaskedLanguageModel, settings: PretrainSettings, prepared: Prepared, progress: PretrainingProgress
) -> Path:
    """Writes the run's ``final/``; an existing one is replaced only when the new one is complete.

    It is an encoder folder written by ``save_encoder``, with the initial pooler, the masked-word head and pretraining.json.
    It can be loaded with ``--pretrain_model_name_or_path`` of train and pretrain, and with transformers' classes.

    Returns:
        The folder.

    Raises:
        NonFiniteError: a weight is NaN or infinite; an existing folder is kept.
    """
    target = Path(settings.model_dir) / FINAL
    with replacing_folder(target) as folder:
        save_encoder(model.encoder, prepared.files.vocabulary, folder, model.saved_head())
        steps = int(model.optimizer.iterations)
        about = _about(settings, steps, prepared, progress)
        write_json(folder / ABOUT_FILE, {**about, KEY: hashes_of(folder)})
    logging.info("Exported %s", target)
    return target


def _about(settings: PretrainSettings, steps: int, prepared: Prepared, progress: PretrainingProgress) -> dict[str, Any]:
    return {
        "settings": asdict(settings),
        "steps": steps,
        "held_out": {"before": progress.before.report(), "after": progress.after.report()},
        "texts": texts_by_file(prepared),
        "rows": len(prepared.batches.rows),
        "tokens": int(prepared.batches.rows.rows.offsets[-1]),
        "versions": {"easytransfer_mtl": __version__, **package_versions()},
    }


def texts_by_file(prepared: Prepared) -> dict[str, Any]:
    """Returns the numbers of training and held-out texts, the hash of both, and each file's rows and texts of its own."""
    files = [
        {"task": item.task, "kind": item.kind, "file": item.path.name, "rows": item.rows, "texts": len(item.texts)}
        for item in prepared.sources
    ]
    return {**prepared.num_texts, "sha256": prepared.texts_sha256, "files": files}
