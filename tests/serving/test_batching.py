"""Requests that wait together run together; whoever fails, fails alone."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError

import pytest

from easytransfer_mtl.serving.batching import Batcher, Row
from easytransfer_mtl.tasks import OCEMOTION, OCNLI, TNEWS, Task

BATCH_SIZE = 4


class SlowModel:
    """Remembers its batches; its first one waits until the test lets it go on."""

    def __init__(self) -> None:
        self.batches: list[tuple[list[str], list[Row]]] = []
        self.begun, self.go_on = threading.Event(), threading.Event()

    def predict(self, tasks: Sequence[Task], rows: Sequence[Row]) -> dict[str, list[str]]:
        self.batches.append(([task.name for task in tasks], list(rows)))
        self.begun.set()
        assert self.go_on.wait(60)
        if ("bad",) in rows:
            raise ValueError("a bad row")
        return {task.name: [f"{task.name} {'+'.join(row)}" for row in rows] for task in tasks}


@pytest.fixture
def model() -> SlowModel:
    return SlowModel()


@pytest.fixture
def busy(model: SlowModel) -> Batcher[str]:
    """A batcher whose model is in the midst of a first batch."""
    batcher = Batcher(model.predict, BATCH_SIZE)
    batcher.submit((TNEWS,), [("first",)])
    assert model.begun.wait(60)
    return batcher


def finish(model: SlowModel, batcher: Batcher[str], last: Callable[[], object]) -> None:
    model.go_on.set()
    last()
    batcher.close()


def test_waiting_requests_of_the_same_tasks_are_joined_up_to_the_batch_size(model: SlowModel, busy: Batcher[str]) -> None:
    given = [((TNEWS,), 2), ((OCNLI,), 1), ((TNEWS,), 1), ((TNEWS,), 2), ((TNEWS,), 1), ((TNEWS, OCEMOTION), 1)]
    answers = [
        busy.submit(tasks, [(f"{number}{row}",) for row in range(rows)]) for number, (tasks, rows) in enumerate(given)
    ]
    assert busy.waiting == 6
    finish(model, busy, lambda: [answer.result(60) for answer in answers])
    assert model.batches[1:] == [
        (["TNEWS"], [("00",), ("01",), ("20",), ("40",)]),
        (["OCNLI"], [("10",)]),
        (["TNEWS"], [("30",), ("31",)]),
        (["TNEWS", "OCEMOTION"], [("50",)]),
    ]
    assert answers[2].result() == {"TNEWS": ["TNEWS 20"]} and answers[3].result() == {"TNEWS": ["TNEWS 30", "TNEWS 31"]}
    assert answers[5].result() == {"TNEWS": ["TNEWS 50"], "OCEMOTION": ["OCEMOTION 50"]}


def test_a_request_of_more_rows_than_a_batch_runs_alone(model: SlowModel, busy: Batcher[str]) -> None:
    large, small = busy.submit((TNEWS,), [("a",)] * 9), busy.submit((TNEWS,), [("b",)])
    finish(model, busy, lambda: small.result(60))
    assert [len(rows) for _, rows in model.batches] == [1, 9, 1] and len(large.result()["TNEWS"]) == 9


def test_a_request_that_fails_fails_alone(model: SlowModel, busy: Batcher[str]) -> None:
    answers = [busy.submit((TNEWS,), [(text,)]) for text in ("a", "bad", "b")]
    finish(model, busy, lambda: answers[2].result(60))
    assert [answers[place].result()["TNEWS"] for place in (0, 2)] == [["TNEWS a"], ["TNEWS b"]]
    with pytest.raises(ValueError, match="a bad row"):
        answers[1].result()


def test_a_cancelled_request_is_not_run(model: SlowModel, busy: Batcher[str]) -> None:
    cancelled, kept = busy.submit((TNEWS,), [("a",)]), busy.submit((TNEWS,), [("b",)])
    assert cancelled.cancel()
    finish(model, busy, lambda: kept.result(60))
    assert [rows for _, rows in model.batches] == [[("first",)], [("b",)]]


def test_closing_cancels_what_waits_and_lets_the_running_batch_end(model: SlowModel, busy: Batcher[str]) -> None:
    waiting = busy.submit((TNEWS,), [("a",)])
    closing = threading.Thread(target=busy.close)
    closing.start()
    with pytest.raises(CancelledError):
        waiting.result(60)
    assert busy.submit((TNEWS,), [("b",)]).cancelled() and closing.is_alive()
    model.go_on.set()
    closing.join(60)
    assert not closing.is_alive() and [rows for _, rows in model.batches] == [[("first",)]]
