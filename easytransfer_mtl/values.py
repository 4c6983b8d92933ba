"""Checks untrusted values: those of a JSON file, and numbers written as text."""

import math
from typing import Any, TypeVar

from easytransfer_mtl.errors import shown

Number = TypeVar("Number", int, float)
DEEPEST_JSON, MOST_BITS = 100, 1000
"""Most levels, and most bits of an integer, which can then still be converted to a float."""
TOO_LARGE = "it holds a whole number of more than 300 digits"


def problem_in(value: Any) -> str | None:
    """Returns what is wrong with a parsed JSON value, or None; works without recursion."""
    level, depth = [value], 0
    while level:
        deeper: list[Any] = []
        for item in level:
            if isinstance(item, dict):
                deeper += item
                deeper += item.values()
            elif isinstance(item, list):
                deeper += item
            elif isinstance(item, str):
                if not item.isascii() and not _is_unicode(item):
                    return f"{shown(item)} holds half of a surrogate pair, which is no character"
            elif isinstance(item, float):
                if not math.isfinite(item):
                    return "it holds NaN or a number that is infinite or too large; numbers must be finite"
            elif isinstance(item, int) and item.bit_length() > MOST_BITS:
                return TOO_LARGE
        level, depth = deeper, depth + 1
        if depth > DEEPEST_JSON:
            return f"it is nested too deeply: at most {DEEPEST_JSON} levels are read"
    return None


def _is_unicode(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def to_number(value: str | int | float, kind: type[Number]) -> Number:
    """Returns a finite number, from text in plain digits or from another number; 3.0 is an integer.

    Raises:
        ValueError, OverflowError: the value is not such a number.
    """
    if isinstance(value, str) and (not value.isascii() or "_" in value):  # Python's int and float accept these
        raise ValueError
    if kind is float and not math.isfinite(float(value)):
        raise ValueError
    if kind is int and isinstance(value, float) and not value.is_integer():
        raise ValueError
    return kind(value)
