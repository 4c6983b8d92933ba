"""One number per task as text."""

import math

from easytransfer_mtl.errors import UserError


def parse_task_values(option: str, text: str, task_names: list[str], default: float) -> list[float]:
    """Parses ``ocnli=1.5,tnews=1`` to one number per task, in the tasks' order.

    Args:
        option: the setting's name, for errors.
        text: its value; names in any case.
        task_names: the tasks.
        default: the number of a task that is not named.

    Raises:
        UserError: an item is not NAME=NUMBER with a finite number, or the name is no task's or given twice.
    """
    values: dict[str, float] = {}
    known = [name.lower() for name in task_names]
    for item in filter(None, (part.strip() for part in text.split(","))):
        name, _, number = item.partition("=")
        name = name.strip().lower()
        if name not in known or name in values:
            raise UserError(f"{option} {text!r}: {name!r} is no task or given twice; the tasks are {', '.join(known)}.")
        try:
            values[name] = float(number)
        except ValueError:
            raise UserError(f"{option} {text!r}: {item!r} is not NAME=NUMBER.") from None
        if not math.isfinite(values[name]):
            raise UserError(f"{option} {text!r}: {item!r} is not a finite number.")
    return [values.get(name, default) for name in known]
