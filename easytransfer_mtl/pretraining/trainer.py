"""Runs pre-training with an encoder, texts and an optimizer."""

import logging
import signal
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path

from tqdm.contrib.logging import logging_redirect_tqdm

from easytransfer_mtl.config.pretrain_settings import TEXTS, PretrainSettings
from easytransfer_mtl.encoders.dropout import DropoutClock
from easytransfer_mtl.encoders.loading import load_config, load_encoder
from easytransfer_mtl.encoders.weight_files import read_weights
from easytransfer_mtl.errors import Stopped, UserError
from easytransfer_mtl.pretraining.export import export_final, exported, texts_by_file
from easytransfer_mtl.pretraining.measurement import HeldOut, PretrainingProgress
from easytransfer_mtl.pretraining.model import MaskedLanguageModel
from easytransfer_mtl.pretraining.preparation import Prepared, prepare
from easytransfer_mtl.pretraining.step_log import HeldOutLog, PretrainingLog, open_metrics
from easytransfer_mtl.pretraining.text_vectors import text_vectors
from easytransfer_mtl.runs.callbacks import SaveCheckpoints, StopOnSignal
from easytransfer_mtl.runs.checkpoint_files import has_checkpoints
from easytransfer_mtl.runs.checkpoints import RunCheckpoints
from easytransfer_mtl.runs.folder import RunFolder
from easytransfer_mtl.runs.identity import check_same_encoder, warn_of_changes
from easytransfer_mtl.runs.lock import run_lock
from easytransfer_mtl.runs.optimizers import make_optimizer
from easytransfer_mtl.runs.schedule import WarmupDecay


@dataclass(frozen=True)
class PretrainedRun:
    """A finished run: the model, its data, its measurements, and the folder that training can start from."""

    model: MaskedLanguageModel
    prepared: Prepared
    progress: PretrainingProgress
    final: Path


def run_pretraining(settings: PretrainSettings) -> PretrainedRun:
    """Pre-trains, resumes a stopped run in the same folder, or returns a finished one.

    All errors in the settings and the data are found before the model is built.

    Args:
        settings: the configuration.

    Raises:
        UserError: the settings, the data or the run in the folder do not fit.
        Stopped: SIGINT, SIGTERM or SIGHUP arrived; the step was saved.
    """
    with run_lock(Path(settings.model_dir)):
        prepared = prepare(settings)
        return _run(settings, prepared)


def _run(settings: PretrainSettings, prepared: Prepared) -> PretrainedRun:
    """Builds the model, restores the run if there is one, and trains the remaining steps."""
    folder = RunFolder(Path(settings.model_dir))
    if has_checkpoints(folder.path):
        check_same_encoder(folder, prepared.files, load_config(prepared.files))
        _check_same_texts(folder, prepared)
    model = _make_model(settings, prepared)
    progress = PretrainingProgress()
    checkpoints = RunCheckpoints(model, progress, folder.path, settings.keep_checkpoint_max)
    restored = checkpoints.restore_latest()  # before anything is written: the folder may belong to another model
    step = restored or 0
    if step:
        warn_of_changes(settings)
        logging.info("Going on from step %d of %d.", step, prepared.plan.train_steps)
    elif restored is None and settings.word_vectors is not None:
        _start_embeddings(model, settings, prepared)
    if step < prepared.plan.train_steps:
        _describe(settings, prepared, model)
        _fit(settings, prepared, model, checkpoints, progress, step)
    else:
        logging.info("Pre-training is finished already.")
        if final := exported(checkpoints.folder):
            return PretrainedRun(model, prepared, progress, final)
    return PretrainedRun(model, prepared, progress, export_final(model, settings, prepared, progress))


def _check_same_texts(folder: RunFolder, prepared: Prepared) -> None:
    """Raises UserError if a run is resumed with other texts: it would be measured on texts that it was trained on."""
    before, now = folder.written_texts(), texts_by_file(prepared)
    if before.get("sha256") == now["sha256"]:
        return
    files, others = (", ".join(item["file"] for item in part.get("files", [])) for part in (before, now))
    raise UserError(
        f"{folder.path} is a run on other texts ({before.get('train')} trained on, of {files}) than these ({now['train']}, "
        f"of {others}); it would be measured on what it has learned. Bring files, held_out, seed and tasks_file back to "
        "what they were, or use another --model_dir."
    )


def _make_model(settings: PretrainSettings, prepared: Prepared) -> MaskedLanguageModel:
    clock = DropoutClock(settings.seed)
    encoder = load_encoder(prepared.files, clock, settings.random_init, settings.random_pooler).encoder
    model = MaskedLanguageModel(encoder, settings)
    if not settings.random_init:
        model.take(read_weights(prepared.files.location))
    plan = prepared.plan
    schedule = WarmupDecay(settings.learning_rate, plan.train_steps, plan.warmup_steps)
    model.compile(optimizer=make_optimizer("adam", schedule, settings.weight_decay_ratio))
    model.optimizer.build(model.trained_variables)
    return model


def _start_embeddings(model: MaskedLanguageModel, settings: PretrainSettings, prepared: Prepared) -> None:
    """Copies the word vectors into the embeddings of their tokens."""
    table = model.encoder.word_embeddings
    values = table.numpy()
    vectors = prepared.vectors
    if settings.word_vectors == TEXTS:
        vectors = text_vectors(prepared.batches.rows, len(values), values.shape[1], settings.seed)
    assert vectors is not None
    values[vectors.ids] = vectors.rows(values.shape[1], model.encoder.config.initializer_range, settings.seed)
    table.assign(values)
    logging.info("%d of %d embeddings start from vectors of %s", len(vectors.ids), len(values), vectors.source)


def _describe(settings: PretrainSettings, prepared: Prepared, model: MaskedLanguageModel) -> None:
    """Writes the description of the run to its folder, and logs it."""
    folder = RunFolder(Path(settings.model_dir))
    folder.write_encoder(model.encoder.config, prepared.files.vocabulary)
    texts = texts_by_file(prepared)
    folder.write_train_config(asdict(settings), {"texts": texts}, asdict(prepared.plan))
    for item in texts["files"]:
        logging.info(
            "%s %s: %d texts of its own in %d rows of %s", *(item[key] for key in ("task", "kind", "texts", "rows", "file"))
        )
    rows = prepared.batches.rows
    logging.info(
        "%d texts in %d rows of %.1f tokens to train on, %d texts held out, %d steps",
        texts["train"], len(rows), rows.rows.lengths.mean(), texts["held_out"], prepared.plan.train_steps,
    )  # fmt: skip


def _fit(
    settings: PretrainSettings,
    prepared: Prepared,
    model: MaskedLanguageModel,
    checkpoints: RunCheckpoints,
    progress: PretrainingProgress,
    step: int,
) -> None:
    plan = prepared.plan
    dataset = prepared.batches.dataset(step, plan.train_steps)
    with (
        closing(open_metrics(checkpoints.folder, step)) as metrics,
        StopOnSignal(checkpoints, metrics) as stop,
    ):
        callbacks = [
            PretrainingLog(plan, metrics, settings.train_batch_size, settings.log_step_count_steps),
            HeldOutLog(HeldOut(model, prepared.held_out), progress, plan, metrics),
            SaveCheckpoints(checkpoints, metrics, plan),
            stop,
        ]
        with logging_redirect_tqdm(), model.encoder.computing_in(settings.precision):
            model.fit(dataset, epochs=1, steps_per_epoch=plan.train_steps - step, callbacks=callbacks, verbose=0)
    if stop.received is not None:
        name, step = signal.Signals(stop.received).name, int(model.optimizer.iterations.numpy())
        message = f"{name}: stopped after step {step}, saved in {checkpoints.folder}. Start the same command again to go on."
        raise Stopped(message, stop.received)
