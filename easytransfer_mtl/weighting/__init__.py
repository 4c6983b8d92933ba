"""Losses to weights. Pure TensorFlow on small tensors; knows no encoder and no Keras model."""

from easytransfer_mtl.errors import UserError
from easytransfer_mtl.weighting.base import TaskWeighting
from easytransfer_mtl.weighting.equal import Equal
from easytransfer_mtl.weighting.fixed import Fixed

LOSS_WEIGHTINGS = ("equal", "fixed")


def parse_task_weights(text: str, task_names: list[str]) -> list[float]:
    """Parses ``ocnli=1.5,tnews=1`` to one weight per task; tasks that are not named get 1.

    Raises:
        UserError: an item is not NAME=NUMBER, or the name is no task's or given twice.
    """
    weights: dict[str, float] = {}
    known = [name.lower() for name in task_names]
    for item in filter(None, (part.strip() for part in text.split(","))):
        name, _, number = item.partition("=")
        name = name.strip().lower()
        if name not in known or name in weights:
            raise UserError(f"task_weights {text!r}: {name!r} is no task or given twice; the tasks are {', '.join(known)}.")
        try:
            weights[name] = float(number)
        except ValueError:
            raise UserError(f"task_weights {text!r}: {item!r} is not NAME=NUMBER.") from None
    return [weights.get(name, 1.0) for name in known]


def make_weighting(name: str, task_names: list[str], task_weights: str | None = None) -> TaskWeighting:
    """Builds the weighting that ``--loss_weighting`` names.

    Raises:
        UserError: the name is unknown, or ``task_weights`` is missing, not right, or given where it has no effect.
    """
    if name == "equal":
        if task_weights:
            raise UserError("task_weights has no effect with loss_weighting equal; set --loss_weighting=fixed.")
        return Equal(len(task_names))
    if name == "fixed":
        if not task_weights:
            raise UserError("loss_weighting fixed needs --task_weights, for instance ocnli=1.5,ocemotion=1,tnews=1.")
        return Fixed(parse_task_weights(task_weights, task_names))
    raise UserError(f"loss_weighting {name!r} is unknown; allowed: {', '.join(LOSS_WEIGHTINGS)}.")
