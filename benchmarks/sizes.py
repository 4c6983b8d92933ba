"""The encoders that are measured, by layers and width: one description for our process and for PyTorch's."""

from transformers import BertConfig

VOCABULARY_SIZE = 21128
"""That of bert-base-chinese."""
HEAD_WIDTH = 64


def bert_config(layers: int, hidden_size: int) -> BertConfig:
    """Returns a BERT with heads 64 wide and the vocabulary size of bert-base-chinese."""
    return BertConfig(
        vocab_size=VOCABULARY_SIZE,
        hidden_size=hidden_size,
        num_hidden_layers=layers,
        hidden_act="gelu_new",
        num_attention_heads=hidden_size // HEAD_WIDTH,
        intermediate_size=4 * hidden_size,
    )


def layer_flops_per_token(layers: int, hidden_size: int) -> float:
    """Returns the floating point operations that training needs per token in the layers' dense products.

    Two a weight and token forward, four backward; attention's own products, embeddings and heads (a few percent) are left
    out.
    """
    return 6.0 * 12.0 * hidden_size**2 * layers
