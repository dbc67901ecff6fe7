"""The HTTP API and the page: POST /predict, POST /explain, GET /model, GET /health, and / for people."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from importlib.resources import files as package_files
from typing import Annotated, Any

from fastapi import FastAPI, File, HTTPException, Query, Request, Response, UploadFile
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.middleware.trustedhost import TrustedHostMiddleware

from rine import __version__
from rine.detector import Detector
from rine.detector.evidence import Explanation
from rine.pixels.crops import CropRule
from rine.pixels.pictures import UnreadablePicture
from rine.serve.answers import Health, Model, Predictions, Problem, describe, identity
from rine.serve.limits import Limits
from rine.serve.manners import Manners
from rine.serve.settings import HOST, ServeSettings
from rine.serve.worker import QueueFull, Worker

LONGEST_NAME = 255  # characters of a file's name that come back
ASSETS = {"page.html": "text/html", "page.css": "text/css"} | dict.fromkeys(
    ("page.js", "evidence.js", "server.js"), "text/javascript"
)


REFUSALS: dict[int | str, dict[str, Any]] = {
    408: {"model": Problem, "description": "It took longer than a request may."},
    400: {"model": Problem, "description": "It is no form, has too many parts, or a query key twice."},
    413: {"model": Problem, "description": "The request is too large, or has too many files."},
    429: {"model": Problem, "description": "Too many pictures wait; try again after the seconds in Retry-After."},
}
Rule = Annotated[CropRule, Query(description="What of a picture is judged.")]
Cells = Annotated[int, Query(ge=1, le=12, description="Crops a side of the map at most.")]


def create_app(detector: Detector, settings: ServeSettings) -> FastAPI:
    """The application for one model; the thread that judges lives as long as it does."""
    worker = Worker(detector, settings)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        with worker:
            yield

    # FastAPI's pages of documentation load their script from a network; /openapi.json needs none
    app = FastAPI(title="rine", version=__version__, lifespan=lifespan, docs_url=None, redoc_url=None)
    app.add_middleware(Limits, settings=settings)
    app.add_middleware(Manners, model=identity(detector, settings))
    # A page elsewhere whose name is made to point at this machine must not read verdicts (DNS rebinding)
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=[HOST, "localhost"])
    app.exception_handler(QueueFull)(_queue_full)
    app.exception_handler(RequestValidationError)(_not_understood)
    _add_api(app, worker, settings)
    _add_page(app)
    return app


def _add_api(app: FastAPI, worker: Worker, settings: ServeSettings) -> None:
    detector = worker.detector
    unreadable: dict[int | str, dict[str, Any]] = {
        422: {"model": Predictions, "description": "None of the files could be read; the rows say why."}
    }

    @app.post("/predict", responses={**REFUSALS, **unreadable})
    async def predict(
        response: Response,
        files: Annotated[list[UploadFile], File(description="One or more pictures.")],
        crops: Rule = "centre",
    ) -> Predictions:
        """Judge pictures. A file that cannot be read has its row with an `error`; where none can, the status is 422."""
        if len(files) > settings.files:
            raise HTTPException(413, f"{len(files)} files are more than the {settings.files} that a request may have")
        verdicts = await worker.judge([(_name(file), file.file) for file in files], crops)
        if all(verdict.error is not None for verdict in verdicts):
            response.status_code = 422
        return Predictions(results=verdicts)

    @app.post("/explain", responses={**REFUSALS, 422: {"model": Problem, "description": "It could not be read."}})
    async def explain(
        file: Annotated[UploadFile, File(description="One picture.")], crops: Rule = "centre", cells: Cells = 6
    ) -> Explanation:
        """Judge a picture and say what the verdict rests on; costs cells² + 21 passes of the encoder at most."""
        try:
            return await worker.explain(_name(file), file.file, crops, cells)
        except UnreadablePicture as error:
            raise HTTPException(422, error.reason) from error

    @app.get("/health")
    async def health() -> Health:
        """Whether the server answers."""
        return Health(status="ok", model=detector.name, waiting=worker.waiting, served=worker.served)

    @app.get("/model")
    async def model() -> Model:
        """The model in use and the server's limits."""
        return describe(detector, settings)


def _add_page(app: FastAPI) -> None:
    folder = package_files("rine.serve")
    for name, kind in ASSETS.items():
        route = "/" if name == "page.html" else f"/{name}"
        app.add_api_route(route, _asset((folder / name).read_bytes(), kind), include_in_schema=False, name=name)


def _asset(content: bytes, kind: str) -> Callable[[], Awaitable[Response]]:
    async def asset() -> Response:
        return Response(content, media_type=kind)

    return asset


def _name(file: UploadFile) -> str:
    """A file's name as JSON can carry it."""
    return (file.filename or "").encode("utf-8", "replace").decode()[:LONGEST_NAME]


async def _not_understood(_: Request, error: Exception) -> JSONResponse:
    """Which part of a request is wrong, without what was sent: it may be a picture's bytes."""
    assert isinstance(error, RequestValidationError)
    detail = "; ".join(f"{' '.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
    return JSONResponse({"detail": detail}, 422)


async def _queue_full(_: Request, error: Exception) -> JSONResponse:
    return JSONResponse({"detail": str(error)}, 429, {"Retry-After": "2"})
