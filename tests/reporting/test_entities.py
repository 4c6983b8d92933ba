"""True and predicted entities: matched as a reader would, counted as seqeval does, placed in their text."""

import numpy as np
import pytest
from seqeval.metrics import classification_report

from easytransfer_mtl.data.encoded_rows import encoded_labels
from easytransfer_mtl.evaluation.metrics import LabelScore, score_task
from easytransfer_mtl.evaluation.row_table import RowTexts, TaskRows
from easytransfer_mtl.reporting.entities import entities_of_rows, tagged_spans
from easytransfer_mtl.reporting.row_list import LONGEST_TEXT
from easytransfer_mtl.reporting.tag_figures import BEFORE_WRONG, tag_figures
from easytransfer_mtl.tasks import TAGS, Task

TASK = Task("NER", (), "t", ("O", "B-LOC", "I-LOC", "B-PER", "I-PER"), type=TAGS)


def rows_of(*rows: tuple[str, str, str]) -> TaskRows:
    """Rows of a text, its true and its predicted tags, each tag's sign one of ``O``, ``L``, ``l``, ``P`` and ``p``."""
    names = dict(zip("OLlPp", TASK.label_enumerate_values))
    texts, *tags = zip(*rows, strict=True)
    truth, predicted = (encoded_labels(TASK, [" ".join(names[sign] for sign in row) for row in part]) for part in tags)
    about = RowTexts([*map(str, range(len(rows)))], [(text,) for text in texts], True, "f", None)
    return TaskRows(TASK, about, truth, predicted, np.full(len(rows), 0.5), np.full(len(rows), 0.5))


@pytest.mark.parametrize(
    ("truth", "predicted", "verdicts"),
    [
        ("LlO", "LlO", ["right"]),
        ("LlO", "LOO", ["wrong boundary"]),
        ("LlO", "PpO", ["wrong kind"]),
        ("LlO", "OPp", ["wrong kind and boundary"]),
        ("LlO", "OOO", ["missed"]),
        ("OOO", "OOL", ["invented"]),
        ("LllO", "LPpO", ["wrong kind and boundary", "invented"]),
        ("LlPO", "LlLP", ["right", "wrong kind", "invented"]),
        ("OlOP", "OlPO", ["right", "invented", "missed"]),
    ],
)
def test_what_became_of_entities(truth: str, predicted: str, verdicts: list[str]) -> None:
    (row,) = entities_of_rows(rows_of(("x" * len(truth), truth, predicted)))
    assert [match.verdict for match in row.matches()] == verdicts


def test_scores_of_kinds_are_seqevals() -> None:
    random = np.random.default_rng(1)
    rows = rows_of(*[("x" * 6, *("".join(random.choice(list("OLlPp"), 6)) for _ in range(2))) for _ in range(30)])
    names = np.array(TASK.label_enumerate_values)
    wanted = classification_report(names[rows.truth].tolist(), names[rows.predicted].tolist(), output_dict=True)
    score = score_task(TASK, rows.truth, rows.predicted)
    assert isinstance(score, LabelScore)
    figures = tag_figures(rows, score)
    for line in figures.kinds:
        each = wanted[line.code]
        found = (line.precision, line.recall, line.f1, line.true)
        assert found == pytest.approx((each["precision"], each["recall"], each["f1-score"], each["support"]))
    total = figures.verdicts[-1].counts
    assert sum(total[:-1]) == sum(line.true for line in figures.kinds)
    assert sum(total) - total[-2] == sum(line.predicted for line in figures.kinds)
    counts = [[cell.count for cell in row] for row in figures.matrix.rows]
    assert sum(counts[-1]) == total[-1] and sum(row[-1] for row in counts) == total[-2]
    assert figures.worst.rows[0].about.count("invented") + figures.worst.rows[0].about.count("missed") > 0


def test_entities_stand_where_they_are_in_the_text() -> None:
    rows = rows_of(("去 东京城", "OLll", "OLlO"), ("李四", "Pp", "Pp"))
    score = score_task(TASK, rows.truth, rows.predicted)
    assert isinstance(score, LabelScore)
    figures = tag_figures(rows, score)
    first, second = figures.worst.rows
    marks = [[(piece.text, piece.kind, piece.right) for piece in line.pieces] for line in first.texts]
    assert marks == [
        [("去 ", "", True), ("东京城", "LOC", False), ("", "", True)],
        [("去 ", "", True), ("东京", "LOC", False), ("城", "", True)],
    ]
    assert [line.caption for line in first.texts] == ["true", "predicted"] and not first.right
    assert second.right and [line.caption for line in second.texts] == [""]
    (wrong,) = figures.wrong
    assert (wrong.truth, wrong.predicted, wrong.verdict) == ("东京城 (LOC)", "东京 (LOC)", "wrong boundary")


def test_of_a_long_text_the_part_with_the_first_wrong_entity_is_shown() -> None:
    size = 5 * LONGEST_TEXT
    rows = rows_of(("天" * size + "李四" + "地" * size, "O" * size + "Pp" + "O" * size, "O" * (2 * size + 2)))
    score = score_task(TASK, rows.truth, rows.predicted)
    assert isinstance(score, LabelScore)
    line = tag_figures(rows, score).worst.rows[0].texts[0]
    shown = [piece.text for piece in line.pieces]
    assert shown[:3] == ["...", "天" * BEFORE_WRONG, "李四"] and len("".join(shown)) == LONGEST_TEXT + 6


@pytest.mark.parametrize(
    ("text", "unit", "tags", "parts"),
    [
        ("东 京", "character", 3, "东| |京"),
        ("东 京", "character", 2, "东|京"),
        ("东 京", "character", 1, "东"),
        ("❤\ufe0f东\u200b京", "character", 3, "❤|东|京"),
        ("e\u0301 东", "character", 3, "e|\u0301|东"),
        ("ab cd  e", "word", 3, "ab|cd|e"),
        ("ab cd", "word", 1, "ab"),
        ("东", "character", 2, None),
        ("ab", "word", 2, None),
    ],
)
def test_tags_are_those_of_what_has_tokens(text: str, unit: str, tags: int, parts: str | None) -> None:
    spans = tagged_spans(text, unit, tags)
    assert (spans and "|".join(text[start:end] for start, end in spans)) == parts
