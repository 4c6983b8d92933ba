"""One thread runs the model; requests that wait for it at the same moment are joined into batches."""

import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from easytransfer_mtl.tasks import Task

Row = tuple[str, ...]
Found = TypeVar("Found")
Predict = Callable[[Sequence[Task], Sequence[Row]], dict[str, list[Found]]]


@dataclass(eq=False)
class _Waiting(Generic[Found]):
    tasks: tuple[Task, ...]
    rows: list[Row]
    answer: "Future[dict[str, list[Found]]]" = field(default_factory=Future)


class Batcher(Generic[Found]):
    """Runs a model for many requests; nothing waits longer than the model's work on what came before.

    The oldest request is always in the next batch. With it go, in their order, the others that wait for the same tasks and
    fit beside it.
    """

    def __init__(self, predict: Predict[Found], batch_size: int) -> None:
        """Starts the thread.

        Args:
            predict: tasks and N rows -> task name -> N results; called from the thread only.
            batch_size: most rows of joined requests; a single request may have more.
        """
        self._predict, self._batch_size = predict, batch_size
        self._waiting: deque[_Waiting[Found]] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._work, name="model", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """Number of requests that the model has not begun with."""
        return len(self._waiting)

    def submit(self, tasks: tuple[Task, ...], rows: list[Row]) -> "Future[dict[str, list[Found]]]":
        """Returns the future results, task name -> one per row; a future that is cancelled before its turn costs nothing."""
        request: _Waiting[Found] = _Waiting(tasks, rows)
        with self._changed:
            if self._closed:
                request.answer.cancel()
            else:
                self._waiting.append(request)
                self._changed.notify()
        return request.answer

    def close(self) -> None:
        """Cancels what waits, and waits for the batch that runs."""
        with self._changed:
            self._closed = True
            for request in self._waiting:
                request.answer.cancel()
            self._waiting.clear()
            self._changed.notify()
        self._thread.join()

    def _work(self) -> None:
        while group := self._next_group():
            self._answer([request for request in group if request.answer.set_running_or_notify_cancel()])

    def _next_group(self) -> list[_Waiting[Found]]:
        """Waits for requests and takes those of the next batch; takes none once closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closed)
            if not self._waiting:
                return []
            group, others = [self._waiting.popleft()], deque[_Waiting[Found]]()
            rows = len(group[0].rows)
            for request in self._waiting:
                if request.tasks == group[0].tasks and rows + len(request.rows) <= self._batch_size:
                    group.append(request)
                    rows += len(request.rows)
                else:
                    others.append(request)
            self._waiting = others
            return group

    def _answer(self, group: list[_Waiting[Found]]) -> None:
        if not group:
            return
        try:
            found = self._predict(group[0].tasks, [row for request in group for row in request.rows])
        except Exception as error:
            if len(group) == 1:
                group[0].answer.set_exception(error)
                return
            # Whichever of them is the cause must not fail the others.
            for request in group:
                self._answer([request])
            return
        start = 0
        for request in group:
            end = start + len(request.rows)
            request.answer.set_result({name: results[start:end] for name, results in found.items()})
            start = end
