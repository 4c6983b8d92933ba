"""When two rows have the same texts, and what it means that dev rows have those of train rows."""

import unicodedata

from easytransfer_mtl.tasks import Task


def comparable_texts(texts: tuple[str, ...]) -> tuple[str, ...]:
    """Returns a row's texts so that those which differ only in width (NFKC), case and amount of white space are equal."""
    return tuple(" ".join(unicodedata.normalize("NFKC", text).lower().split()) for text in texts)


def shared_sentence(task: Task, shared: int, rows: int) -> str:
    """Returns the sentence on ``shared`` of a dev file's ``rows``, whose texts occur in the train file too."""
    texts = "pair of texts" if task.second_sequence else "text"
    return (
        f"the {texts} of {shared:,} of the {rows:,} dev rows ({shared / rows:.1%}) stands in the train file too (width and "
        "case aside): the dev score is better than that of new texts"
    )
