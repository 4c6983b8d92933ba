"""What a model is made of besides its encoder and tasks; stored beside its weights, so that both are read together."""

from dataclasses import asdict, dataclass, field
from typing import Any

from easytransfer_mtl.models.sharing_options import SharingOptions


@dataclass(frozen=True)
class Architecture:
    """The parts of a ``MultiTaskModel``; the defaults are the baseline's.

    Attributes:
        sharing: how tasks share the encoder.
        head_dropout: dropout rate of what the heads read.
        sharing_options: what ``sharing`` takes.
        features: task name -> what it reads, as ``models.features.spec`` has it; a task that is not named reads what its
            head does by default.
        heads: task name -> its head, as ``models.heads.spec`` has it; a task that is not named has ``dense``.
        task_dropout: task name -> its own rate in place of ``head_dropout``.
    """

    sharing: str = "hard"
    head_dropout: float = 0.1
    sharing_options: SharingOptions = SharingOptions()
    features: dict[str, str] = field(default_factory=dict)
    heads: dict[str, str] = field(default_factory=dict)
    task_dropout: dict[str, float] = field(default_factory=dict)

    def dropout_of(self, task_name: str) -> float:
        """Returns a task's dropout rate."""
        return self.task_dropout.get(task_name, self.head_dropout)

    def to_json(self) -> dict[str, Any]:
        """Returns what ``architecture_checks.architecture_from_json`` reads."""
        return asdict(self)

    def differences(self, other: "Architecture") -> list[str]:
        """Returns in what the other is another model, ``name: this -> other``; rates of dropout make none."""
        mine, others = self.to_json(), other.to_json()
        names = [name for name in mine if name not in ("head_dropout", "task_dropout") and mine[name] != others[name]]
        return [f"{name}: {mine[name]} -> {others[name]}" for name in names]


BASELINE = Architecture()
