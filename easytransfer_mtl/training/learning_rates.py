"""Learning rate factors of the variables."""

from dataclasses import dataclass
from typing import Any

from easytransfer_mtl.models.multitask_model import MultiTaskModel


@dataclass(frozen=True)
class RateShares:
    """Factors of the learning rate.

    Attributes:
        heads: one per task, for its newly initialized variables: feature, head, and private variables of the sharing
            structure.
        layer_decay: factor between an encoder layer and the layer above; the highest layer has layer_decay^1, the
            embeddings have one power more than the lowest layer (Clark et al. 2020; Bao et al. 2022). It does not apply to
            pooler and heads.
    """

    heads: tuple[float, ...]
    layer_decay: float = 1.0

    def of_variables(self, model: MultiTaskModel) -> list[float]:
        """Returns every trainable variable's factor; empty if all are 1.

        Variables of shared features, and of a sharing structure's new layers that several tasks update, have the tasks'
        factor if it is the same for all tasks, else 1. Copies of encoder layers have the factor of their depth, as the
        encoder's layers have.
        """
        if set(self.heads) == {1.0} and self.layer_decay == 1.0:
            return []
        own: dict[int, float] = {}
        for task, factor in enumerate(self.heads):
            own |= {id(variable): factor for variable in model.task_variables(task)}
        if len(set(self.heads)) == 1:
            layers: tuple[Any, ...] = (*model.shared_features.values(), model.sharing)
            own |= {id(variable): self.heads[0] for layer in layers for variable in layer.trainable_variables}
        top = model.encoder.config.num_hidden_layers + 1
        factors = own | {name: self.layer_decay ** (top - depth) for name, depth in model.depths.items()}
        return [factors.get(id(variable), 1.0) for variable in model.trainable_variables]
