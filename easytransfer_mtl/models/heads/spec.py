"""The syntax of ``--heads``: ``KIND``, ``KIND:NUMBER``, ``mlp:NUMBER:ACTIVATION``, or ``file.py:Class``."""

import difflib
from dataclasses import dataclass

from easytransfer_mtl.errors import UserError
from easytransfer_mtl.models.heads.base import Head
from easytransfer_mtl.models.heads.dense import DenseHead
from easytransfer_mtl.models.heads.label_attention import LabelAttentionHead
from easytransfer_mtl.models.heads.mlp import MlpHead
from easytransfer_mtl.models.heads.multi_dropout import MultiDropoutHead
from easytransfer_mtl.models.heads.recurrent import BiLstmHead, GruHead, LstmHead
from easytransfer_mtl.models.heads.textcnn import TextCnnHead
from easytransfer_mtl.own_code import is_own, own_class

DENSE = "dense"
MOST_DIGITS = 9
HEADS: dict[str, type[Head]] = {
    DENSE: DenseHead,
    "mlp": MlpHead,
    "multi_dropout": MultiDropoutHead,
    "lstm": LstmHead,
    "bilstm": BiLstmHead,
    "gru": GruHead,
    "textcnn": TextCnnHead,
    "label_attention": LabelAttentionHead,
}


@dataclass(frozen=True)
class HeadSpec:
    """A parsed head; ``size`` and ``activation`` are None for kinds without them."""

    kind: str
    size: int | None = None
    activation: str | None = None

    @property
    def text(self) -> str:
        """The head in the normalized syntax that is stored."""
        return ":".join(str(part) for part in (self.kind, self.size, self.activation) if part is not None)

    @property
    def head(self) -> type[Head]:
        """The kind's class.

        Raises:
            UserError: a user-defined class cannot be imported.
        """
        return HEADS.get(self.kind) or own_class(self.kind, Head, "heads")

    @property
    def label(self) -> str:
        """The head's name in the names of its variables."""
        return self.kind.rsplit(":", 1)[-1]


def parse_head(text: str, place: str) -> HeadSpec:
    """Parses one task's head.

    Args:
        text: for instance ``mlp:256:relu``.
        place: the setting and the task, for errors.

    Raises:
        UserError: the kind is unknown (the message names the nearest one), or the number or activation does not fit.
    """
    if is_own(text.strip()):
        return HeadSpec(text.strip())
    kind, *more = [part.strip() for part in text.lower().split(":")]
    if kind not in HEADS:
        near = difflib.get_close_matches(kind, HEADS, n=1, cutoff=0.5)
        hint = f"; did you mean {near[0]}?" if near else ";"
        raise UserError(
            f"{place}={text}: {kind!r} is no head{hint} allowed: {', '.join(HEADS)}, or a class of your own (file.py:Class)."
        )
    head = HEADS[kind]
    size, activation = head.default_size, (head.activations or (None,))[0]
    if len(more) > bool(head.size_of) + bool(head.activations):
        usage = ":".join([kind, *(["NUMBER"] if head.size_of else []), *(["ACTIVATION"] if head.activations else [])])
        raise UserError(f"{place}={text}: {more[-1]!r} is too much; {kind} is written {usage}.")
    if more:
        if not (more[0].isascii() and more[0].isdigit() and len(more[0]) <= MOST_DIGITS and int(more[0]) > 0):
            raise UserError(f"{place}={text}: {more[0]!r} must be a whole number, at least 1, the {head.size_of}.")
        size = int(more[0])
    if len(more) > 1:
        if more[1] not in head.activations:
            raise UserError(f"{place}={text}: activation {more[1]!r} is unknown; allowed: {', '.join(head.activations)}.")
        activation = more[1]
    return HeadSpec(kind, size, activation)
