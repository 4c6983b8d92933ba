"""Numbers of parameters, of multiplications and of kept states of an encoder of any type, from its config alone."""

from transformers import PretrainedConfig

from easytransfer_mtl.encoders.kinds import kind_of

V1, V2 = "deberta", "deberta-v2"


def encoder_size(config: PretrainedConfig) -> int:
    """Returns the parameters of an encoder with pooler."""
    embeddings = _deberta_tables(config) if config.model_type in (V1, V2) else _embeddings(config)
    layers = layers_size(config, config.num_hidden_layers)
    return embeddings + layers + dense_size(config.hidden_size, config.hidden_size)


def encoder_work(config: PretrainedConfig, highest: int | None = None, tokens: bool = True) -> int:
    """Returns the parameters that a token is multiplied by, those of a layer that all layers share once for each.

    Args:
        config: the encoder's.
        highest: the highest layer that is read; None for the last. DeBERTa computes all layers whatever is read.
        tokens: as ``layers_work`` takes it.
    """
    width, narrow = config.hidden_size, word_width(config)
    convolution = getattr(config, "conv_kernel_size", 0) if config.model_type == V2 else 0
    projection = narrow * width if _projects(config) else 0
    all_layers = highest is None or not kind_of(config).has_bert_layers
    layers = config.num_hidden_layers if all_layers else highest
    return projection + convolution * width**2 + layers_work(config, layers, tokens)


def layers_size(config: PretrainedConfig, layers: int) -> int:
    """Returns the parameters of so many layers, of which ALBERT's are one."""
    return (min(layers, 1) if kind_of(config).shares_layers else layers) * layer_size(config)


def layers_work(config: PretrainedConfig, layers: int, tokens: bool = True) -> int:
    """Returns the parameters of so many layers that a token is multiplied by.

    Args:
        config: the encoder's.
        layers: how many.
        tokens: whether all tokens' states are read, or only the first one's, for which the last layer of the others needs
            keys and values only; DeBERTa's computes all.
    """
    work = layers * layer_work(config)
    if tokens or not layers or not kind_of(config).has_bert_layers:
        return work
    return work - layer_work(config) + 2 * config.hidden_size * _attention_width(config)


def layer_size(config: PretrainedConfig) -> int:
    """Returns the parameters of a layer."""
    width, inner = config.hidden_size, config.intermediate_size
    beyond_attention = dense_size(width, width) + dense_size(width, inner) + dense_size(inner, width) + 4 * width
    return _attention(config) + beyond_attention


def layer_work(config: PretrainedConfig) -> int:
    """Returns a layer's parameters that a token is multiplied by."""
    width = config.hidden_size
    return 3 * width * _attention_width(config) + width**2 + 2 * width * config.intermediate_size


def kept_per_token(config: PretrainedConfig, length: int) -> int:
    """Returns the numbers that a layer keeps for a token: its inputs, query, key, value and so on, and attention's rows.

    Args:
        config: the layer's.
        length: tokens of a row.
    """
    return 8 * config.hidden_size + 2 * config.intermediate_size + 2 * config.num_attention_heads * length


def dense_size(inputs: int, outputs: int) -> int:
    """Returns the parameters of a dense layer with bias."""
    return inputs * outputs + outputs


def _embeddings(config: PretrainedConfig) -> int:
    """Returns the parameters of BERT's embeddings, which may be narrower than the layers; RoFormer's have no positions."""
    width, narrow = config.hidden_size, word_width(config)
    positions = 0 if config.model_type == "roformer" else config.max_position_embeddings
    tables = (config.vocab_size + positions + config.type_vocab_size) * narrow
    return tables + 2 * narrow + (dense_size(narrow, width) if _projects(config) else 0)


def _deberta_tables(config: PretrainedConfig) -> int:
    """Returns the parameters of DeBERTa outside its layers: embeddings, relative positions, the convolution."""
    width, narrow = config.hidden_size, word_width(config)
    size = (config.vocab_size + config.type_vocab_size) * narrow + 2 * width
    size += config.max_position_embeddings * width if getattr(config, "position_biased_input", True) else 0
    size += narrow * width if _projects(config) else 0
    longest = getattr(config, "max_relative_positions", -1)
    reach = longest if longest >= 1 else config.max_position_embeddings
    if config.model_type == V1:
        return size + (2 * reach * width if config.relative_attention else 0)
    buckets = getattr(config, "position_buckets", -1)
    size += 2 * (buckets if buckets > 0 else reach) * width if config.relative_attention else 0
    norms = getattr(config, "norm_rel_ebd", "none").lower().split("|")
    size += 2 * width if "layer_norm" in [name.strip() for name in norms] else 0
    kernel = getattr(config, "conv_kernel_size", 0)
    return size + (kernel * width**2 + 3 * width if kernel > 0 else 0)


def _attention(config: PretrainedConfig) -> int:
    """Returns the parameters of query, key and value, and of DeBERTa's projections of relative positions."""
    width, inner = config.hidden_size, _attention_width(config)
    if config.model_type not in (V1, V2):
        return 3 * dense_size(width, inner)
    kinds = (config.pos_att_type or ()) if config.relative_attention else ()
    if config.model_type == V1:
        own = width * inner if "c2p" in kinds else 0
        return 3 * width * inner + 2 * inner + own + (dense_size(width, inner) if "p2c" in kinds else 0)
    own = () if getattr(config, "share_att_key", False) else [kind for kind in ("c2p", "p2c") if kind in kinds]
    return (3 + len(own)) * dense_size(width, inner)


def word_width(config: PretrainedConfig) -> int:
    """Returns the width of the table of words; BERT does not read a setting of it."""
    return config.hidden_size if config.model_type == "bert" else getattr(config, "embedding_size", config.hidden_size)


def _projects(config: PretrainedConfig) -> bool:
    """Tells whether the embeddings are brought to the layers' width by a product; ALBERT's are at any width."""
    return config.model_type == "albert" or word_width(config) != config.hidden_size


def _attention_width(config: PretrainedConfig) -> int:
    """Returns the width of all heads together; version 2 of DeBERTa may have it of its own."""
    heads = config.num_attention_heads
    head = config.hidden_size // heads
    return heads * (getattr(config, "attention_head_size", head) if config.model_type == V2 else head)
