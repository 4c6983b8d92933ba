"""Assigns an encoder's weights, matched by name, all or none; or draws random ones."""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from easytransfer_mtl.encoders.interface import POOLER, Encoder
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.seeding import truncated_normal

NAMES_SHOWN = 12


@dataclass(frozen=True)
class WeightMismatch:
    """How a set of weights differs from what an encoder needs."""

    missing: tuple[str, ...]
    left_over: tuple[str, ...]
    shapes: tuple[str, ...]
    beside: tuple[str, ...]

    def __bool__(self) -> bool:
        return bool(self.missing or self.left_over or self.shapes)

    @property
    def lacks_pooler_only(self) -> bool:
        """Whether the missing pooler is the only difference."""
        return bool(self.missing) and set(self.missing) <= set(POOLER) and not self.left_over and not self.shapes

    def text(self, source: str) -> str:
        """Returns the error message: one sentence for a missing pooler, else one line per kind of difference, and advice."""
        if self.lacks_pooler_only:
            return (
                f"The weights in {source} have no pooler, missing ({len(self.missing)}): {', '.join(self.missing)}. Models "
                "for masked words, tokens or questions are saved without; --random_pooler draws one."
            )
        left_over = tuple(sorted(self.left_over + self.beside))
        kinds = {"missing": self.missing, "left over": left_over, "of another shape": self.shapes}
        lines = [f"The weights in {source} do not fit the encoder of its config.json:"]
        for kind, names in kinds.items():
            if names:
                more = f" and {len(names) - NAMES_SHOWN} more" if len(names) > NAMES_SHOWN else ""
                lines.append(f"  {kind} ({len(names)}): {', '.join(names[:NAMES_SHOWN])}{more}")
        pooler = " --random_pooler draws the pooler." if set(POOLER) & set(self.missing) else ""
        lines.append(
            "The checkpoint is incomplete or of another encoder than its config.json: bring the two files of one encoder "
            f"together.{pooler} --random_init reads no weights at all."
        )
        return "\n".join(lines)


def assign_weights(
    encoder: Encoder,
    arrays: dict[str, np.ndarray],
    left_over: tuple[str, ...],
    source: str,
    beside: tuple[str, ...] = (),
) -> None:
    """Assigns the encoder's weights, all or none.

    Args:
        encoder: the encoder.
        arrays: float32 arrays by canonical name.
        left_over: stored names that match nothing in the encoder; an error too.
        source: origin of the weights, for the error.
        beside: stored names of parts outside the encoder; not an error, but listed in one.

    Raises:
        UserError: names are missing or left over, or have another shape.
    """
    variables = encoder.canonical_variables
    missing = tuple(name for name in variables if name not in arrays)
    extra = tuple(name for name in arrays if name not in variables)
    shapes = tuple(
        f"{name} {tuple(arrays[name].shape)} instead of {tuple(variable.shape)}"
        for name, variable in variables.items()
        if name in arrays and tuple(arrays[name].shape) != tuple(variable.shape)
    )
    mismatch = WeightMismatch(missing, left_over + extra, shapes, beside)
    if mismatch:
        raise UserError(mismatch.text(source))
    for name, variable in variables.items():
        if name in arrays:
            variable.assign(arrays[name])


def random_weights(encoder: Encoder, seed: int, names: Collection[str] | None = None) -> dict[str, np.ndarray]:
    """Draws EasyTransfer's random initialization: truncated normal for kernels, embeddings and q/k/v biases; other biases 0.

    Args:
        encoder: gives shapes and ``initializer_range``.
        seed: the run's seed; each variable has its own stream.
        names: canonical names of the wanted variables; None for all.
    """
    stddev = encoder.config.initializer_range
    arrays = {}
    for name, variable in encoder.canonical_variables.items():
        if names is not None and name not in names:
            continue
        shape = tuple(variable.shape)
        if name.endswith("/gamma"):
            arrays[name] = np.ones(shape, np.float32)
        elif name.endswith("/beta") or (name.endswith("/bias") and "/self/" not in name):
            arrays[name] = np.zeros(shape, np.float32)
        else:
            arrays[name] = truncated_normal(shape, stddev, seed, "encoder", name)
    return arrays
