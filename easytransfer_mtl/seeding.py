"""Named random streams: all randomness of a run comes from one seed and a name."""

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # settings read the seed below, and need no NumPy for it
    import numpy as np

DEFAULT_SEED = 123123
"""EasyTransfer's seed (``RunConfig(tf_random_seed=123123)``)."""


def stream_seed(seed: int, *names: str | int) -> int:
    """Returns the 63-bit seed of the stream ``names`` of ``seed``.

    Streams with different names are independent, so a new use of randomness never changes an old one, and a stream that is
    named by its position (epoch, window) needs no stored generator to resume.
    """
    text = "\x1f".join([str(seed), *map(str, names)])
    return int.from_bytes(hashlib.sha256(text.encode("utf-8")).digest()[:8], "little") >> 1


def generator(seed: int, *names: str | int) -> "np.random.Generator":
    """Returns a fresh NumPy generator at the start of the stream ``names`` of ``seed``."""
    import numpy as np

    return np.random.Generator(np.random.PCG64(stream_seed(seed, *names)))


def truncated_normal(shape: tuple[int, ...], stddev: float, seed: int, *names: str | int) -> "np.ndarray":
    """Draws float32 values from N(0, ``stddev``), truncated at two standard deviations like TensorFlow's truncated normal.

    Args:
        shape: shape of the result.
        stddev: standard deviation before truncation.
        seed: the run's seed.
        *names: the stream's name, for instance the variable's.
    """
    import numpy as np

    random = generator(seed, *names)
    values = random.standard_normal(shape)
    outside = np.abs(values) > 2.0
    while outside.any():
        values[outside] = random.standard_normal(int(outside.sum()))
        outside = np.abs(values) > 2.0
    return (values * stddev).astype(np.float32)
