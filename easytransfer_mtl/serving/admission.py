"""Which requests come in: not too many at a time, not too large, not too slow; decided before a body is parsed."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from fastapi.responses import JSONResponse

from easytransfer_mtl.serving.limits import Limits

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]


class _Refused(Exception):
    """A request that is answered with an error instead of being handed on."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Admission:
    """ASGI middleware that hands on requests with a complete body within the limits, and answers all others itself."""

    def __init__(self, app: App, limits: Limits) -> None:
        """Takes the application and its limits."""
        self._app, self._limits = app, limits
        self._inside = 0

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Handles one request; those without a body are handed on as they are, so that the server's state can be asked."""
        if scope["type"] != "http" or scope["method"] in ("GET", "HEAD"):
            await self._app(scope, receive, send)
            return
        if self._inside >= self._limits.requests:
            message = f"{self._inside:,} requests are being answered or wait, which is the limit; try again in a moment."
            await self._refuse(_Refused(503, message), scope, receive, send)
            return
        self._inside += 1
        try:
            await self._handle(scope, receive, send)
        finally:
            self._inside -= 1

    async def _handle(self, scope: Message, receive: Receive, send: Send) -> None:
        seconds = self._limits.seconds
        try:
            body = await asyncio.wait_for(self._body(scope, receive), seconds)
        except asyncio.TimeoutError:
            late = _Refused(408, f"The request's body was not complete after {seconds:g} seconds.")
            await self._refuse(late, scope, receive, send)
            return
        except _Refused as refused:
            await self._refuse(refused, scope, receive, send)
            return
        if body is None:
            return
        waiting: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]
        gone = asyncio.ensure_future(_drained(receive))

        async def receive_whole() -> Message:
            if waiting:
                return waiting.pop()
            await asyncio.shield(gone)
            return {"type": "http.disconnect"}

        async def send_in_time(message: Message) -> None:
            await asyncio.wait_for(send(message), seconds)

        answer = asyncio.ensure_future(self._app(scope, receive_whole, send_in_time))
        try:
            await asyncio.wait({answer, gone}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            gone.cancel()
            if not answer.done():  # nobody waits for it any more, so that the model need not begin with it
                answer.cancel()
        # A client that does not take its answer is left.
        with contextlib.suppress(asyncio.TimeoutError, asyncio.CancelledError):
            await answer

    async def _body(self, scope: Message, receive: Receive) -> bytes | None:
        """Returns the whole body; None if the client has gone."""
        most = self._limits.body_bytes
        length = dict(scope["headers"]).get(b"content-length", b"0")
        body, more = bytearray(), True
        while more and len(body) <= most and int(length) <= most:
            message = await receive()
            if message["type"] == "http.disconnect":
                return None
            body += message.get("body", b"")
            more = message.get("more_body", False)
        if more or len(body) > most:
            raise _Refused(413, f"The request's body is larger than {most:,} bytes; send several requests.")
        return bytes(body)

    async def _refuse(self, refused: _Refused, scope: Message, receive: Receive, send: Send) -> None:
        """Answers at once; then passes over the rest of the body, as a client that still sends could not read the answer."""
        headers = {"connection": "close", **({"retry-after": "1"} if refused.status == 503 else {})}

        async def send_and_drain(message: Message) -> None:
            if message["type"] == "http.response.body":
                await send({**message, "more_body": True})
                with contextlib.suppress(asyncio.TimeoutError):
                    await asyncio.wait_for(_drained(receive), 0 if refused.status == 408 else self._limits.seconds)
                message = {"type": "http.response.body", "body": b""}
            await send(message)

        response = JSONResponse({"error": str(refused)}, refused.status, headers)
        await response(scope, receive, send_and_drain)


async def _drained(receive: Receive) -> None:
    while True:
        message = await receive()
        if message["type"] == "http.disconnect" or not message.get("more_body", False):
            return
