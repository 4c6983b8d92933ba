"""Which share of the learning rate each variable has."""

import math
from dataclasses import dataclass

from easytransfer_mtl.config.settings import TrainSettings
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.models.multitask_model import MultiTaskModel
from easytransfer_mtl.weighting.task_values import parse_task_numbers


@dataclass(frozen=True)
class RateShares:
    """Factors of the learning rate.

    Attributes:
        heads: of what each task has of its own and starts anew: its feature and head, and what its sharing structure gives
            it.
        layer_decay: of an encoder layer's rate from the one above; the highest layer has it once, the embeddings have it
            once more than the lowest (Clark et al. 2020; Bao et al. 2022). Pooler and heads have it not.
    """

    heads: tuple[float, ...]
    layer_decay: float = 1.0

    def of_variables(self, model: MultiTaskModel) -> list[float]:
        """Returns every trainable variable's factor; empty if all are 1.

        What several tasks share of their features, and a sharing structure's new layers that several move, have the tasks'
        factor if it is one, else 1. Copies of the encoder's layers have their depth's, as the encoder's own.
        """
        if set(self.heads) == {1.0} and self.layer_decay == 1.0:
            return []
        own: dict[int, float] = {}
        for task, factor in enumerate(self.heads):
            own |= {id(variable): factor for variable in model.task_variables(task)}
        if len(set(self.heads)) == 1:
            layers = (*model.shared_features.values(), model.sharing)
            own |= {id(variable): self.heads[0] for layer in layers for variable in layer.trainable_variables}
        top = model.encoder.config.num_hidden_layers + 1
        factors = own | {name: self.layer_decay ** (top - depth) for name, depth in model.depths.items()}
        return [factors.get(id(variable), 1.0) for variable in model.trainable_variables]


def choose_rate_shares(settings: TrainSettings, task_names: list[str]) -> RateShares:
    """Returns a run's factors.

    Raises:
        UserError: one is out of range.
    """
    text = str(settings.head_lr)
    heads = parse_task_numbers("head_lr", text, task_names, 1.0)
    if not all(0 < factor < math.inf for factor in heads):
        raise UserError(f"head_lr {text}: a factor must be more than 0.")
    if not 0 < settings.layer_lr_decay <= 1:
        raise UserError(f"layer_lr_decay is {settings.layer_lr_decay}; it must be more than 0 and at most 1.")
    return RateShares(tuple(heads), settings.layer_lr_decay)
