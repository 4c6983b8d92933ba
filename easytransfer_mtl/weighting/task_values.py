"""One value per task as text."""

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
    items = _items(option, text, task_names)
    return [_number(option, text, items[name]) if name in items else default for name in task_names]


def numbers_of_tasks(option: str, text: str, task_names: list[str], default: float) -> list[float]:
    """Parses the same, or one number for all tasks.

    Raises:
        UserError: it is neither.
    """
    if "=" in text:
        return parse_task_values(option, text, task_names, default)
    try:
        return [float(text)] * len(task_names)
    except ValueError:
        raise UserError(f"{option} {text!r} is neither a number nor NAME=NUMBER,...") from None


def words_of_tasks(option: str, text: str, task_names: list[str], allowed: tuple[str, ...]) -> dict[str, str]:
    """Parses ``tnews=log,ocnli=inverse``, or one word for all tasks, to the words of the tasks that have one.

    Raises:
        UserError: an item is not NAME=WORD with an allowed word, or the name is no task's or given twice.
    """
    items = _items(option, text, task_names) if "=" in text else dict.fromkeys(task_names, f"={text.strip()}")
    words = {name: item.partition("=")[2].strip() for name, item in items.items()}
    wrong = sorted(set(words.values()) - set(allowed))
    if wrong:
        raise UserError(f"{option} {text!r}: {wrong[0]!r} is not allowed; allowed: {', '.join(allowed)}.")
    return words


def value_of_task(option: str, text: str, task_names: list[str], task_name: str, default: str) -> str:
    """Returns what a text for all or several tasks says of one, as a text for that one alone.

    Raises:
        UserError: a name is no task's or given twice.
    """
    if "=" not in text:
        return text
    items = _items(option, text, task_names)
    return items[task_name].partition("=")[2].strip() if task_name in items else default


def _items(option: str, text: str, task_names: list[str]) -> dict[str, str]:
    """Returns task name -> its item, ``tnews=1``."""
    items: dict[str, str] = {}
    known = {name.lower(): name for name in task_names}
    for item in filter(None, (part.strip() for part in text.split(","))):
        name = item.partition("=")[0].strip().lower()
        if name not in known or known[name] in items:
            raise UserError(f"{option} {text!r}: {name!r} is no task or given twice; the tasks are {', '.join(known)}.")
        items[known[name]] = item
    return items


def _number(option: str, text: str, item: str) -> float:
    try:
        number = float(item.partition("=")[2])
    except ValueError:
        raise UserError(f"{option} {text!r}: {item!r} is not NAME=NUMBER.") from None
    if not math.isfinite(number):
        raise UserError(f"{option} {text!r}: {item!r} is not a finite number.")
    return number
