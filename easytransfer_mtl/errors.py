"""Ends of a command that are no bugs: a mistake that the user can mend, and a stop that the user asked for."""


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
