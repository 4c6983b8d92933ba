"""Checks a pre-training run's settings and prepares its data; finds all errors before the first expensive step."""

import hashlib
import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from transformers import PretrainedConfig

from easytransfer_mtl.config.pretrain_settings import TEXTS, PretrainSettings
from easytransfer_mtl.data.encoded_rows import Batch
from easytransfer_mtl.data.length_buckets import STEPS_PER_LENGTH, bucket_count, bucket_lengths
from easytransfer_mtl.data.pipeline import RowOrder
from easytransfer_mtl.data.published_tokenizer import AnyVocabulary, PublishedVocabulary
from easytransfer_mtl.encoders.config_checks import most_tokens
from easytransfer_mtl.encoders.finding import EncoderFiles
from easytransfer_mtl.encoders.kinds import check_precision
from easytransfer_mtl.encoders.loading import check_embeddings, load_config
from easytransfer_mtl.environment import make_deterministic
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.files import files_in
from easytransfer_mtl.pretraining.batches import MaskedBatches, held_out_batches
from easytransfer_mtl.pretraining.masking import Masking, make_masking
from easytransfer_mtl.pretraining.memory import check_memory
from easytransfer_mtl.pretraining.rows import RowBuilder, WordRows
from easytransfer_mtl.pretraining.texts import Source, hold_out, read_texts
from easytransfer_mtl.pretraining.word_vectors import WordVectors, read_word_vectors
from easytransfer_mtl.pretraining.words import chinese_segmenter, word_tokenizer
from easytransfer_mtl.runs.folder import check_run_outputs
from easytransfer_mtl.runs.identity import find_encoder_files
from easytransfer_mtl.runs.memory import check_tokens
from easytransfer_mtl.runs.step_plan import StepPlan, plan_steps
from easytransfer_mtl.tasks import CONTEST_TASKS, load_tasks


@dataclass(frozen=True)
class Prepared:
    """All parts of a run except its model.

    Attributes:
        files: the encoder's files.
        sources: the files with the texts.
        num_texts: numbers of training texts and of held-out texts.
        texts_sha256: hash of both.
        plan: the run's steps.
        batches: the training batches.
        held_out: the batches for measurement.
        vectors: vectors from a file as initial embeddings, or None.
    """

    files: EncoderFiles
    sources: list[Source]
    num_texts: dict[str, int]
    texts_sha256: str
    plan: StepPlan
    batches: MaskedBatches
    held_out: list[Batch]
    vectors: WordVectors | None


def prepare(settings: PretrainSettings) -> Prepared:
    """Finds the encoder's files; reads, segments and packs the texts; plans the steps.

    Raises:
        UserError: the settings or the data are invalid.
    """
    make_deterministic()
    _check_numbers(settings)
    files = find_encoder_files(settings)
    vocabulary = files.vocabulary
    source = f"vocabulary {files.vocabulary_file}"
    masking = make_masking(settings.masking, settings.mask_share, vocabulary, source)
    config = _checked_config(settings, files)
    segment = None if settings.masking == "token" else chinese_segmenter()
    vectors = _vectors(settings, vocabulary)
    tokenizer = word_tokenizer(vocabulary, settings.text_normalization, segment)
    builder = RowBuilder(tokenizer, settings.sequence_length, settings.packing == "full", settings.seed)
    tasks = load_tasks(settings.tasks_file) if settings.tasks_file else CONTEST_TASKS
    sources = read_texts(settings.data_dir, tasks, settings.header)
    read = [*files_in(files.folder), *(item.path for item in sources), *settings.named_files]
    read += [Path(settings.word_vectors)] if settings.word_vectors not in (None, TEXTS) else []
    check_run_outputs(Path(settings.model_dir), "final", read)
    texts = [text for source in sources for text in source.texts]
    train_texts, held_out_texts = hold_out(texts, settings.held_out, settings.seed)
    train, held_out = builder.build(train_texts), builder.build(held_out_texts)
    if not len(train) or not len(held_out):
        raise UserError(f"The texts in {settings.data_dir} have no token of {files.vocabulary_file} to train on.")
    plan = _plan(settings, len(train))
    lengths = _padded_lengths(settings, train, held_out, plan)
    check_memory(settings, config, int(lengths.max()))
    num_texts = {"train": len(train_texts), "held_out": len(held_out_texts)}
    batches = _batches(settings, train, lengths, masking)
    measured = held_out_batches(held_out, settings.train_batch_size, lengths, masking, settings.seed)
    sha256 = hashlib.sha256(json.dumps([train_texts, held_out_texts]).encode("ascii")).hexdigest()
    return Prepared(files, sources, num_texts, sha256, plan, batches, list(measured), vectors)


def _check_numbers(settings: PretrainSettings) -> None:
    if not 0.0 < settings.held_out < 1.0:
        raise UserError(f"held_out is {settings.held_out}; it must be more than 0 and less than 1.")
    if not 0.0 < settings.mask_share < 1.0:
        raise UserError(f"mask_share is {settings.mask_share}; it must be more than 0 and less than 1 (BERT: 0.15).")


def _checked_config(settings: PretrainSettings, files: EncoderFiles) -> PretrainedConfig:
    config = load_config(files)
    check_embeddings(files, config)
    check_tokens(settings.train_batch_size, settings.sequence_length)
    check_precision(config, settings.precision)
    most = most_tokens(config.to_dict())
    if most and settings.sequence_length > most:
        raise UserError(
            f"sequence_length is {settings.sequence_length}; the encoder's config {files.config_file} allows {most} "
            "(max_position_embeddings)."
        )
    return config


def _vectors(settings: PretrainSettings, vocabulary: AnyVocabulary) -> WordVectors | None:
    if settings.word_vectors is None:
        return None
    if not settings.random_init:
        raise UserError("word_vectors would replace trained embeddings; give --random_init too, or leave it out.")
    if settings.word_vectors == TEXTS:
        return None
    if isinstance(vocabulary, PublishedVocabulary):
        raise UserError(
            f"word_vectors {settings.word_vectors} holds words, and the tokens of {vocabulary.source} are pieces with "
            f"marks of their own; only word_vectors={TEXTS}, which needs no words, works with it."
        )
    return read_word_vectors(settings.word_vectors, vocabulary)


def _plan(settings: PretrainSettings, num_rows: int) -> StepPlan:
    plan = plan_steps(num_rows, settings.num_epochs, settings.train_batch_size, settings.warmup_ratio, settings.save_steps)
    if settings.train_steps is None:
        return plan
    steps = settings.train_steps
    return replace(plan, train_steps=steps, warmup_steps=int(steps * settings.warmup_ratio))


def _padded_lengths(settings: PretrainSettings, train: WordRows, held_out: WordRows, plan: StepPlan) -> np.ndarray:
    count = bucket_count(settings.length_buckets, plan.train_steps, STEPS_PER_LENGTH)
    return bucket_lengths(np.concatenate([train.rows.lengths, held_out.rows.lengths]), count)


def _batches(settings: PretrainSettings, rows: WordRows, lengths: np.ndarray, masking: Masking) -> MaskedBatches:
    order = RowOrder(
        num_rows=len(rows),
        seed=settings.seed,
        name="pretrain",
        shuffle=True,
        batch_size=settings.train_batch_size,
        group=min(settings.length_grouping, max(1, len(rows) // settings.train_batch_size)),
        lengths=rows.rows.lengths,
    )
    return MaskedBatches(rows, order, lengths, masking)
