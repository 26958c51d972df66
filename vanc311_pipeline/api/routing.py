"""How a route that reads the published file is run: at once if it is quick, else in a thread.

Belongs here: that, for every such route, and the bounded queue for whatever is slow. Does not belong here: any route.

Handing a page to a thread and back takes longer than reading it, and threads that read at the same time stand in each other's way;
so only what proves slow goes to a thread.
"""

from collections.abc import Callable
from functools import partial, wraps
from typing import Any

import anyio
import anyio.to_thread
from fastapi import APIRouter, Request
from fastapi.exceptions import RequestValidationError
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from vanc311_pipeline.errors import PipelineError
from vanc311_pipeline.reading.release import TookTooLong, statement_budget


class Busy(PipelineError):
    """So many wait already that whoever comes now would wait in vain."""


class Queue:
    """For answers that take long: a few threads, and a bounded number of askers who wait for one."""

    def __init__(self, threads: int, waiting: int) -> None:
        self._places, self._waiting = anyio.CapacityLimiter(threads), waiting
        self._threads = anyio.CapacityLimiter(threads)

    async def run(self, request: Request, answer: Callable[[], Response]) -> Response:
        """The answer, made in a thread; nothing if the client went while it waited for one.

        Raises:
            Busy: the queue is full.
        """
        if self._places.statistics().tasks_waiting >= self._waiting:
            raise Busy("So many wait for such an answer that the server takes no more of them. Ask again in a while.")
        async with self._places:
            if await request.is_disconnected():
                return _Nothing()
            return await anyio.to_thread.run_sync(answer, limiter=self._threads)


class _Nothing(Response):
    """For nobody."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        pass


class Questions(APIRouter):
    """Routes whose functions answer from the published file: plain functions that take a `request`, and may take their time.

    Args:
        quick: whether most are answered within a millisecond; False for whole files.
    """

    def __init__(self, *, quick: bool = True, **named: Any) -> None:
        super().__init__(**named)
        self._quick = quick

    def add_api_route(self, path: str, endpoint: Callable[..., Response], **named: Any) -> None:
        @wraps(endpoint)
        async def run(request: Request, **asked: Any) -> Response:
            _forbid_repetition(request)
            answer = partial(endpoint, request=request, **asked)
            if self._quick:
                try:
                    with statement_budget():
                        return answer()
                except TookTooLong:
                    pass
            queue: Queue = request.app.state.asking
            return await queue.run(request, answer)

        super().add_api_route(path, run, **named)


def _forbid_repetition(request: Request) -> None:
    """Each parameter may be given once, so that none is silently ignored."""
    names: set[str] = set()
    for name, value in request.query_params.multi_items():
        if name in names:
            raise RequestValidationError(
                [{"type": "given_twice", "loc": ("query", name), "msg": "it was given more than once", "input": value}]
            )
        names.add(name)
