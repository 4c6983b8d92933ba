"""Finds vocab.txt files whose token ids depend on the vocabulary rule."""

import logging
import os

from easytransfer_mtl.data.tokenization import RULE_NAMES, VOCABULARY_RULES, Vocabulary, found_ids, read_vocabulary_tokens


def differing_tokens(path: str | os.PathLike[str]) -> dict[str, list[int | None]]:
    """Returns the tokens of a vocab.txt whose ids depend on the rule -> their ids in the order of ``VOCABULARY_RULES``.

    None means that a rule has no such token. Errors as in ``read_vocabulary_tokens``.
    """
    tables = [found_ids(read_vocabulary_tokens(path, rule)) for rule in VOCABULARY_RULES]
    ids = {token: [table.get(token) for table in tables] for table in tables for token in table}
    return {token: pair for token, pair in ids.items() if pair[0] != pair[1]}


def warn_of_rules(vocabulary: Vocabulary, path: str | os.PathLike[str]) -> None:
    """Warns if the ids of a vocabulary depend on the rule, and names the rule that was used."""
    differing = differing_tokens(path)
    if differing:
        token, ids = next(iter(differing.items()))
        logging.warning(
            "vocabulary %s: %d of its %d tokens have other ids by line number, as in transformers, than by EasyTransfer's "
            "rule, which passes over repeated tokens and closes gaps (%r: %s and %s). Taken: %s. It must be what the "
            "encoder was trained with; --vocabulary_rule sets it.",
            path,
            len(differing),
            len(read_vocabulary_tokens(path)),
            token,
            *("none" if index is None else index for index in ids),
            RULE_NAMES[vocabulary.rule],
        )
