"""What pruning did: sizes before and after, and what other files lose, as text and JSON."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from easytransfer_mtl import __version__
from easytransfer_mtl.evaluation.tables import aligned
from easytransfer_mtl.files import write_json, write_text
from easytransfer_mtl.pruning.splitter import Loss

NAME = "pruning"
"""Of the report's files. A .txt with vocab in its name would be taken for a vocabulary where no vocab.txt is."""


@dataclass(frozen=True)
class Size:
    """An encoder's size.

    Attributes:
        tokens: tokens of the vocabulary.
        embeddings: rows of the word embeddings.
        parameters: floats of the weights.
        weights_bytes: bytes of the weights.
        tokenizer_bytes: bytes of tokenizer.json and vocab.txt.
    """

    tokens: int
    embeddings: int
    parameters: int
    weights_bytes: int
    tokenizer_bytes: int


@dataclass(frozen=True)
class PruningReport:
    """The result of a pruning.

    Attributes:
        encoder: name of the full encoder's folder.
        tokenizers: names of the pruned tokenizer files.
        before: the full encoder's size.
        after: the pruned one's.
        texts: name of each file that was pruned for -> its rows, normalized forms included.
        losses: name of each reported file -> what it loses.
    """

    encoder: str
    tokenizers: tuple[str, ...]
    before: Size
    after: Size
    texts: dict[str, int]
    losses: dict[str, Loss]

    def as_json(self) -> dict[str, Any]:
        """Returns the report as a JSON object."""
        losses = {name: {**asdict(loss), **_shares(loss)} for name, loss in self.losses.items()}
        return {"easytransfer_mtl": __version__, **asdict(self), "losses": losses}

    def text(self) -> str:
        """Returns the report as tables."""
        before, after = asdict(self.before), asdict(self.after)
        table = [[f"{self.encoder}, {' and '.join(self.tokenizers)}", "before", "after", "left"]]
        for key in before:
            share = f"{after[key] / before[key]:.1%}" if before[key] else "-"
            name, shown = key.replace("_bytes", " (MB)"), (before[key], after[key])
            values = [f"{value / 1e6:,.1f}" if key.endswith("_bytes") else f"{value:,}" for value in shown]
            table.append([name, *values, share])
        rows = sum(self.texts.values())
        lines = f"{rows:,} rows of {len(self.texts)} files are split as before; their states are the same.\n"
        if not self.losses:
            return f"{aligned(table)}\n{lines}"
        return f"{aligned(table)}\n{lines}\n{self._losses_text()}"

    def _losses_text(self) -> str:
        table = [["tokens of", "texts", "before", "after", "unknown before", "split otherwise", "share", "lost", "share"]]
        for name, loss in self.losses.items():
            shares = _shares(loss)
            numbers = [f"{value:,}" for value in (loss.texts, loss.before, loss.after, loss.unknown, loss.removed)]
            lost = [f"{loss.lost:,}", f"{shares['lost_share']:.3%}"]
            table.append([name, *numbers, f"{shares['removed_share']:.3%}", *lost])
        return f"{aligned(table)}lost: other tokens before, unknown ones now\n"

    def write(self, folder: Path) -> None:
        """Writes pruning.txt and pruning.json."""
        write_text(folder / f"{NAME}.txt", self.text())
        write_json(folder / f"{NAME}.json", self.as_json())


def _shares(loss: Loss) -> dict[str, float]:
    return {f"{key}_share": getattr(loss, key) / max(1, loss.before) for key in ("removed", "lost")}
