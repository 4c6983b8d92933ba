"""What a client may ask for at most."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Bounds of requests.

    Attributes:
        texts: texts, or pairs of texts, a request.
        characters: characters a text.
        body_bytes: bytes of a request's body.
        requests: requests at a time, waiting ones included.
        seconds: time that a client may take to send a request, and to take the answer.
    """

    texts: int = 256
    characters: int = 10_000
    body_bytes: int = 1 << 20
    requests: int = 256
    seconds: float = 10.0
