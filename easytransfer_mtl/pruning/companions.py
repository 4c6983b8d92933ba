"""The small files beside an encoder's weights and tokenizer that name tokens, and their ids in the pruned vocabulary."""

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from easytransfer_mtl.encoders.vocabularies import TOKENIZER_CONFIG
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.files import read_json, write_json
from easytransfer_mtl.pruning.splitter import NewIds

ADDED_TOKENS, SPECIAL_TOKENS_MAP = "added_tokens.json", "special_tokens_map.json"
DECODER = "added_tokens_decoder"
_ID_KEY = re.compile(r"\w+_token_id")
_TOKEN_KEY = re.compile(r"\w+_tokens?")

Json = dict[str, Any]


@dataclass(frozen=True)
class Companions:
    """An encoder's small files.

    Attributes:
        config: content of config.json.
        others: name -> content of tokenizer_config.json, added_tokens.json and special_tokens_map.json, if they are there.
    """

    config: Json
    others: dict[str, Json]

    def ids(self, ids_of_tokens: Mapping[str, int], rows: int) -> set[int]:
        """Returns the ids that the files give or whose tokens they name; an id without an embedding is passed over.

        Args:
            ids_of_tokens: token -> id.
            rows: number of embeddings.
        """
        found = {index for key in self.config if _ID_KEY.fullmatch(key) for index in _whole_numbers(self.config[key])}
        found |= {int(index) for index in self.others.get(TOKENIZER_CONFIG, {}).get(DECODER, {})}
        found |= set(_whole_numbers(list(self.others.get(ADDED_TOKENS, {}).values())))
        for content in (self.others.get(TOKENIZER_CONFIG, {}), self.others.get(SPECIAL_TOKENS_MAP, {})):
            named = (token for key, value in content.items() if _TOKEN_KEY.fullmatch(key) for token in _tokens(value))
            found |= {ids_of_tokens[token] for token in named if token in ids_of_tokens}
        strange = sorted(index for index in found if not 0 <= index < rows)
        if strange:
            logging.warning("config.json and the tokenizer's files name ids that no embedding has: %s", strange[:20])
        return found.difference(strange)

    def renumbered(self, new_ids: NewIds) -> "Companions":
        """Returns the files for the pruned vocabulary; an id without an embedding stays as it is."""
        config = {key: _new(value, new_ids) if _ID_KEY.fullmatch(key) else value for key, value in self.config.items()}
        others = dict(self.others)
        if DECODER in others.get(TOKENIZER_CONFIG, {}):
            decoder = others[TOKENIZER_CONFIG][DECODER].items()
            numbered = {str(new_ids.get(int(index), int(index))): token for index, token in decoder}
            others[TOKENIZER_CONFIG] = {**others[TOKENIZER_CONFIG], DECODER: numbered}
        if ADDED_TOKENS in others:
            others[ADDED_TOKENS] = {token: _new(index, new_ids) for token, index in others[ADDED_TOKENS].items()}
        return Companions({**config, "vocab_size": len(new_ids)}, others)

    def write(self, folder: Path) -> None:
        """Writes config.json and the others."""
        for name, content in {"config.json": self.config, **self.others}.items():
            write_json(folder / name, content)


def read_companions(config_file: Path, model_type: str) -> Companions:
    """Reads config.json and the files beside it.

    Args:
        config_file: the checked config, under whatever name.
        model_type: written into a config that leaves it out, as Google's do.

    Raises:
        UserError: one of them is no JSON object, or its ids are no whole numbers.
    """
    others = {}
    for name in (TOKENIZER_CONFIG, ADDED_TOKENS, SPECIAL_TOKENS_MAP):
        path = config_file.parent / name
        if path.is_file():
            others[name] = read_json(path, name)
            if not isinstance(others[name], dict):
                raise UserError(f"{path}: expected a JSON object.")
    decoder = others.get(TOKENIZER_CONFIG, {}).get(DECODER, {})
    if not isinstance(decoder, dict) or not all(index.isascii() and index.isdigit() for index in decoder):
        raise UserError(f"{config_file.parent / TOKENIZER_CONFIG}: {DECODER} must map ids to tokens.")
    return Companions({"model_type": model_type, **read_json(config_file, "encoder config")}, others)


def _whole_numbers(value: Any) -> list[int]:
    return [each for each in (value if isinstance(value, list) else [value]) if type(each) is int]


def _new(value: Any, new_ids: NewIds) -> Any:
    if isinstance(value, list):
        return [_new(each, new_ids) for each in value]
    return new_ids.get(value, value) if type(value) is int else value


def _tokens(value: Any) -> list[str]:
    """Returns the tokens in a value: a text, an object with a text as content, or a list of these."""
    if isinstance(value, list):
        return [token for each in value for token in _tokens(each)]
    found = value.get("content") if isinstance(value, dict) else value
    return [found] if isinstance(found, str) else []
