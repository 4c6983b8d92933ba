"""Serves a loaded model until a signal stops it."""

import asyncio
import contextlib
import functools
import logging
import signal
import socket
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from easytransfer_mtl.errors import Stopped
from easytransfer_mtl.evaluation.loaded_model import LoadedModel
from easytransfer_mtl.runs.callbacks import stopping_signals
from easytransfer_mtl.serving.address import is_loopback, url_of
from easytransfer_mtl.serving.app import make_app
from easytransfer_mtl.serving.batching import Batcher
from easytransfer_mtl.serving.limits import Limits

SECONDS_TO_FINISH = 10
"""Time that requests have to be answered once a signal has come."""


class _Connection(H11Protocol):
    """Closes a connection that sends no complete header of a request in time."""

    def __init__(self, *arguments: Any, seconds: float, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._seconds = seconds
        self._look: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override, unused-ignore]
        super().connection_made(transport)
        self._look_later()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._look:
            self._look.cancel()
        super().connection_lost(exc)

    def _look_later(self) -> None:
        before = self.cycle if self._is_idle() else self
        self._look = self.loop.call_later(self._seconds, self._close_if_silent, before)

    def _close_if_silent(self, before: object) -> None:
        if self._is_idle() and self.cycle is before:
            self.transport.close()
        else:
            self._look_later()

    def _is_idle(self) -> bool:
        return self.cycle is None or self.cycle.response_complete


class _Server(uvicorn.Server):
    """Remembers the signal that stops it, instead of raising it again at the end."""

    received: int | None = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self.received = self.received or sig
        super().handle_exit(sig, frame)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self.handle_exit) for number in stopping_signals()}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def serve(model: LoadedModel, batch_size: int, listener: socket.socket, limits: Limits) -> None:
    """Answers requests until a signal comes, then those that have come before it.

    Args:
        model: the model.
        batch_size: most rows of joined requests.
        listener: the result of ``bound``; it is closed at the end.
        limits: what a request may ask for.

    Raises:
        Stopped: SIGINT, SIGTERM or SIGHUP ended it.
    """
    url = url_of(listener)
    if not is_loopback(listener):
        logging.warning("Whoever reaches this machine at %s can use the model; nobody is asked for a password.", url)
    batcher = Batcher(model.results, batch_size)
    config = uvicorn.Config(
        make_app(batcher, model.tasks, limits),
        http=functools.partial(_Connection, seconds=limits.seconds),  # type: ignore[arg-type, unused-ignore]
        ws="none",
        loop="asyncio",
        lifespan="off",
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=SECONDS_TO_FINISH,
    )
    server = _Server(config)
    print(f"{', '.join(task.name for task in model.tasks)} at {url} (Ctrl-C stops)", flush=True)
    try:
        server.run(sockets=[listener])
    finally:
        batcher.close()
        listener.close()
    if server.received is not None:
        name = signal.Signals(server.received).name
        raise Stopped(f"{name}: stopped. Requests answered: {server.server_state.total_requests:,}.", server.received)
