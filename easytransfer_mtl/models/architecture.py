"""What a model is made of besides its encoder and tasks; stored beside its weights, so that both are read together."""

from dataclasses import asdict, dataclass
from typing import Any

from easytransfer_mtl.errors import UserError


@dataclass(frozen=True)
class Architecture:
    """The parts of a ``MultiTaskModel``; the defaults are the baseline's.

    Attributes:
        sharing: how tasks share the encoder.
        head_dropout: dropout rate of what the heads read.
    """

    sharing: str = "hard"
    head_dropout: float = 0.1

    def to_json(self) -> dict[str, Any]:
        """Returns what ``architecture_from_json`` reads."""
        return asdict(self)


BASELINE = Architecture()


def architecture_from_json(value: Any, where: str) -> Architecture:
    """Reads ``Architecture.to_json``'s value.

    Raises:
        UserError: it is not one; ``where`` names its file.
    """
    try:
        return Architecture(**value)
    except TypeError as error:
        raise UserError(f"{where} is damaged (architecture: {error}).") from None
