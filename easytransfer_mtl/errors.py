"""The error that a user can act on."""


class UserError(Exception):
    """Something the user can mend: bad input, a bad flag, a file that does not fit.

    The message says what is wrong, where, what was found, what is allowed and what to do. Commands print it without a
    traceback and exit with status 2.
    """
