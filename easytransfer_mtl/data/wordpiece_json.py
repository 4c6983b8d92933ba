"""EasyTransfer's WordPiece over a vocab.txt as a tokenizer.json, which the ``tokenizers`` library runs by itself."""

from typing import Any

from easytransfer_mtl.data.tokenization import CJK, MAX_WORD_CHARACTERS, Vocabulary

UNKNOWN, CONTINUATION = "[UNK]", "##"
REPLACEMENTS = (
    (r"[\t\n\r]", " "),
    (r"[\x00\uFFFD\p{Cc}\p{Cf}]", ""),
    # Python writes a capital sigma at the end of a word as a final one, the library's lower-casing never does.
    (r"(?<=[\p{Lu}\p{Ll}\p{Lt}])\u03A3(?![\p{Lu}\p{Ll}\p{Lt}])", "\u03c2"),
)
NONSPACING_MARKS = r"\p{Mn}"
PUNCTUATION = r"[\x21-\x2F\x3A-\x40\x5B-\x60\x7B-\x7E\p{P}]"


def tokenizer_json(vocabulary: Vocabulary) -> dict[str, Any]:
    """Returns the content of a tokenizer.json that gives the ids of ``Tokenizer`` without text normalization.

    It has no template: who cuts the texts puts ``[CLS]`` and ``[SEP]`` around them, since the library's cut is another than
    EasyTransfer's. It has no added tokens either: ``[SEP]`` in a text is plain characters. BERT's tokenizer of transformers
    differs in both, drops private-use characters, and allows words of 100 characters instead of 200.
    """
    normalizers = [
        *(_replaced(pattern, content) for pattern, content in REPLACEMENTS),
        {"type": "Lowercase"},
        {"type": "NFD"},
        _replaced(NONSPACING_MARKS, ""),
    ]
    splits = [{"type": "WhitespaceSplit"}, _isolated(f"[{CJK}]"), _isolated(PUNCTUATION)]
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [],
        "normalizer": {"type": "Sequence", "normalizers": normalizers},
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": splits},
        "post_processor": None,
        "decoder": None,
        "model": {
            "type": "WordPiece",
            "unk_token": UNKNOWN,
            "continuing_subword_prefix": CONTINUATION,
            "max_input_chars_per_word": MAX_WORD_CHARACTERS,
            "vocab": vocabulary.ids,
        },
    }


def _replaced(pattern: str, content: str) -> dict[str, Any]:
    return {"type": "Replace", "pattern": {"Regex": pattern}, "content": content}


def _isolated(pattern: str) -> dict[str, Any]:
    return {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}
