"""Times as a user writes and reads them: 2h, 90m, 3600s."""

import re

from easytransfer_mtl.errors import UserError, shown

SECONDS = {"h": 3600, "m": 60, "s": 1}
LONGEST = 366 * 24 * 3600
_FORM = re.compile(r"(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s)?", re.ASCII)


def parse_duration(text: str, setting: str) -> float:
    """Returns the seconds of ``2h``, ``90m``, ``3600s`` or ``1h30m``.

    Raises:
        UserError: the text is of another form, is no time at all, or is more than a year.
    """
    found = _FORM.fullmatch("".join(text.split()).lower())
    seconds = sum(float(part or 0) * size for part, size in zip(found.groups(), SECONDS.values())) if found else 0.0
    if not 0 < seconds <= LONGEST:
        raise UserError(
            f"--{setting}: {shown(text)} is no time; give hours, minutes or seconds with their letter, for instance 2h, "
            "90m, 3600s or 1h30m, more than 0 and at most a year."
        )
    return seconds


def duration_text(seconds: float) -> str:
    """Returns a time in two units at most, for instance ``1 h 52 min``."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 600:
        return f"{whole // 60} min {whole % 60:02} s"
    minutes = round(whole / 60)
    return f"{minutes // 60} h {minutes % 60:02} min" if minutes >= 60 else f"{minutes} min"
