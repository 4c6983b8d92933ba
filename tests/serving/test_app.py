"""POST /predict in this process: the JSON of a model that tags."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from stored import store_model

from easytransfer_mtl.evaluation.loaded_model import LoadedModel, load
from easytransfer_mtl.serving.batching import Batcher
from easytransfer_mtl.serving.limits import Limits
from easytransfer_mtl.tasks import TAGS, Task

pytest.importorskip("fastapi")

WORDS = Task("NER", (), "text", ("O", "B-A", "I-A"), type=TAGS, unit="word")
CHARACTERS = Task("PARTS", (), "text", ("O", "B-A", "I-A"), type=TAGS)


@pytest.fixture(scope="module")
def model(flat_encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    folder = tmp_path_factory.mktemp("tagging") / "run"
    store_model(folder, flat_encoder, 1, (WORDS, CHARACTERS), reads_texts=True)
    return load(folder)


@pytest.fixture(scope="module")
def app(model: LoadedModel) -> Iterator[Any]:
    from easytransfer_mtl.serving.app import make_app

    batcher = Batcher(model.results, 8)
    yield make_app(batcher, model.tasks, Limits(texts=4, characters=40))
    batcher.close()


def post(app: Any, body: Any) -> tuple[int, Any]:
    """Returns status and JSON of the answer to POST /predict."""
    content, sent = json.dumps(body).encode(), list[dict[str, Any]]()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(content)).encode())]
    scope = {"type": "http", "method": "POST", "path": "/predict", "headers": headers, "query_string": b"", "root_path": ""}

    parts = [{"type": "http.request", "body": content, "more_body": False}]

    async def receive() -> dict[str, Any]:
        if not parts:
            await asyncio.Event().wait()  # the client stays
        return parts.pop()

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    asyncio.run(app(scope, receive, send))
    return sent[0]["status"], json.loads(b"".join(message.get("body", b"") for message in sent))


def test_tags_and_entities_of_a_text(app: Any, model: LoadedModel) -> None:
    text = "天地 人日 月 山水"
    status, answer = post(app, {"texts": text})
    assert status == 200 and answer["results"].keys() == {"NER", "PARTS"}
    for task, tags in (("NER", 4), ("PARTS", len(text))):
        found, wanted = answer["results"][task], model.predict(task, text)
        assert not isinstance(wanted, list) and found == wanted.to_json()
        assert found.keys() == {"tags", "entities"} and len(found["tags"]) == tags
        for entity in found["entities"]:
            assert entity["text"] == text[entity["start"] : entity["end"]] and entity["label"] == "A"
    assert any(found["entities"] for found in answer["results"].values())


def test_words_that_are_known_already(app: Any, model: LoadedModel) -> None:
    status, answer = post(app, {"task": "NER", "texts": [["天地", "人日", "月"], ["山水"]]})
    assert (status, answer) == post(app, {"task": "NER", "texts": ["天地 人日 月", "山水"]})
    status, answer = post(app, {"task": "NER", "texts": [["天 地", "人"]]})
    assert (
        status == 422
        and "row 0 of the texts (from 0): the text is a list with '天 地', which is not one word" in answer["error"]
    )
    status, answer = post(app, {"task": "PARTS", "texts": [["天地", "人"]]})
    assert status == 422 and "which is not one character" in answer["error"]


def test_words_from_python(model: LoadedModel) -> None:
    one: Any = model.predict("NER", ("天地", "人日"))
    many: Any = model.predict("NER", [["天地", "人日"], "月", ("山",), []])
    assert one.text == many[0].text == "天地 人日" and one.to_json() == many[0].to_json()
    assert [len(result.tags) for result in many] == [2, 1, 1, 0]
    [letters] = list(model.stream("PARTS", [list("天地 人")]))
    alike: Any = model.predict("PARTS", "天地 人")
    assert letters.text == "天地 人" and letters.to_json() == alike.to_json()
