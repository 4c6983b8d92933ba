"""The vocabulary in an encoder's folder: its tokenizer, the rule for its vocab.txt, and how a run's folder stores them.

A vocab.txt that a run writes has one line per id, whatever the rule was, so that transformers and this program read the same
ids from it. The rule is stored beside it in ``vocabulary.json``. A published tokenizer's tokenizer.json is copied as it is.
"""

from contextlib import suppress
from pathlib import Path
from typing import Any

from easytransfer_mtl.data.published_tokenizer import PADDING_NAMES, AnyVocabulary, PublishedVocabulary, published_ids
from easytransfer_mtl.data.tokenization import (
    EASYTRANSFER,
    LINES,
    PUBLISHED,
    RULE_NAMES,
    SPECIAL_TOKENS,
    TOKENIZERS,
    VOCABULARY_RULES,
    WORDPIECE,
    Vocabulary,
    found_ids,
    load_vocabulary,
    read_vocabulary_tokens,
)
from easytransfer_mtl.data.vocabulary_rules import differing_tokens
from easytransfer_mtl.encoders.names import EASYTRANSFER_ENCODERS
from easytransfer_mtl.encoders.weight_files.find import TF1_FORMAT, find_weights
from easytransfer_mtl.encoders.weight_files.tf1_checkpoint import variable_names
from easytransfer_mtl.errors import UserError, shown
from easytransfer_mtl.files import read_json, replacing, write_json, write_text

AUTO = "auto"
VOCABULARY_FILE, TOKENIZER_FILE, RULE_FILE = "vocab.txt", "tokenizer.json", "vocabulary.json"
TOKENIZER_CONFIG, AUTO_TOKENIZER = "tokenizer_config.json", "AutoTokenizer"
LARGEST_CONFIG = 1 << 20
CODE_BESIDE_FILE = ("RoFormerTokenizer", "RoFormerTokenizerFast")
"""Classes of transformers that split texts by code (jieba), for which their tokenizer.json has a stopgap."""
WRITTEN_BY_RUNS = ("export.json", "pretraining.json", "train_config.json")
EASYTRANSFER_SCOPE = "pre_trained_model"
"""Part of the outermost scope of the variables in EasyTransfer's training checkpoints."""


def read_vocabulary(file: Path, location: Path, requested: str = AUTO) -> Vocabulary:
    """Reads the vocabulary of an encoder.

    Args:
        file: the encoder's vocab.txt.
        location: the encoder's folder, weights file or TF1 checkpoint prefix.
        requested: one of ``VOCABULARY_RULES``, or ``auto``: EasyTransfer's rule for encoders that EasyTransfer trained (a
            folder with a name of its model zoo, a TF1 checkpoint of its training) and for folders that this program wrote
            when it knew no other rule; line numbers for all others.

    Raises:
        UserError: the file is missing or not a vocabulary, or the requested rule gives other ids than the rule of a run's
            folder.
    """
    stored = _stored_rule(file.parent)
    if stored is None:
        rule = _trained_with(file, location) if requested == AUTO else requested
        return load_vocabulary(file, rule)
    vocabulary = Vocabulary(read_vocabulary_tokens(file), f"vocabulary {file}", stored)
    if requested != AUTO and load_vocabulary(file, requested).sha256 != vocabulary.sha256:
        raise UserError(
            f"{file.parent} was trained with ids by {RULE_NAMES[stored]}, and {RULE_NAMES[requested]} gives others; leave "
            "--vocabulary_rule out."
        )
    return vocabulary


def tokenizer_of(folder: Path, requested: str = AUTO) -> str:
    """Returns which of ``TOKENIZERS`` makes an encoder's ids.

    Args:
        folder: the encoder's.
        requested: one of ``TOKENIZERS``, or ``auto``: what a run stored in its folder, else the published one if there is a
            tokenizer.json and no vocab.txt, else EasyTransfer's.

    Raises:
        UserError: another one is requested than the folder's run was trained with.
    """
    stored = _stored_tokenizer(folder)
    if stored and requested not in (AUTO, stored):
        raise UserError(f"{folder} was trained with the tokenizer {stored}, not {requested}; leave --tokenizer out.")
    if stored or requested != AUTO:
        return stored or requested
    has_only_published = not (folder / VOCABULARY_FILE).is_file() and (folder / TOKENIZER_FILE).is_file()
    return PUBLISHED if has_only_published else WORDPIECE


def check_needs_no_code(folder: Path, tokenizer: str, requested: str) -> None:
    """Checks that an encoder's tokenizer needs no code, which would not be run.

    Args:
        folder: the encoder's.
        tokenizer: what ``tokenizer_of`` returned.
        requested: what was asked for; EasyTransfer's WordPiece always goes.

    Raises:
        UserError: it does, and no run has stored another one.
    """
    code = None if requested == WORDPIECE or _stored_tokenizer(folder) else _code_of(folder, tokenizer)
    if code:
        way = f"its {TOKENIZER_FILE} alone gives the same ids, remove this entry"
        if (folder / VOCABULARY_FILE).is_file():
            way = f"BERT's WordPiece over its {VOCABULARY_FILE} gives the same ids, give --tokenizer={WORDPIECE}"
        raise UserError(
            f"{folder}: the tokenizer needs code ({code}), which is not run, and without it the ids may be others than the "
            f"encoder was trained with. If the model's page says that {way}; else take another encoder."
        )


def check_beside(vocabulary: Vocabulary, file: Path, requested: str) -> None:
    """Checks a vocab.txt against the tokenizer.json beside it; one that cannot be read is passed over.

    Args:
        vocabulary: the tokens of the vocab.txt.
        file: the vocab.txt.
        requested: the tokenizer that was asked for.

    Raises:
        UserError: none was asked for, no run has stored one, and the two files have other ids.
    """
    if requested != AUTO or _stored_tokenizer(file.parent):
        return
    tokens = {index: token for token, index in vocabulary.ids.items()}
    for token, index in published_ids(file.parent / TOKENIZER_FILE).items():
        if vocabulary.ids.get(token, index) != index or tokens.get(index, token) != token:
            other = f"has the id {vocabulary.ids.get(token)} in {file.name}"
            if index in tokens:
                other = f"{file.name} has {shown(tokens[index])} there"
            raise UserError(
                f"{file.parent}: {shown(token)} has the id {index} in {TOKENIZER_FILE} and {other}, so the two do not "
                f"belong together. Say which one is the weights': --tokenizer={WORDPIECE} ({file.name}) or "
                f"--tokenizer={PUBLISHED} ({TOKENIZER_FILE}), the same for every command; the other one is left aside."
            )


def _code_of(folder: Path, tokenizer: str) -> str | None:
    """Returns the name of the code that makes an encoder's tokenizer, or None."""
    for name in (TOKENIZER_CONFIG, "config.json"):
        value = _json_object(folder / name)
        auto_map, made = value.get("auto_map"), value.get("tokenizer_class")
        if isinstance(auto_map, dict) and AUTO_TOKENIZER in auto_map:
            return f"auto_map in {name}: {shown(auto_map[AUTO_TOKENIZER])}"
        if tokenizer == PUBLISHED and made in CODE_BESIDE_FILE:
            return f"tokenizer_class in {name}: {made}"
    return None


def _json_object(path: Path) -> dict[str, Any]:
    """Returns the content of a file that may be missing or damaged, which then says nothing."""
    with suppress(UserError):
        value = read_json(path, path.name, LARGEST_CONFIG) if path.is_file() else {}
        return value if isinstance(value, dict) else {}
    return {}


def check_padding_token(vocabulary: AnyVocabulary, file: Path, padding_id: int, config_file: Path) -> None:
    """Raises UserError if what a config calls padding, behind which positions begin, is another token of the tokenizer."""
    if not isinstance(vocabulary, PublishedVocabulary) or vocabulary.padding_id == padding_id:
        return
    token = vocabulary.library_tokenizer.id_to_token(padding_id)
    if token not in PADDING_NAMES:
        raise UserError(
            f"{file}: the id {padding_id}, which is pad_token_id in {config_file}, is {shown(token)}, no padding token; "
            "they do not belong together. Take both from the page of one model."
        )


def check_size(vocabulary: AnyVocabulary, file: Path, vocab_size: int, config_file: Path) -> None:
    """Raises UserError if a vocabulary has more tokens than its encoder's config has embeddings."""
    if len(vocabulary) <= vocab_size:
        return
    is_published = isinstance(vocabulary, PublishedVocabulary)
    rules = () if is_published else VOCABULARY_RULES
    tables = {rule: found_ids(read_vocabulary_tokens(file, rule)) for rule in rules}
    fitting = [rule for rule, ids in tables.items() if ids.keys() >= set(SPECIAL_TOKENS) and max(ids.values()) < vocab_size]
    hints = [f" Ids by {RULE_NAMES[rule]} would fit: --vocabulary_rule={rule}." for rule in fitting]
    raise UserError(
        f"{file} has {len(vocabulary)} tokens, more than vocab_size {vocab_size} of {config_file}; they do not belong "
        f"together.{''.join(hints)}"
    )


def write_vocabulary(folder: Path, vocabulary: AnyVocabulary) -> None:
    """Writes vocab.txt with one line per id and the rule beside it, or a copy of tokenizer.json."""
    about = {"tokens": len(vocabulary), "sha256": vocabulary.sha256}
    if isinstance(vocabulary, PublishedVocabulary):
        with replacing(folder / TOKENIZER_FILE) as temporary:
            temporary.write_bytes(vocabulary.content)
        write_json(folder / RULE_FILE, {"tokenizer": PUBLISHED, **about})
        return
    write_text(folder / VOCABULARY_FILE, vocabulary_text(vocabulary))
    write_json(folder / RULE_FILE, {"vocabulary_rule": vocabulary.rule, **about})


def vocabulary_text(vocabulary: Vocabulary) -> str:
    """Returns a vocab.txt with one line per id."""
    return "".join(f"{token}\n" for token in vocabulary.tokens)


def is_runs_folder(folder: Path) -> bool:
    """Returns whether this program wrote a folder: a run's folder, its ``best/`` or ``final/``."""
    for name in WRITTEN_BY_RUNS:
        if (folder / name).is_file():
            value = read_json(folder / name, name)
            if isinstance(value, dict) and {"easytransfer_mtl", "versions"} & value.keys():
                return True
    return False


def _stored_tokenizer(folder: Path) -> str | None:
    """Returns the tokenizer in a run's ``vocabulary.json``; one with a rule alone is of a vocab.txt."""
    path = folder / RULE_FILE
    if not path.is_file():
        return None
    value = read_json(path, RULE_FILE)
    if not isinstance(value, dict) or "tokenizer" not in value:
        return WORDPIECE if isinstance(value, dict) and "vocabulary_rule" in value else None
    if value["tokenizer"] not in TOKENIZERS:
        raise UserError(f"{path}: tokenizer is {shown(value['tokenizer'])}; it must be {' or '.join(TOKENIZERS)}.")
    return str(value["tokenizer"])


def _stored_rule(folder: Path) -> str | None:
    path = folder / RULE_FILE
    if not path.is_file():
        return None
    value = read_json(path, RULE_FILE)
    rule = value.get("vocabulary_rule") if isinstance(value, dict) else None
    if rule not in VOCABULARY_RULES:
        raise UserError(f"{path}: vocabulary_rule is {shown(rule)}; it must be {' or '.join(VOCABULARY_RULES)}.")
    return rule


def _trained_with(file: Path, location: Path) -> str:
    """Returns the rule that an encoder was trained with, judged by its files; ``lines`` if both give the same ids."""
    if not differing_tokens(file):
        return LINES
    folder = file.parent
    is_from_the_zoo = bool({folder.name, folder.resolve().name} & EASYTRANSFER_ENCODERS.keys())
    return EASYTRANSFER if is_from_the_zoo or is_runs_folder(folder) or _is_trained_checkpoint(location) else LINES


def _is_trained_checkpoint(location: Path) -> bool:
    """Returns whether weights are a TF1 checkpoint of EasyTransfer's training; False if they cannot be read."""
    try:
        path, file_format = find_weights(location)
        return file_format == TF1_FORMAT and any(EASYTRANSFER_SCOPE in name for name in variable_names(path))
    except UserError:
        return False
