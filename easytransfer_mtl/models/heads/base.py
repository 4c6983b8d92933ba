"""Base class and constructor argument of every head."""

from types import SimpleNamespace
from typing import NamedTuple

from easytransfer_mtl.encoders.dropout import DropoutClock, SeededDropout


class HeadFacts(NamedTuple):
    """The constructor argument of a head.

    Attributes:
        name: prefix of its variables' and random streams' names.
        width: of its input, F.
        num_labels: C.
        dropout_rate: of dropouts inside the head; the model applies the dropout of its input.
        size: see ``Head.size_of``; 0 for heads without one.
        activation: see ``Head.activations``; None for heads without one.
        clock: drives dropout; has the run's seed.
        own: the options that user-defined classes declare.
    """

    name: str
    width: int
    num_labels: int
    dropout_rate: float
    size: int
    activation: str | None
    clock: DropoutClock
    own: SimpleNamespace = SimpleNamespace()

    def dropout(self, name: str) -> SeededDropout:
        """Returns a dropout layer for the inside of the head; ``name`` names its random stream within the head."""
        return SeededDropout(self.dropout_rate, f"{self.name}/{name}", self.clock)


class Head:
    """Base class of heads. A head must be a Keras layer too: ``class MyHead(Head, tf_keras.layers.Layer)``.

    A head is called with its input ([B, F], or [B, S, F] if it reads a sequence), the input mask [B, S], and ``training``;
    it returns logits [B, C].

    A head ``per_token`` may also be called with the states of all tokens, [B, S, F], and returns logits [B, S, C] then.

    Attributes:
        reads_sequence: whether its input is a state per token.
        per_token: whether it can be the head of a task that tags tokens.
        drops_itself: whether it applies the dropout of its input itself.
        size_of: meaning of its number in ``--heads``; empty for heads without a number.
        default_size: the number if ``--heads`` gives none.
        activations: names that may follow the number, the first being the default.
    """

    reads_sequence = False
    per_token = False
    drops_itself = False
    size_of = ""
    default_size: int | None = None
    activations: tuple[str, ...] = ()
