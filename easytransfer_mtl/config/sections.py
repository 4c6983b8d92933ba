"""Names and limits shared by several settings: EasyTransfer's JSON sections, allowed values, largest numbers."""

PREPROCESS, MODEL, TRAIN = "preprocess_config", "model_config", "train_config"
OPTIMIZER, DISTRIBUTION = "train_config.optimizer_config", "train_config.distribution_config"
WEIGHTING, PREDICT, EVALUATE = "train_config.loss_weighting", "predict_config", "evaluate_config"
PRETRAIN, EXPORT, SERVE = "pretrain_config", "export_config", "serve_config"
MAX_BAD_SHARE = 0.05
NORMALIZATIONS = ("none", "nfkc")
VOCABULARY_RULES = ("auto", "lines", "easytransfer")
VOCABULARY_RULE = (
    "how ids follow from vocab.txt: lines, the line number, as transformers; easytransfer, repeated lines not counted; "
    "auto: as the encoder was trained"
)
TOKENIZERS = ("auto", "easytransfer", "published")
TOKENIZER = (
    "what splits texts: easytransfer, its WordPiece over vocab.txt; published, the encoder's tokenizer.json; auto: "
    "published if there is no vocab.txt"
)
TABLE_FORMATS = ("contest", "csv", "tsv", "jsonl")
"""Tab separated without a header; with a header and quotes; tab separated with a header, no quotes; an object a line."""
TEXT_FORMATS = (*TABLE_FORMATS, "text")
PRECISIONS = ("float32", "bfloat16", "float16")
PRETRAIN_PRECISIONS = PRECISIONS[:2]
"""Pre-training has no loss scale, which float16 needs."""
PREDICT_PRECISION = (
    "number format of the matrix products; bfloat16 and float16 are faster on some machines (run doctor) and change "
    "probabilities a little; on GPUs neither was ever run"
)
BOARDS = ("auto", "test", "b", "a")

# Larger numbers are typing errors, and would only cost memory.
MOST_ROWS = 65_536
"""Rows in a batch."""
MOST_ROWS_A_STEP = 1 << 20
"""Rows in a step, summed over tasks, replicas and accumulated batches."""
MOST_TOKENS_A_STEP = 1 << 28
"""Tokens in a step, including padding: 1 GB of token ids."""
LONGEST_ROW = 65_536
"""Tokens in a row; no encoder has more positions."""
SEQUENCE_LENGTH = 128
"""Tokens of a converted row by default."""
MOST_STEPS = 1_000_000_000
MOST_EPOCHS = 100_000
MOST_UNITS = 65_536
"""Width of a layer, or number of vectors in it."""
LARGEST_NORM = 1e12
"""Upper limit of clipping norms; clipping to it has no effect."""
SMALLEST_SEED, LARGEST_SEED = -(2**63), 2**63 - 1
MOST_CHARACTERS = 1_000_000
"""Characters in a text of a request."""
MOST_BODY_BYTES = 1 << 28
"""Bytes in a request's body."""
