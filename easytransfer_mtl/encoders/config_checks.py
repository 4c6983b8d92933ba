"""Checks an encoder's config.json before anything is built from it."""

from typing import Any, NamedTuple

from easytransfer_mtl.errors import UserError, shown

LIMITS = {
    "vocab_size": 1_000_000,
    "hidden_size": 16_384,
    "num_hidden_layers": 200,
    "num_attention_heads": 256,
    "intermediate_size": 65_536,
    "max_position_embeddings": 65_536,
    "type_vocab_size": 64,
}
OPTIONAL = {
    "embedding_size": (1, 16_384),
    "attention_head_size": (1, 16_384),
    "position_buckets": (-1, 65_536),
    "max_relative_positions": (-1, 65_536),
    "conv_kernel_size": (0, 63),
}
"""Sizes that only some types have and that may be missing or null -> smallest and largest value."""
RANGES = {
    "hidden_dropout_prob": (0, 1),
    "attention_probs_dropout_prob": (0, 1),
    "initializer_range": (0, 10),
    "layer_norm_eps": (0, 1),
}
BOOLEANS = ("rotary_value", "use_task_id", "relative_attention", "position_biased_input", "share_att_key")
WORDS = {"pos_att_type": ("c2p", "p2c"), "norm_rel_ebd": ("none", "layer_norm")}
"""DeBERTa's settings of words joined by ``|`` -> known words; ``pos_att_type`` may be a list too."""
AFTER_PADDING = ("roberta", "xlm-roberta")
"""Types whose positions begin behind ``pad_token_id``, the position that padding has in transformers."""
ABSOLUTE = ("bert", "ernie", "albert", "electra", *AFTER_PADDING)
"""Types whose positions are embeddings; the others ignore ``position_embedding_type``."""


class Only(NamedTuple):
    """The only supported value of a setting, the reason, and the types that read the setting; no types mean all."""

    value: Any
    reason: str
    types: tuple[str, ...] = ()


FIXED = {
    "is_decoder": Only(False, "tokens of an encoder see those behind them too"),
    "is_encoder_decoder": Only(False, "the model must be an encoder alone"),
    "add_cross_attention": Only(False, "there are no other states to attend to"),
    "pruned_heads": Only({}, "all heads are computed"),
    "position_embedding_type": Only("absolute", "relative positions are not computed for this type", ABSOLUTE),
    "num_hidden_groups": Only(1, "the layers of every published ALBERT are one group"),
    "inner_group_num": Only(1, "the layers of every published ALBERT are single"),
    "talking_head": Only(False, "transformers' TensorFlow DeBERTa cannot build it"),
    "conv_groups": Only(1, "transformers' TensorFlow DeBERTa knows no others"),
    # Not settings of transformers, but of encoders that are published as one of these types:
    "directionality": Only("bidi", "tokens see those behind them too"),
    "use_relative_position": Only(False, "NEZHA's positions are not computed"),
    "ln_type": Only("postln", "LayerNorm stands behind attention and dense layers"),
    "norm_type": Only("layer_norm", "RoFormer v2 is another network"),
    "use_bias": Only(True, "RoFormer v2 is another network"),
}
"""Settings with a single supported value."""


def model_type_of(value: dict[str, Any], is_easytransfers: bool) -> Any:
    """Returns the ``model_type`` of a config.json, in whose place there may be anything.

    Google's own files of BERT and ALBERT lack it; EasyTransfer's roberta, and others from TF1 checkpoints, is a bert.
    """
    found = value.get("model_type", "albert" if "num_hidden_groups" in value else "bert")
    return "bert" if found == "roberta" and is_easytransfers else found


def check_config(value: dict[str, Any], model_type: str, where: str) -> None:
    """Checks that sizes, probabilities and other settings are valid.

    Args:
        value: the parsed config.json.
        model_type: the encoder's type.
        where: the file, for errors.

    Raises:
        UserError: a setting is missing or absurd.
    """
    for key, limit in LIMITS.items():
        low = 0 if key == "type_vocab_size" and model_type.startswith("deberta") else 1
        _check_whole(value.get(key, 2 if key == "type_vocab_size" else None), key, low, limit, where)
    for key, (low, limit) in OPTIONAL.items():
        if value.get(key) is not None:
            _check_whole(value[key], key, low, limit, where)
    check_heads(value["hidden_size"], value["num_attention_heads"], model_type, where)
    check_padding(value, model_type, where)
    _check_numbers(value, where)
    _check_kinds(value, model_type, where)


def check_supported(value: dict[str, Any], model_type: str, where: str) -> None:
    """Checks that all settings of an encoder are supported; arguments as in ``check_config``, which must come first.

    Raises:
        UserError: a setting has a value that is not supported.
    """
    _check_widths(value, model_type, where)
    for key, only in FIXED.items():
        found = value.get(key)
        if key == "pruned_heads" and isinstance(found, dict):
            found = {layer: heads for layer, heads in found.items() if heads != []}
        if found is not None and found != only.value and model_type in (only.types or (model_type,)):
            raise UserError(f"{where}: {key} is {shown(value[key])}; only {only.value} is supported: {only.reason}.")


def _check_widths(value: dict[str, Any], model_type: str, where: str) -> None:
    width = value["hidden_size"]
    narrow, head = value.get("embedding_size"), value.get("attention_head_size")
    if model_type in ("bert", "ernie", *AFTER_PADDING) and narrow not in (None, width):
        raise UserError(
            f"{where}: embedding_size is {narrow} and hidden_size {width}, but the embeddings of a {model_type} are "
            "as wide as its layers. Write the model_type, if it is albert or electra; of albert_zh's files take those of "
            "Google's form (names with _google or _g)."
        )
    if model_type != "deberta-v2" and head not in (None, width // value["num_attention_heads"]):
        raise UserError(
            f"{where}: attention_head_size is {head}; heads of model_type {model_type} have a width of hidden_size / "
            f"num_attention_heads, {width // value['num_attention_heads']}."
        )


def _check_kinds(value: dict[str, Any], model_type: str, where: str) -> None:
    """Checks settings that are not numbers."""
    for key in BOOLEANS:
        if not isinstance(value.get(key, False), (bool, type(None))):
            raise UserError(f"{where}: {key} is {shown(value[key])}; expected true or false.")
    for key, known in WORDS.items() if model_type.startswith("deberta") else ():
        found = value.get(key)
        words = [word.strip().lower() for word in found.split("|")] if isinstance(found, str) else found
        is_list = isinstance(words, list) and (key == "pos_att_type" or isinstance(found, str))
        if words is not None and not (is_list and all(word in known and words.count(word) == 1 for word in words)):
            raise UserError(f"{where}: {key} is {shown(found)}; expected one of {', '.join(known)}, or several joined by |.")


def most_tokens(value: dict[str, Any]) -> int | None:
    """Returns the most tokens that a row of an encoder may have, or None without a limit.

    This is the size of the position table: learned, or with RoFormer computed, for as many positions as the encoder was made
    for; RoBERTa and XLM-R leave its first ones, up to padding's, unused. DeBERTa without ``position_biased_input`` has no
    table: it sees distances only, and puts all far ones together.

    Args:
        value: config.json, or a built config's ``to_dict()``.
    """
    if str(value.get("model_type")).startswith("deberta") and not value.get("position_biased_input", True):
        return None
    size = value.get("max_position_embeddings")
    return size - first_position(value) if type(size) is int and size > 0 else None


def first_position(value: dict[str, Any]) -> int:
    """Returns the row of the position table that a text's first token gets; takes what ``most_tokens`` does."""
    return value["pad_token_id"] + 1 if value.get("model_type") in AFTER_PADDING else 0


def check_padding(value: dict[str, Any], model_type: str, where: str) -> None:
    """Raises UserError if a type's positions begin behind ``pad_token_id`` and that is missing or leaves no position."""
    padding, size = value.get("pad_token_id"), value["max_position_embeddings"]
    if model_type in AFTER_PADDING and not (type(padding) is int and 0 <= padding < size - 1):
        found = shown(padding) if "pad_token_id" in value else "missing"
        raise UserError(
            f"{where}: pad_token_id is {found}; positions of model_type {model_type} begin behind it, so it must be a whole "
            f"number from 0 to below max_position_embeddings - 1, {size - 1}. Published encoders of this type have 1."
        )


def _check_whole(size: Any, key: str, low: int, limit: int, where: str) -> None:
    if not isinstance(size, int) or isinstance(size, bool) or not low <= size <= limit:
        raise UserError(f"{where}: {key} is {size!r}; expected a whole number from {low} to {limit}.")


def check_heads(width: int, heads: int, model_type: str, where: str) -> None:
    """Raises UserError if layers of a type cannot have this width and number of heads."""
    if width % heads:
        raise UserError(f"{where}: hidden_size {width} cannot be divided among {heads} heads.")
    if model_type == "roformer" and width // heads % 2:
        raise UserError(
            f"{where}: RoFormer's heads have an even width; hidden_size {width} and {heads} heads give an odd one."
        )


def _check_numbers(value: dict[str, Any], where: str) -> None:
    for key, (low, high) in RANGES.items():
        number = value.get(key, low)
        if not isinstance(number, (int, float)) or isinstance(number, bool) or not low <= number < high:
            raise UserError(f"{where}: {key} is {number!r}; expected a number from {low} to below {high}.")
