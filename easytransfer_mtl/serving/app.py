"""The endpoints: POST /predict, GET /tasks, GET /health, GET /openapi.json, and a page at /."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse
from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema
from starlette.exceptions import HTTPException

from easytransfer_mtl import __version__
from easytransfer_mtl.errors import NonFiniteError, UserError, clipped, problem_of, shown
from easytransfer_mtl.evaluation.given_texts import texts_a_row
from easytransfer_mtl.evaluation.loaded_model import Result
from easytransfer_mtl.serving.admission import Admission
from easytransfer_mtl.serving.batching import Batcher
from easytransfer_mtl.serving.limits import Limits
from easytransfer_mtl.serving.rows import asked_rows
from easytransfer_mtl.tasks import Task

PAGE = Path(__file__).parent / "page"
PAGE_FILES = {"/": "index.html", "/page.css": "page.css", "/page.js": "page.js"}
PAGE_HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "cache-control": "no-cache",
}
_TEXT: dict[str, Any] = {"type": "string"}
_TEXTS = {"anyOf": [_TEXT, *({"type": "array", "items": item} for item in (_TEXT, {"type": "array", "items": _TEXT}))]}


class PredictRequest(BaseModel):
    """The body of POST /predict."""

    model_config = ConfigDict(
        extra="forbid", strict=True, json_schema_extra={"examples": [{"task": "TNEWS", "texts": "国足二比一赢了"}]}
    )
    task: str | None = Field(None, description="name of a task; null or left out: every task that reads as many texts a row")
    texts: Annotated[Any, WithJsonSchema(_TEXTS)] = Field(
        description="a text, a list of texts, or a list of lists: pairs for a task with two texts, the characters or words "
        "of each text for a task with tags, which is to be named then"
    )


class EntityInfo(BaseModel):
    """What the tags of a text name."""

    label: str
    start: int = Field(description="place of its first character in the text, from 0")
    end: int = Field(description="place behind its last character")
    text: str


class OneResult(BaseModel):
    """What the model says about one text, or pair, in one task: a label, several labels, a number, or tags."""

    label: str | None = Field(None, description="several labels are separated by commas; none of a task with numbers")
    labels: list[str] | None = Field(None, description="of a task with several labels a row")
    label_name: str | None = None
    number: float | None = Field(None, description="of a task with numbers, which has nothing else")
    tags: list[str] | None = Field(None, description="of a task with tags: one for each character or word of the text")
    entities: list[EntityInfo] | None = Field(None, description="of a task with tags: what they name")
    probabilities: dict[str, float] | None = Field(
        None, description="label -> its probability, in the order of the task's labels"
    )


class PredictResponse(BaseModel):
    """The answer to POST /predict."""

    results: dict[str, OneResult | list[OneResult]] = Field(
        description="task -> the result of a text, or the results of a list in its order"
    )


class TaskInfo(BaseModel):
    """A task of the model."""

    name: str
    texts: int = Field(description="texts a row: 1, or 2 for pairs")
    labels: dict[str, str] = Field(description="label -> its name, in the order of the model")


class TasksResponse(BaseModel):
    """The answer to GET /tasks."""

    tasks: list[TaskInfo]


class HealthResponse(BaseModel):
    """The answer to GET /health."""

    status: str
    version: str
    waiting: int = Field(description="requests that the model has not begun with")


class ErrorResponse(BaseModel):
    """The answer to a request that cannot be served."""

    error: str = Field(description="what is wrong, what was found and what is allowed")


_ERRORS: dict[int | str, dict[str, Any]] = {
    400: {"model": ErrorResponse, "description": "the body is no JSON"},
    408: {"model": ErrorResponse, "description": "the body did not come in time"},
    413: {"model": ErrorResponse, "description": "the body is too large"},
    422: {"model": ErrorResponse, "description": "a value does not fit"},
    503: {"model": ErrorResponse, "description": "too many requests at a time; try again"},
}


def make_app(batcher: Batcher[Result], tasks: Sequence[Task], limits: Limits) -> FastAPI:
    """Returns the application.

    Args:
        batcher: runs the model.
        tasks: the model's.
        limits: what a request may ask for.
    """
    # FastAPI's own pages for OpenAPI load their scripts from elsewhere.
    app = FastAPI(title="easytransfer_mtl", version=__version__, docs_url=None, redoc_url=None)
    app.add_middleware(Admission, limits=limits)
    _add_errors(app)

    @app.post("/predict", response_model=PredictResponse, responses=_ERRORS)
    async def predict(request: PredictRequest) -> Response:
        """Labels and probabilities of one text, of many, or of pairs."""
        asked = asked_rows(request.task, request.texts, tasks, limits)
        found = await asyncio.wrap_future(batcher.submit(asked.tasks, asked.rows))
        results: dict[str, Any] = {name: [result.to_json() for result in items] for name, items in found.items()}
        return JSONResponse({"results": {name: items[0] for name, items in results.items()} if asked.is_one else results})

    @app.get("/tasks")
    async def list_tasks() -> TasksResponse:
        """The model's tasks and their labels."""
        return TasksResponse(tasks=[_about(task) for task in tasks])

    @app.get("/health")
    async def health() -> HealthResponse:
        """Whether the server answers, and how much waits."""
        return HealthResponse(status="ok", version=__version__, waiting=batcher.waiting)

    for path, name in PAGE_FILES.items():
        app.get(path, include_in_schema=False)(_file(name))
    return app


def _about(task: Task) -> TaskInfo:
    labels = {label: task.label_names.get(label, label) for label in task.label_enumerate_values}
    return TaskInfo(name=task.name, texts=texts_a_row(task), labels=labels)


def _file(name: str) -> Any:
    async def answer() -> FileResponse:
        return FileResponse(PAGE / name, headers=PAGE_HEADERS)

    return answer


def _add_errors(app: FastAPI) -> None:
    """Answers every error with its sentence as JSON, and bugs without their traceback, which goes to the log."""

    @app.exception_handler(UserError)
    async def user_error(_: Request, error: UserError) -> JSONResponse:
        return _error(500 if isinstance(error, NonFiniteError) else 422, str(error))

    @app.exception_handler(RequestValidationError)
    async def unfit(_: Request, error: RequestValidationError) -> JSONResponse:
        return _error(*_unfit_body(error))

    @app.exception_handler(HTTPException)
    async def http_error(request: Request, error: HTTPException) -> JSONResponse:
        if error.status_code == 400:
            message = "The body is no JSON in UTF-8, is nested too deeply, or has a number of thousands of digits."
        else:
            message = f"{request.method} {clipped(request.url.path)}: {error.detail}; GET /openapi.json lists what there is."
        return _error(error.status_code, message, error.headers)

    @app.exception_handler(Exception)
    async def bug(_: Request, error: Exception) -> JSONResponse:
        return _error(500, problem_of(error) or "An error of the server; its log has the details.")


def _error(status: int, message: str, headers: Any = None) -> JSONResponse:
    return JSONResponse({"error": message}, status, headers)


def _unfit_body(error: RequestValidationError) -> tuple[int, str]:
    """Returns status and message for the first thing that is wrong with a body."""
    first = error.errors()[0]
    place, kind = [str(part) for part in first["loc"][1:]], first["type"]
    if kind == "json_invalid":
        return 400, f"The body is no JSON: {first['ctx']['error']} at character {place[0]}."
    if not place:
        wanted = 'the body must be an object {"task": ..., "texts": ...}, sent as Content-Type: application/json'
        return 422, f"{wanted[0].upper()}{wanted[1:]}; found {shown(first['input'])}."
    key = clipped(place[0])
    if kind == "missing":
        return 422, f'{key} is missing; the body is {{"task": ..., "texts": ...}}.'
    if kind == "extra_forbidden":
        return 422, f"{shown(place[0])} is not known; the body has the keys task and texts."
    return 422, f"{key} is {shown(first['input'])}; it must be a task's name in quotes, or null for all that fit."
