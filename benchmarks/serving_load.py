"""``python -m benchmarks.serving_load RUN``: ``serve`` under load, beside a server that runs the model once a request.

Both are processes on this machine with the same model, and answer the same requests in turn, round by round: one text each,
of the lengths of the contest's TNEWS and OCEMOTION rows, from clients that ask again as soon as they are answered. The other
server is about the shortest that FastAPI allows: a coroutine that calls ``model.predict``.
"""

import http.client
import json
import re
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from benchmarks.lengths import stored_histograms
from benchmarks.machine import machine_facts
from easytransfer_mtl.seeding import generator

CLIENTS, REQUESTS, ROUNDS = (1, 8, 32), 160, 3
SERVERS = {
    "serve": ["-m", "easytransfer_mtl", "serve", "--port=0", "--predict_checkpoint_path={run}"],
    "plain": ["-m", "benchmarks.serving_load", "{run}", "plain"],
}
SECONDS = 300


def main(run: str) -> None:
    """Prints a table of p50, p99 and rows a second, medians over the rounds, and what it was measured on."""
    bodies = [json.dumps({"task": task, "texts": text}).encode() for task, text in random_texts(REQUESTS)]
    found: dict[tuple[str, int], list[tuple[float, float, float]]] = {}
    with running({name: [word.format(run=run) for word in words] for name, words in SERVERS.items()}) as ports:
        for port in ports.values():
            measure(port, bodies[:40], 4)
        for _ in range(ROUNDS):
            for clients in CLIENTS:
                for name, port in ports.items():
                    found.setdefault((name, clients), []).append(measure(port, bodies, clients))
    print(f"{'server':<8}{'clients':>8}{'p50 ms':>10}{'p99 ms':>10}{'rows/s':>10}")
    for (name, clients), rounds in sorted(found.items(), key=lambda item: item[0][1]):
        middle = [statistics.median(values) for values in zip(*rounds, strict=True)]
        print(f"{name:<8}{clients:>8}{middle[0]:>10.1f}{middle[1]:>10.1f}{middle[2]:>10.1f}")
    print(json.dumps(machine_facts()))


def random_texts(count: int) -> list[tuple[str, str]]:
    """Returns tasks with one text and invented texts of their rows' lengths."""
    random, histograms = generator(0, "serving_load"), stored_histograms()
    found = []
    for number in range(count):
        task = ("TNEWS", "OCEMOTION")[number % 2]
        lengths, weights = np.array(list(histograms[task])), np.array(list(histograms[task].values()), float)
        length = int(random.choice(lengths, p=weights / weights.sum())) - 2
        found.append((task, "".join(map(chr, random.integers(ord("一"), ord("龥"), max(1, length))))))
    return found


@contextmanager
def running(commands: dict[str, list[str]]) -> Iterator[dict[str, int]]:
    """Starts servers, waits for the lines with their addresses, and yields name -> port."""
    processes = {
        name: subprocess.Popen([sys.executable, *words], stdout=subprocess.PIPE, text=True)
        for name, words in commands.items()
    }
    try:
        ports = {}
        for name, process in processes.items():
            assert process.stdout is not None
            match = re.search(r"http://127\.0\.0\.1:(\d+)", process.stdout.readline())
            if not match:
                raise SystemExit(f"{name} does not start.")
            ports[name] = int(match[1])
        yield ports
    finally:
        for process in processes.values():
            process.terminate()
            process.wait(SECONDS)


def measure(port: int, bodies: list[bytes], clients: int) -> tuple[float, float, float]:
    """Returns p50 and p99 of the time to an answer, in ms, and rows a second."""
    waits: list[float] = []
    statuses: set[int] = set()
    left = iter(bodies)
    taking = threading.Lock()

    def ask() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=SECONDS)
        while True:
            with taking:
                body = next(left, None)
            if body is None:
                return
            started = time.perf_counter()
            connection.request("POST", "/predict", body, {"Content-Type": "application/json"})
            response = connection.getresponse()
            response.read()
            statuses.add(response.status)
            waits.append(time.perf_counter() - started)

    threads = [threading.Thread(target=ask) for _ in range(clients)]
    started = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - started
    if statuses != {200}:
        raise SystemExit(f"answers of status {sorted(statuses)}")
    p50, p99 = np.percentile(waits, [50, 99])
    return 1000 * p50, 1000 * p99, len(bodies) / seconds


def serve_plainly(run: str) -> None:
    """Is the server that the others are compared with."""
    import uvicorn
    from fastapi import Body, FastAPI

    from easytransfer_mtl import load
    from easytransfer_mtl.serving.address import bound, url_of

    app, model = FastAPI(), load(run)

    @app.post("/predict")
    async def predict(task: str = Body(), texts: str = Body()) -> dict[str, object]:
        return {"results": {task: model.predict(task, texts).to_json()}}

    listener = bound("127.0.0.1", 0)
    print(url_of(listener), flush=True)
    uvicorn.run(app, fd=listener.fileno(), log_level="warning")


if __name__ == "__main__":
    (serve_plainly if sys.argv[2:] == ["plain"] else main)(sys.argv[1])
