"""EasyTransfer's encoder names: sizes, folders in its model zoo, and other sources of the weights."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ZooEntry:
    """One encoder of EasyTransfer's model zoo.

    Attributes:
        kind: folder of the model zoo, ``bert``, ``roberta`` (the same network) or ``albert``.
        hugging_face: id of the same weights on the Hugging Face hub; None if only EasyTransfer's own files have them.
    """

    kind: str
    layers: int
    hidden_size: int
    heads: int
    hugging_face: str | None = None


EASYTRANSFER_ENCODERS: dict[str, ZooEntry] = {
    "google-bert-tiny-en": ZooEntry("bert", 2, 128, 2, "google/bert_uncased_L-2_H-128_A-2"),
    "google-bert-small-en": ZooEntry("bert", 6, 768, 12, "google/bert_uncased_L-6_H-768_A-12"),
    "google-bert-base-zh": ZooEntry("bert", 12, 768, 12, "google-bert/bert-base-chinese"),
    "google-bert-base-en": ZooEntry("bert", 12, 768, 12, "google-bert/bert-base-uncased"),
    "google-bert-large-en": ZooEntry("bert", 24, 1024, 16, "google-bert/bert-large-uncased"),
    "pai-bert-tiny-zh": ZooEntry("bert", 2, 128, 2),
    "pai-bert-tiny-zh-L2-H768-A12": ZooEntry("bert", 2, 768, 12),
    "pai-bert-small-zh": ZooEntry("bert", 6, 768, 12),
    "pai-bert-base-zh": ZooEntry("bert", 12, 768, 12),
    "pai-bert-large-zh": ZooEntry("bert", 24, 1024, 16),
    "hit-roberta-base-zh": ZooEntry("roberta", 12, 768, 12, "hfl/chinese-roberta-wwm-ext"),
    "hit-roberta-large-zh": ZooEntry("roberta", 24, 1024, 16, "hfl/chinese-roberta-wwm-ext-large"),
    "brightmart-roberta-small-zh": ZooEntry("roberta", 6, 768, 12),
    "brightmart-roberta-large-zh": ZooEntry("roberta", 24, 1024, 16),
    "google-albert-base-zh": ZooEntry("albert", 12, 768, 12, "voidful/albert_chinese_base"),
    "google-albert-large-zh": ZooEntry("albert", 24, 1024, 16, "voidful/albert_chinese_large"),
    "google-albert-xlarge-zh": ZooEntry("albert", 24, 2048, 16, "voidful/albert_chinese_xlarge"),
    "google-albert-xxlarge-zh": ZooEntry("albert", 12, 4096, 64, "voidful/albert_chinese_xxlarge"),
    "pai-albert-base-zh": ZooEntry("albert", 12, 768, 12),
    "pai-albert-large-zh": ZooEntry("albert", 12, 1024, 16),
    "pai-albert-xlarge-zh": ZooEntry("albert", 24, 2048, 32),
    "pai-albert-xxlarge-zh": ZooEntry("albert", 12, 4096, 64),
}
"""Names that EasyTransfer's ``get_pretrained_model`` accepted: BERT, RoBERTa in BERT form, Chinese ALBERT.

Sizes are those that EasyTransfer published, except for Google's ALBERT large (24 layers, not 12) and xlarge (16 heads, not
32), which have other sizes in their own configs.
"""
ENGLISH_ALBERTS = frozenset(
    f"{maker}-albert-{size}-en" for maker in ("google", "pai") for size in ("base", "large", "xlarge", "xxlarge")
)
"""EasyTransfer's names of encoders whose texts are split by SentencePiece, which is not supported."""


def encoder_table() -> str:
    """Returns the names as a text table: name, size, Hugging Face counterpart."""
    lines = [f"{'name':<30} {'layers':>6} {'width':>6} {'heads':>6}  weights"]
    for name, entry in EASYTRANSFER_ENCODERS.items():
        weights = entry.hugging_face or f"bring the files: <modelZooBasePath>/{entry.kind}/{name}/"
        lines.append(f"{name:<30} {entry.layers:>6} {entry.hidden_size:>6} {entry.heads:>6}  {weights}")
    return "\n".join(lines)
