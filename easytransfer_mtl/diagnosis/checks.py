"""The result of one check."""

from dataclasses import dataclass

OK, NOTE, FAULT = "ok", "note", "fault"
"""Whether nothing is wrong, something deserves a look, or training cannot work."""


@dataclass(frozen=True)
class Check:
    """The result of one check.

    Attributes:
        name: what was looked at.
        status: ``OK``, ``NOTE`` or ``FAULT``.
        found: what was found, in words.
        advice: what to do; empty if there is nothing to do.
    """

    name: str
    status: str
    found: str
    advice: str = ""
