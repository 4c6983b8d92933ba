"""Requests whose clients leave are left, too."""

import asyncio
from typing import Any

from easytransfer_mtl.serving.admission import Admission, Message
from easytransfer_mtl.serving.limits import Limits

SCOPE: dict[str, Any] = {"type": "http", "method": "POST", "headers": [(b"content-length", b"2")]}


async def _answered(leaves: bool) -> tuple[list[str], int]:
    """Returns what happened to a request whose client leaves before the answer or stays, and how many are inside then."""
    seen: list[str] = []
    left = asyncio.Event()
    messages: list[Message] = [{"type": "http.request", "body": b"{}", "more_body": False}]

    async def receive() -> Message:
        if messages:
            return messages.pop()
        await left.wait()
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        seen.append(message["type"])

    async def app(scope: Message, take: Any, give: Any) -> None:
        assert (await take())["body"] == b"{}"
        seen.append("began")
        if leaves:
            left.set()
        try:
            await asyncio.sleep(0 if not leaves else 60)
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise
        await give({"type": "http.response.start"})

    admission = Admission(app, Limits())
    await admission(SCOPE, receive, send)
    return seen, admission._inside


def test_the_answer_to_a_client_that_left_is_not_computed() -> None:
    assert asyncio.run(_answered(leaves=True)) == (["began", "cancelled"], 0)


def test_a_client_that_stays_gets_its_answer() -> None:
    assert asyncio.run(_answered(leaves=False)) == (["began", "http.response.start"], 0)
