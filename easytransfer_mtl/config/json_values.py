"""What the values of a JSON file from a stranger may be."""

import math
from typing import Any

from easytransfer_mtl.errors import shown

DEEPEST_JSON, MOST_BITS = 100, 1000
"""Levels, and bits of a whole number, which can be made a float then."""
TOO_LARGE = "it holds a whole number of more than 300 digits"


def problem_in(value: Any) -> str | None:
    """Returns what is wrong in a value that was parsed, without recursion."""
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
