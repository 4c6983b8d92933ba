"""What every head is given and tells."""

from typing import NamedTuple

from easytransfer_mtl.encoders.dropout import DropoutClock, SeededDropout


class HeadFacts(NamedTuple):
    """What a head is built of.

    Attributes:
        name: names its variables and random streams.
        width: of what it reads.
        num_labels: C.
        dropout_rate: of the dropouts inside; the one of what it reads is the model's.
        size: see ``Head.size_of``; None for heads that have none.
        activation: see ``Head.activations``; None for heads that have none.
        clock: drives dropout; has the run's seed.
    """

    name: str
    width: int
    num_labels: int
    dropout_rate: float
    size: int | None
    activation: str | None
    clock: DropoutClock

    def dropout(self, name: str) -> SeededDropout:
        """Returns a dropout inside the head."""
        return SeededDropout(self.dropout_rate, f"{self.name}/{name}", self.clock)


class Head:
    """What the Keras layers among a task's heads tell of themselves.

    A head is called with [B, F], or with [B, S, F] and the input mask [B, S] if it reads a sequence, and ``training``; it
    returns logits [B, C].

    Attributes:
        reads_sequence: whether it reads a state per token.
        drops_itself: whether it applies the dropout of what it reads.
        size_of: what its number in ``--heads`` is; empty for heads that take none.
        default_size: the number where none is given.
        activations: names that may follow the number, the first being the default.
    """

    reads_sequence = False
    drops_itself = False
    size_of = ""
    default_size: int | None = None
    activations: tuple[str, ...] = ()
