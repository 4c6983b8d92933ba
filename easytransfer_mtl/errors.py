"""Ends of a command that are no bugs: a mistake that the user can mend, and a stop that the user asked for."""

import reprlib
from collections.abc import Sequence

_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 60
MOST_LISTED = 20


class UserError(Exception):
    """Something the user can mend: bad input, a bad flag, a file that does not fit.

    The message says what is wrong, where, what was found, what is allowed and what to do. Commands print it without a
    traceback and exit with status 2.
    """


class Stopped(Exception):
    """A signal ended the work; what was done is kept, and the same command goes on from there.

    Attributes:
        exit_code: 128 plus the signal's number, as shells have it.
    """

    def __init__(self, message: str, signal_number: int) -> None:
        super().__init__(message)
        self.exit_code = 128 + signal_number


def shown(value: object) -> str:
    """Returns a value for a message: quoted, printable, and short however large the value is."""
    return _SHORT.repr(value)


def listed(names: Sequence[str], separator: str = ", ") -> str:
    """Returns names for a message, the first ``MOST_LISTED`` of them in full and the rest as a number."""
    text = separator.join(names[:MOST_LISTED])
    return text if len(names) <= MOST_LISTED else f"{text} and {len(names) - MOST_LISTED:,} more"
