"""Largest values that several settings share; beyond them a number is a slip of the pen, and would only cost memory."""

MOST_ROWS = 65_536
"""Rows of a batch."""
MOST_ROWS_A_STEP = 1 << 20
"""Rows of a step: of all tasks, replicas and accumulated batches together."""
MOST_TOKENS_A_STEP = 1 << 28
"""Tokens of a step's rows, padding included: 1 GB of token ids."""
LONGEST_ROW = 65_536
"""Tokens of a row; no encoder has more positions."""
MOST_STEPS = 1_000_000_000
MOST_EPOCHS = 100_000
MOST_UNITS = 65_536
"""Width of a layer, or vectors in it."""
LARGEST_NORM = 1e12
"""Of gradients; clipping to it is none."""
SMALLEST_SEED, LARGEST_SEED = -(2**63), 2**63 - 1
