"""Progress of long work: a bar on a terminal, a line of the log every minute elsewhere."""

import io
import logging
import sys
from typing import Any

from tqdm import tqdm

SECONDS = 60.0
"""Between two lines of the log."""
LINE = "{desc}: {n_fmt} of {total_fmt}{unit}, {rate_fmt}, time left {remaining}"


class _LogLines(io.StringIO):
    """Logs what a bar writes, without what moves the cursor."""

    def write(self, text: str) -> int:
        if line := text.strip():
            logging.info("%s", line)
        return len(text)


def progress_bar(total: int, what: str, unit: str, is_shown: bool = True, **more: Any) -> tqdm:
    """Returns a bar of ``total`` units, to be moved by ``update(number)`` and closed at the end.

    It stands on standard error if that is a terminal, and disappears at the end. If not, as in a file or a service, work
    that takes more than a minute is logged once a minute, with its rate and the time left.

    Args:
        total: number of units.
        what: what is done, before the numbers.
        unit: one unit, with a space before a word.
        is_shown: False shows nothing.
        more: further arguments of ``tqdm``.
    """
    if not is_shown:
        return tqdm(total=total, disable=True)
    if sys.stderr is not None and sys.stderr.isatty():
        return tqdm(total=total, desc=what, unit=unit, leave=False, **more)
    # With `miniters` the bar looks at the clock in every update, and needs no thread that does.
    return tqdm(
        total=total, desc=what, unit=unit, leave=False, file=_LogLines(), delay=SECONDS, mininterval=SECONDS, miniters=1,
        bar_format=LINE, **more,
    )  # fmt: skip
