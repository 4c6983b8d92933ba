"""Chooses the tokens that stay, makes the pruned tokenizers, and compares them with the full ones on every text."""

import logging
from collections.abc import Sequence
from dataclasses import replace

from easytransfer_mtl.config.prune_settings import PruneVocabularySettings
from easytransfer_mtl.data.published_tokenizer import AnyVocabulary, PublishedVocabulary
from easytransfer_mtl.data.tokenization import PUBLISHED
from easytransfer_mtl.encoders.finding import EncoderFiles
from easytransfer_mtl.encoders.vocabularies import AUTO, RULE_FILE, TOKENIZER_FILE
from easytransfer_mtl.errors import UserError, shown
from easytransfer_mtl.pruning.companions import Companions
from easytransfer_mtl.pruning.splitter import Loss, NewIds, Splitter
from easytransfer_mtl.pruning.texts import TextFile, batches_of, names_of
from easytransfer_mtl.pruning.tokenizer_json import TokenizerJsonSplitter
from easytransfer_mtl.pruning.vocab_txt import VocabTxtSplitter


def splitters_of(files: EncoderFiles) -> list[Splitter]:
    """Returns an encoder's tokenizers: the one that this program uses first, and tokenizer.json beside a vocab.txt.

    Raises:
        UserError: a file is missing or cannot be pruned, or the two files give a token different ids.
    """
    first = _splitter(files.vocabulary)
    beside = files.folder / TOKENIZER_FILE
    if first.file_name == TOKENIZER_FILE or files.requested_tokenizer != AUTO or not beside.is_file():
        return [first]
    if (files.folder / RULE_FILE).is_file():  # a run's folder, whose one tokenizer is stored
        return [first]
    published = replace(files, requested_tokenizer=PUBLISHED, vocabulary_rule=AUTO)
    return [first, _splitter(published.vocabulary)]


def _splitter(vocabulary: AnyVocabulary) -> Splitter:
    return TokenizerJsonSplitter(vocabulary) if isinstance(vocabulary, PublishedVocabulary) else VocabTxtSplitter(vocabulary)


def kept_ids(
    splitters: Sequence[Splitter],
    companions: Companions,
    texts: Sequence[TextFile],
    rows: int,
    settings: PruneVocabularySettings,
) -> tuple[NewIds, dict[str, int]]:
    """Reads all texts and chooses the tokens that stay, in the order of their ids.

    Args:
        splitters: the encoder's tokenizers.
        companions: its small files, whose tokens stay.
        texts: the files.
        rows: number of embeddings.
        settings: see ``batches_of``.

    Returns:
        Old id -> new id, and the rows of each file by its name.

    Raises:
        UserError: as in ``batches_of``, or a token has no embedding.
    """
    kept, names = {0}, names_of(texts)  # 0 pads where config.json names no id
    read = dict.fromkeys(names.values(), 0)
    for splitter in splitters:
        kept |= splitter.always_kept() | companions.ids(splitter.ids, rows)
    for file in texts:
        for batch in batches_of(file, settings, "finding the tokens in use"):
            read[names[file]] += len(batch)
            for splitter in splitters:
                kept |= splitter.used(batch)
    for splitter in splitters:
        kept = splitter.completed(kept)
    if max(kept) >= rows:
        raise UserError(
            f"A token has the id {max(kept)}, and the encoder has {rows} embeddings; they do not belong together."
        )
    return {old: new for new, old in enumerate(sorted(kept))}, read


def check_texts_alike(
    splitters: Sequence[Splitter],
    pruned: Sequence[Splitter],
    new_ids: NewIds,
    texts: Sequence[TextFile],
    settings: PruneVocabularySettings,
) -> None:
    """Reads all texts once more and compares their tokens, ids and token types.

    Raises:
        UserError: a text is split otherwise.
    """
    for file in texts:
        for batch in batches_of(file, settings, "comparing"):
            for full, new in zip(splitters, pruned, strict=True):
                if row := full.first_difference(new, new_ids, batch):
                    raise UserError(
                        f"{file.path}: with the pruned {full.file_name} {shown(row)} is not split into the same tokens, so "
                        "nothing was written. If the file did not change meanwhile, this vocabulary cannot be pruned for it."
                    )
    logging.info("All texts are split as before")


def loss_of(full: Splitter, pruned: Splitter, new_ids: NewIds, file: TextFile, settings: PruneVocabularySettings) -> Loss:
    """Counts what a file's texts, as they are in the file, lose."""
    batches = batches_of(file, settings, "reporting", variants=False)
    return sum((full.loss(pruned, new_ids, batch) for batch in batches), Loss())
