"""The server as a process: right answers, and requests that are wrong, huge, slow or many, which it outlives."""

import asyncio
import http.client
import json
import re
import signal
import socket
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from stored import store_model
from warm_processes import SECONDS, WarmProcess

pytest.importorskip("fastapi")
pytest.importorskip("uvicorn")

MOST_REQUESTS, MOST_BYTES = 40, 20_000
LIMITS = [
    f"--max_requests={MOST_REQUESTS}", f"--max_body_bytes={MOST_BYTES}", "--max_texts=8", "--max_characters=100",
    "--request_seconds=5",
]  # fmt: skip
ONE = {"task": "TNEWS", "texts": "天地"}


class Server:
    """A server on a free port."""

    def __init__(self, words: list[str | Path], cwd: Path) -> None:
        self.process = WarmProcess(["serve", *words, "--port=0"], cwd)
        self.process.wait_until(lambda: "Ctrl-C" in self.process.stdout, "the address")
        self.port = int(re.findall(r"at http://127\.0\.0\.1:(\d+) ", self.process.stdout)[0])

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        """Returns the status, and the answer to a request, read as JSON if it is JSON."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=SECONDS)
        content = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        connection.request(method, path, content, {"Content-Type": "application/json", **headers})
        with connection.getresponse() as response:
            text = response.read().decode()
            is_json = response.headers["Content-Type"] == "application/json"
        connection.close()
        return response.status, json.loads(text) if is_json else text

    def predict(self, body: Any) -> tuple[int, Any]:
        """Returns the status and the answer of POST /predict."""
        return self.ask("POST", "/predict", body)

    def begin(self, more: str = "") -> socket.socket:
        """Sends the header of a request, waits until the server wants its body, and returns the connection."""
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=SECONDS)
        body = len(json.dumps(ONE))
        head = f"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: {body}\r\nExpect: 100-continue\r\n{more}\r\n"
        connection.sendall(head.encode())
        assert connection.recv(1000).startswith(b"HTTP/1.1 100")
        return connection

    def stop(self, number: int) -> None:
        """Sends a signal, and checks the exit status and the last words."""
        self.process.send_signal(number)
        assert self.process.wait() == 128 + number
        said = self.process.stderr
        assert re.search(rf"{signal.Signals(number).name}: stopped. Requests answered: [\d,]+\.$", said.strip()), said
        assert "Traceback" not in said


@pytest.fixture(scope="module")
def runs(encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two runs with random weights."""
    folders = [tmp_path_factory.mktemp("runs") / name for name in "ab"]
    for seed, folder in enumerate(folders):
        store_model(folder, encoder, seed, reads_texts=True)
    return folders


@pytest.fixture(scope="module")
def server(runs: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with narrow limits, which must end well at SIGTERM after all tests."""
    server = Server([runs[0], *LIMITS], tmp_path_factory.mktemp("server"))
    try:
        yield server
        server.stop(signal.SIGTERM)
    finally:
        server.process.kill()


@pytest.fixture(scope="module")
def wanted(runs: list[Path]) -> Callable[..., Any]:
    """Task or None, texts -> what ``load`` says of them."""
    from easytransfer_mtl import load

    model = load(runs[0])

    def answer(task: str | None, texts: Any) -> dict[str, Any]:
        found = model.predict_all(texts) if task is None else {task: model.predict(task, texts)}
        return {
            name: [item.to_json() for item in items] if isinstance(items, list) else items.to_json()
            for name, items in found.items()
        }

    return answer


def same(found: Any, wanted: Any) -> bool:
    """Compares answers; rows that run beside others are rounded otherwise in their last bits."""
    if isinstance(wanted, dict):
        return list(found) == list(wanted) and all(same(found[key], wanted[key]) for key in wanted)
    if isinstance(wanted, list):
        return len(found) == len(wanted) and all(map(same, found, wanted))
    return found == (pytest.approx(wanted, rel=1e-4, abs=1e-7) if isinstance(wanted, float) else wanted)


@pytest.mark.parametrize(
    ("task", "texts"),
    [
        ("TNEWS", "天地人"),
        ("OCEMOTION", ["天", "", "水火" * 40]),
        ("OCNLI", [["天", "地"], ["山水", "火"]]),
        (None, "我很高兴"),
        (None, ["天", "地"]),
        (None, [["天", "地"]]),
    ],
)
def test_the_answers_are_those_of_load(server: Server, wanted: Callable[..., Any], task: str | None, texts: Any) -> None:
    status, found = server.predict({"task": task, "texts": texts})
    rows = [tuple(row) if isinstance(row, list) else row for row in texts] if isinstance(texts, list) else texts
    assert status == 200 and same(found["results"], wanted(task, rows))


def test_what_it_says_of_itself(server: Server) -> None:
    status, found = server.ask("GET", "/tasks")
    assert status == 200 and [(task["name"], task["texts"]) for task in found["tasks"]] == [
        ("TNEWS", 1), ("OCEMOTION", 1), ("OCNLI", 2),
    ]  # fmt: skip
    assert found["tasks"][0]["labels"]["108"] == "教育" and next(iter(found["tasks"][0]["labels"])) == "115"
    status, found = server.ask("GET", "/health")
    assert (status, found["status"], found["waiting"]) == (200, "ok", 0)
    status, found = server.ask("GET", "/openapi.json")
    assert status == 200 and set(found["paths"]) == {"/predict", "/tasks", "/health"}


def test_the_page_and_its_parts_name_no_other_place(server: Server) -> None:
    for path in ("/", "/page.css", "/page.js"):
        status, text = server.ask("GET", path)
        assert status == 200 and text and "//" not in re.sub(r"^\s*//.*", "", text, flags=re.MULTILINE)
        assert "innerHTML" not in text
    assert server.ask("GET", "/docs")[0] == 404


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        (b'{"texts": ', 400, "The body is no JSON: .* at character"),
        (b"\xff\xfe\xff", 400, "The body is no JSON"),
        (b"[" * 10_000, 400, "The body is no JSON"),
        (b"", 422, "The body must be an object"),
        ([1], 422, r"The body must be an object .*; found \[1\]"),
        ({}, 422, "texts is missing"),
        ({"texts": "天", "top": 3}, 422, "'top' is not known; the body has the keys task and texts"),
        ({"texts": "天", "task": 3}, 422, "task is 3; it must be a task's name"),
        ({"texts": "天", "task": "NEWS"}, 422, "No task is called 'NEWS'"),
        ({"texts": 3}, 422, "texts is 3"),
        ({"texts": []}, 422, "texts is an empty list"),
        ({"texts": ["天", 3]}, 422, "row 1 .* is 3"),
        ({"texts": ["天"] * 9}, 422, "texts has 9 rows; a request may have 8 at most"),
        ({"texts": "天" * 101}, 422, "row 0 .* has 101 characters; a text may have 100 at most"),
        (b" " * (MOST_BYTES + 1), 413, "larger than 20,000 bytes"),
        (b" " * 30_000_000, 413, "larger than 20,000 bytes"),
    ],
    ids=lambda value: None if isinstance(value, (bytes, dict)) and len(value) > 99 else repr(value)[:40],
)
def test_what_is_wrong_is_said_in_a_sentence(server: Server, body: Any, status: int, message: str) -> None:
    found = server.predict(body)
    assert (found[0], list(found[1])) == (status, ["error"]) and re.search(message, found[1]["error"]), found
    assert server.predict(ONE)[0] == 200


def test_a_body_of_unknown_length_is_bounded_too(server: Server) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=SECONDS)
    connection.request("POST", "/predict", (b" " * 10_000 for _ in range(500)), encode_chunked=True)
    assert connection.getresponse().status == 413
    connection.close()


def test_other_kinds_of_request(server: Server) -> None:
    assert server.ask("GET", "/nothing")[0] == 404 and server.ask("DELETE", "/predict", ONE)[0] == 405
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    status, found = server.ask("POST", "/predict", ONE, **form)
    assert status == 422 and "sent as Content-Type: application/json" in found["error"]


def test_a_client_that_stalls_is_left_and_holds_nobody_up(server: Server) -> None:
    silent, slow = socket.create_connection(("127.0.0.1", server.port), timeout=SECONDS), server.begin()
    silent.sendall(b"P")
    slow.sendall(b"{")
    assert server.predict(ONE)[0] == 200
    answer = slow.recv(10_000)
    assert answer.startswith(b"HTTP/1.1 408") and b"not complete after 5 seconds" in answer + slow.recv(10_000)
    assert silent.recv(100) == b""
    silent.close()
    slow.close()


def test_requests_beyond_the_limit_are_refused_and_the_next_ones_are_not(server: Server) -> None:
    held = [server.begin() for _ in range(MOST_REQUESTS)]
    status, found = server.predict(ONE)
    assert status == 503 and "40 requests are being answered or wait, which is the limit" in found["error"]
    assert server.ask("GET", "/health")[0] == 200
    for connection in held:
        connection.close()
    while (status := server.predict(ONE)[0]) == 503:
        pass
    assert status == 200


def test_many_clients_at_once_each_get_their_own_answer(server: Server, wanted: Callable[..., Any]) -> None:
    texts = [chr(ord("一") + number) * (1 + number % 9) for number in range(200)]
    answers = wanted("TNEWS", texts)["TNEWS"]

    def asked(text: str) -> Any:
        while (found := server.predict({"task": "TNEWS", "texts": text}))[0] == 503:
            pass
        return found

    with ThreadPoolExecutor(200) as pool:
        for (status, found), answer in zip(pool.map(asked, texts), answers, strict=True):
            assert status == 200 and same(found["results"], {"TNEWS": answer})
    assert server.ask("GET", "/health")[1]["waiting"] == 0


def test_a_thousand_requests_at_once_are_answered_or_refused(server: Server) -> None:
    body = json.dumps(ONE).encode()
    request = b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nConnection: close\r\n"
    request += b"Content-Length: %d\r\n\r\n" % len(body) + body

    async def ask() -> str:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(request)
            answer = await reader.read()
            writer.close()
        except OSError:  # as many connections as the machine lets a process have
            return "no connection"
        return answer.split(b" ", 2)[1].decode()

    async def ask_often() -> list[str]:
        return await asyncio.gather(*(ask() for _ in range(1000)))

    found = Counter(asyncio.run(asyncio.wait_for(ask_often(), SECONDS)))
    assert set(found) <= {"200", "503", "no connection"} and found["200"] >= MOST_REQUESTS, found
    assert server.predict(ONE)[0] == 200


def test_an_average_is_served_and_a_request_that_has_begun_is_answered_before_the_end(
    runs: list[Path], tmp_path: Path
) -> None:
    from easytransfer_mtl import load

    server = Server(["--checkpoints", ",".join(map(str, runs)), "--checkpoint_weights=1,3"], tmp_path)
    try:
        connection = server.begin("Content-Type: application/json\r\n")
        server.process.send_signal(signal.SIGINT)
        connection.sendall(json.dumps(ONE).encode())
        answer = http.client.HTTPResponse(connection)
        answer.begin()
        assert answer.status == 200
        wanted = load(runs, weights=[1, 3]).predict("TNEWS", ONE["texts"]).to_json()
        assert same(json.loads(answer.read())["results"], {"TNEWS": wanted})
        assert server.process.wait() == 128 + signal.SIGINT
        assert "SIGINT: stopped. Requests answered: 1." in server.process.stderr and "Traceback" not in server.process.stderr
    finally:
        server.process.kill()


def test_a_port_that_is_taken_is_said_before_the_model_is_loaded(
    server: Server, run: Callable[..., Any], tmp_path: Path
) -> None:
    done = run("serve", tmp_path / "no_run", f"--port={server.port}")
    assert done.returncode == 2 and f"--port={server.port}: Address already in use" in done.stderr


def test_missing_packages_are_named(tmp_path: Path) -> None:
    script = tmp_path / "without.py"
    script.write_text(
        "import sys\nsys.modules['fastapi'] = None\nfrom easytransfer_mtl.__main__ import main\n"
        "sys.exit(main(sys.argv[1:]))\n",
        encoding="utf-8",
    )
    done = WarmProcess(["serve", "run"], tmp_path, script).finish()
    assert done.returncode == 2 and "serve needs fastapi: pip install 'easytransfer_mtl[serve]'" in done.stderr
