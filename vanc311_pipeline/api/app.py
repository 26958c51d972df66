"""The application: `create_app(path)` gives the API of a published file, to which a dashboard may add its own routes."""

from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from importlib.metadata import version
from operator import attrgetter
from pathlib import Path
from typing import Any

import anyio.to_thread
from fastapi import APIRouter, FastAPI
from fastapi.openapi.constants import REF_TEMPLATE
from pydantic.json_schema import models_json_schema
from starlette.types import Message

from vanc311_pipeline.api import PREFIX
from vanc311_pipeline.api.delivery import Delivery, Page
from vanc311_pipeline.api.measures import Measured
from vanc311_pipeline.api.problems import HANDLERS, ProblemDetails
from vanc311_pipeline.api.routes import ROUTERS
from vanc311_pipeline.api.routing import Queue
from vanc311_pipeline.metric_definitions import DEFINITIONS_VERSION, STATES
from vanc311_pipeline.reading.published import PublishedFile
from vanc311_pipeline.reading.release import CONNECTIONS
from vanc311_pipeline.settings import LICENCE, LICENCE_PAGE, TITLE

# Together fewer threads than there are connections, so that the event loop, which reads too, never waits for one.
_DRAWING_THREADS = 2
_WRITING_THREADS = 1  # waits for the process that writes a workbook
# With more, a cheap answer waits for the interpreter behind each of them, and none of them is done sooner.
_ASKING_THREADS = 1
_STREAMING_THREADS = 1
_COMPRESSING_THREADS = 2  # of their own, so that no drawing is before them
_OTHER_THREADS = CONNECTIONS - 6  # a simple page
# Who comes later would have left before he got his answer: a page is drawn in a second, most questions take a few milliseconds.
# A workbook of many rows takes ten seconds.
_DRAWINGS_WAITING, _QUESTIONS_WAITING, _WORKBOOKS_WAITING = 16, 64, 4

DESCRIPTION = Path(__file__).with_name("description.md").read_text(encoding="utf-8")


class _Site(FastAPI):
    def openapi(self) -> dict[str, Any]:
        """Our problems are no answers of one route, so that FastAPI leaves them out."""
        if self.openapi_schema is not None:
            return self.openapi_schema
        document = super().openapi()
        document["info"]["x-definitions-version"] = DEFINITIONS_VERSION
        _, problems = models_json_schema([(ProblemDetails, "serialization")], ref_template=REF_TEMPLATE)
        document["components"]["schemas"] |= problems["$defs"]
        return document


def create_app(
    published_path: Path,
    *,
    routers: Iterable[APIRouter] = (),
    problem_page: Page | None = None,
    warmed_by: Iterable[str] = (),
    on_ready: Callable[[], None] | None = None,
) -> FastAPI:
    """The API of a published file, which may be replaced, or not be there yet.

    Args:
        routers: more routes, which find the release as `request.state.release`, and the queues for dear answers as
            `drawing`, `asking` and `writing` of `app.state`.
        problem_page: makes a page of a problem, for browsers; without it they, too, get JSON.
        warmed_by: paths that we ask for before anybody can: what is done once takes a hundred times as long as an answer.
        on_ready: called after that.
    """
    published = PublishedFile(published_path)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        anyio.to_thread.current_default_thread_limiter().total_tokens = _OTHER_THREADS
        for path in warmed_by:
            await _ask(app, path)
        if on_ready:
            on_ready()
        try:
            yield
        finally:
            published.close()

    app = _Site(
        title=TITLE,
        version=version("vanc311_pipeline"),
        description=DESCRIPTION.format(licence=LICENCE, states=", ".join(f"`{state}`" for state in STATES)),
        license_info={"name": "Open Government Licence – Vancouver", "url": LICENCE_PAGE},
        openapi_url=f"{PREFIX}/openapi.json",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
        exception_handlers=HANDLERS,
        generate_unique_id_function=attrgetter("name"),
    )
    app.state.published = published
    app.state.drawing = Queue(_DRAWING_THREADS, _DRAWINGS_WAITING)
    app.state.asking = Queue(_ASKING_THREADS, _QUESTIONS_WAITING)
    app.state.writing = Queue(_WRITING_THREADS, _WORKBOOKS_WAITING)
    app.state.streaming = anyio.CapacityLimiter(_STREAMING_THREADS)
    app.state.compressing = anyio.CapacityLimiter(_COMPRESSING_THREADS)
    app.add_middleware(Delivery, published=published, compressing=app.state.compressing, problem_page=problem_page)
    app.add_middleware(Measured)
    for questions in ROUTERS:
        app.include_router(questions, prefix=PREFIX)
    for router in routers:
        app.include_router(router)
    return app


async def _ask(app: FastAPI, path: str) -> None:
    """Ask for a path, and leave the answer to whatever keeps it. Nobody is the client, so that it isn't counted."""

    async def nobody(*_: Message) -> Any:
        return {"type": "http.request"}

    scope = {"type": "http", "http_version": "1.1", "method": "GET", "path": path, "query_string": b"", "headers": []}
    await app(scope, nobody, nobody)
