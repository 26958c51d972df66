"""How a route that reads the published file is run: its parameters are read once, and it is run at once if it is quick.

Belongs here: that, for every such route, and the bounded queue for whatever is slow. Does not belong here: any route.

FastAPI describes the parameters and finds the route, but goes through a model's fields one by one on every request, which takes
longer than reading a page of requests; pydantic takes the model whole. And handing a page to a thread and back takes longer
than reading it, while threads that read at the same time stand in each other's way; so only what proves slow goes to a thread.
"""

from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, get_args, get_type_hints

import anyio
import anyio.to_thread
from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import BaseModel, TypeAdapter, ValidationError
from starlette.responses import Response

from vanc311_pipeline.errors import PipelineError
from vanc311_pipeline.reading.release import TookTooLong, at_once


class Busy(PipelineError):
    """So many wait already that whoever comes now would wait in vain."""


class Queue:
    """For answers that take long: a few threads, and a bounded number of askers who wait for one."""

    def __init__(self, threads: int, waiting: int) -> None:
        self._threads, self._waiting = anyio.CapacityLimiter(threads), waiting

    async def run(self, answer: Callable[[], Response]) -> Response:
        """The answer, made in a thread.

        Raises:
            Busy: the queue is full.
        """
        if self._threads.statistics().tasks_waiting >= self._waiting:
            raise Busy("So many wait for such an answer that the server takes no more of them. Ask again in a while.")
        return await anyio.to_thread.run_sync(answer, limiter=self._threads)


class QuickRoute(APIRoute):
    """A route whose function takes `request`, `asked` (what stands after the question mark), and names from the path."""

    may_be_quick = True

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        taken = get_type_hints(self.endpoint, include_extras=True)
        model: type[BaseModel] = get_args(taken["asked"])[0]
        named = {name: TypeAdapter[Any](taken[name]) for name in self.param_convertors}

        async def handle(request: Request) -> Response:
            path = {
                name: _valid(adapter.validate_python, request.path_params[name], name)
                for name, adapter in named.items()
            }
            asked = _valid(model.model_validate, _once(request))
            answer = partial(self.endpoint, request=request, asked=asked, **path)
            if self.may_be_quick:
                try:
                    with at_once():
                        return answer()  # type: ignore[no-any-return]
                except TookTooLong:
                    pass
            queue: Queue = request.app.state.asking
            return await queue.run(answer)

        return handle


class SlowRoute(QuickRoute):
    """The same for what is never quick: whole files."""

    may_be_quick = False


def _once(request: Request) -> dict[str, str]:
    """The parameters, each of which may be given once."""
    given: dict[str, str] = {}
    for name, value in request.query_params.multi_items():
        if name in given:
            raise RequestValidationError(
                [{"type": "given_twice", "loc": ("query", name), "msg": "it was given more than once", "input": value}]
            )
        given[name] = value
    return given


def _valid(validate: Callable[[Any], Any], value: Any, *name: str) -> Any:
    try:
        return validate(value)
    except ValidationError as error:
        place = "path" if name else "query"
        raise RequestValidationError(
            [{**each, "loc": (place, *name, *each["loc"])} for each in error.errors()]
        ) from error
