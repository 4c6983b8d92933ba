"""What a model is made of besides its encoder and tasks; stored beside its weights, so that both are read together."""

from dataclasses import asdict, dataclass
from typing import Any

from easytransfer_mtl.errors import UserError
from easytransfer_mtl.models.sharing_options import SharingOptions


@dataclass(frozen=True)
class Architecture:
    """The parts of a ``MultiTaskModel``; the defaults are the baseline's.

    Attributes:
        sharing: how tasks share the encoder.
        head_dropout: dropout rate of what the heads read.
        sharing_options: what ``sharing`` takes.
    """

    sharing: str = "hard"
    head_dropout: float = 0.1
    sharing_options: SharingOptions = SharingOptions()

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
        options = SharingOptions(**value.get("sharing_options", {}))
        return Architecture(**{**value, "sharing_options": options})
    except (AttributeError, TypeError) as error:
        raise UserError(f"{where} is damaged (architecture: {error}).") from None
