"""What training's tasks read of the encoder, their heads, and how fast parts of the model learn."""

from dataclasses import dataclass

from easytransfer_mtl.config.common import MODEL, OPTIMIZER, TRAIN, CommonSettings
from easytransfer_mtl.config.options import option


@dataclass(frozen=True, kw_only=True)
class HeadSettings(CommonSettings):
    """The part of training's settings that decides what stands on the encoder; docs/features_heads.md describes it."""

    features: str | None = option(
        MODEL,
        "what tasks read, one for all or ocnli=pair,tnews=cls+mean: pooled (the original), cls, mean, max, attention, "
        "attention_shared, pair, sequence, of the last layer or after layer4., first2., last4., mix. (last4.mean), and "
        "ngrams:65536:64, joined by +; default pooled, for heads of sequences sequence",
    )
    heads: str | None = option(
        MODEL,
        "heads, one for all or ocnli=bilstm:128,tnews=mlp: dense (the original), mlp:256:tanh, multi_dropout:5, and of "
        "sequences lstm:128, bilstm:128, gru:128, textcnn:100, label_attention",
    )
    head_dropout: str = option(MODEL, "dropout of what heads read, one rate for all or ocnli=0.3 (others 0.1)", "0.1")
    part_dropout: str = option(
        TRAIN,
        "share of rows that training leaves a part of a feature out of (cls+ngrams has two), one rate for all or tnews=0.3 "
        "(others 0)",
        "0",
    )
    head_lr: str = option(
        OPTIMIZER,
        "factor of the learning rate for features, heads and a sharing structure's new layers, one for all or ocnli=10 "
        "(others 1)",
        "1",
    )
    layer_lr_decay: float = option(
        OPTIMIZER,
        "factor of the learning rate from each encoder layer to the one below; the top layer has it once, 1 is the original",
        1.0,
        minimum=0,
        maximum=10,
    )
