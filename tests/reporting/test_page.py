"""The page: what is on it, that nothing on it is run or fetched, and comparisons that name no winner by chance."""

import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from easytransfer_mtl.evaluation.row_table import RowTable, RowTexts, read_rows, write_rows
from easytransfer_mtl.files import read_json, sha256_of, write_json
from easytransfer_mtl.reporting.page import render
from easytransfer_mtl.reporting.row_list import LONGEST_TEXT, WORST_ROWS
from easytransfer_mtl.reporting.sources import read_source
from easytransfer_mtl.tasks import OCNLI, TNEWS, Task

VOID = ("meta", "link", "br", "circle", "rect", "line", "polyline", "col", "input")


class Page(HTMLParser):
    """Tags in their order, text, and whether every tag is closed."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text, self.open = "", list[str]()
        self.feed(html)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] not in ("style", "script"):
            self.text += data


def page_of(*folders: Path) -> Page:
    return Page(render([read_source(folder) for folder in folders]))


def test_a_run_is_whole(make_run: Callable[..., Path]) -> None:
    html = render([read_source(make_run("a"))])
    page = Page(html)
    for text in (
        "Training loss", "Score on the dev rows", "Learning rate", "learning_rate", "0.123", "1,234", "4 s", "教育",
        "Expected calibration error", "95 % bootstrap interval", "checkpoint 4",
    ):  # fmt: skip
        assert text in page.text, text
    assert "Weight in the objective" not in page.text  # it is constant
    assert "Differences" not in page.text and "decoded" not in page.text
    rows = [attributes["data-label"] for tag, attributes in page.tags if tag == "li" and "data-label" in attributes]
    assert len(rows) == 2 * WORST_ROWS
    losses = [float(value) for value in re.findall(r"loss (\d+\.\d+),", page.text)]
    assert losses[:WORST_ROWS] == sorted(losses[:WORST_ROWS], reverse=True)
    filters = re.findall(r'<option value="(\d+)">[^<]* \((\d+)\)</option>', html)
    assert sum(int(count) for _, count in filters) == len(rows)
    assert render([read_source(make_run("a"))]) == html


def test_nothing_is_fetched_from_anywhere(make_run: Callable[..., Path], make_average: Callable[..., Path]) -> None:
    page = page_of(make_run("a"), make_average("average"))
    for tag, attributes in page.tags:
        assert tag not in ("img", "iframe", "object", "embed", "base", "form")
        assert "src" not in attributes and not any(name.startswith("on") for name in attributes)
        assert (attributes.get("href") or "#").startswith(("#", "data:,"))
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    links = {str(attributes["href"])[1:] for tag, attributes in page.tags if tag == "a"}
    assert len(ids) == len(set(ids)) and links <= set(ids)


def test_texts_names_and_labels_are_no_markup(make_run: Callable[..., Path]) -> None:
    bad = "</div></style></script><script>alert('x')</script><img src=x onerror=y>\"'&{{ 7*7 }}"
    task = Task("Q", ("idx", "t", "label"), "t", (bad, "no"), label_names={bad: bad + "2", "no": "</option>"})
    folder = make_run("<b>run&", tasks=(task,))
    table = read_rows(folder / "evaluation/best")
    about = RowTexts([bad] * len(table.tasks[0].truth), [(bad,)] * len(table.tasks[0].truth), False, bad, None)
    write_rows(folder / "evaluation/best", RowTable(bad, "present", [replace(table.tasks[0], about=about)]))
    config = folder / "config.json"
    config.write_text('{"model_type": "<script>1</script>"}', encoding="utf-8")
    page = page_of(folder)
    assert [tag for tag, _ in page.tags].count("script") == 1 and "img" not in [tag for tag, _ in page.tags]
    assert bad in page.text and "<b>run&" in page.text and "decoded from token ids" in page.text


def test_a_difference_is_named_only_where_the_interval_excludes_zero(make_run: Callable[..., Path]) -> None:
    weak, strong, equal = make_run("weak", 2, 0.5), make_run("strong", 3, 0.95), make_run("equal", 5, 0.95)
    text = page_of(weak, strong, equal).text
    assert re.search(r"strong − weak\s.*?strong is better on these rows", text, re.DOTALL)
    between = text[text.index("equal − strong") :].split("\n\n\n")[0]
    assert "no difference shown: the interval holds 0" in text[text.index("equal − strong") :]
    assert "is better" not in between.split("holds 0")[0]


def test_the_order_of_the_runs_turns_the_difference_only(make_run: Callable[..., Path]) -> None:
    weak, strong = make_run("weak", 2, 0.5), make_run("strong", 3, 0.95)
    assert "strong is better on these rows" in page_of(weak, strong).text
    assert "strong is better on these rows" in page_of(strong, weak).text


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"tasks": (OCNLI,)}, "not compared: they have different tasks"),
        ({"tasks": (TNEWS, replace(OCNLI, label_enumerate_values=("2", "1", "0")))}, "other dev rows or labels of OCNLI"),
    ],
)
def test_other_tasks_or_rows_are_not_compared(
    more: dict[str, tuple[Task, ...]], message: str, make_run: Callable[..., Path]
) -> None:
    text = page_of(make_run("a"), make_run("b", 3, **more)).text
    assert message in text and "is better on these rows" not in text


def test_an_average_stands_beside_its_models(make_average: Callable[..., Path]) -> None:
    text = page_of(make_average("mean")).text
    assert "seed_1/best − mean" in text and "seed_2/best − mean" in text and "mean is better on these rows" in text


def test_runs_of_one_name_are_told_apart(make_run: Callable[..., Path]) -> None:
    first, second = make_run("x/run"), make_run("y/run", 3)
    assert f"{second} − {first}" in page_of(first, second).text


def test_of_many_labels_the_most_confused_are_shown(make_run: Callable[..., Path]) -> None:
    task = Task("Q", ("idx", "t", "label"), "t", tuple(f"L{number}" for number in range(200)))
    page = page_of(make_run("a", tasks=(task,)))
    assert "The 30 of 200 labels with the most confusions" in page.text


def test_every_type_and_metric_has_its_figures(make_run: Callable[..., Path], all_tasks: tuple[Task, ...]) -> None:
    html = render([read_source(make_run("a", 2, 0.8, tasks=all_tasks))])
    page = Page(html)
    for text in (
        "SPAM · AUC", "TOPICS · micro-F1", "GRADES · Spearman", "PLACES · entity F1", "ROC curves and their areas",
        "Scores by threshold, the chosen one marked", "the one with the best micro-F1 on its dev rows",
        "Which label in place",
        "Most common wrong predictions", "Predicted over true numbers", "Errors: predicted minus true", "By true number",
        "Entities by kind", "What became of the entities", "Most common wrong entities", "rows with the most wrong entities",
    ):  # fmt: skip
        assert text in page.text, text
    marks = [attributes["class"] for tag, attributes in page.tags if tag == "mark"]
    assert {"ok", "bad"} == set(marks)
    listed = [attributes for tag, attributes in page.tags if tag == "li" and "data-label" in attributes]
    rows = [str(attributes["data-label"]).split() for attributes in listed]
    assert len(rows) == len(all_tasks) * WORST_ROWS
    counts = [int(count) for _, count in re.findall(r'<option value="(\d+)">[^<]* \((\d+)\)</option>', html)]
    assert sum(counts) == sum(map(len, rows))  # a row is under all of its labels or kinds


def test_models_of_every_type_are_compared(make_run: Callable[..., Path], all_tasks: tuple[Task, ...]) -> None:
    weak, strong = (make_run(*each, tasks=all_tasks) for each in (("weak", 2, 0.4), ("strong", 3, 0.95)))
    text = page_of(weak, strong).text
    assert "strong is better on these rows" in text and "not compared" not in text
    assert all(task.name in text for task in all_tasks)


def test_files_without_probabilities_say_what_is_missing(
    make_run: Callable[..., Path], all_tasks: tuple[Task, ...], caplog: pytest.LogCaptureFixture
) -> None:
    news = replace(TNEWS, metric="auc")
    folder = make_run("a", tasks=(*all_tasks, news))
    rows = folder / "evaluation/best/rows.csv"
    text = rows.read_text(encoding="utf-8")
    rows.write_text("".join(f"{line.rpartition(',')[0]}\n" for line in text.splitlines()), encoding="utf-8")
    about = {"format_version": 1, "rows_sha256": sha256_of(rows)}
    write_json(rows.with_suffix(".json"), {**read_json(rows.with_suffix(".json")), **about})
    page = page_of(folder)
    assert "run evaluate again for the scores by threshold" in page.text and "Scores by threshold" not in page.text
    assert "SPAM · AUC" in page.text and "TNEWS · AUC" not in page.text
    assert "lacks the probabilities that the AUC of TNEWS is computed from; run evaluate again. Left out" in caplog.text


def test_long_texts_do_not_make_a_long_page(make_run: Callable[..., Path], all_tasks: tuple[Task, ...]) -> None:
    folder = make_run("a", 2, 0.6, tasks=all_tasks)
    table = read_rows(folder / "evaluation/best")
    for item in table.tasks:
        item.about.texts[:] = [("天 地" * 5000,) for _ in item.about.texts]
    before = len(render([read_source(folder)]))
    write_rows(folder / "evaluation/best", table)
    assert len(render([read_source(folder)])) < before + 2 * len(all_tasks) * WORST_ROWS * (LONGEST_TEXT + 10)
