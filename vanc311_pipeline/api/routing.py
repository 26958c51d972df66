"""How a route is run: at once on the event loop if it is quick, as almost all are, else in a thread.

Belongs here: that choice. Does not belong here: any route. Handing a page of requests to a thread and back takes longer than
reading it, and threads that read at the same time stand in each other's way.
"""

import inspect
from collections.abc import Callable
from functools import partial, wraps
from typing import Any

import anyio.to_thread
from fastapi.routing import APIRoute

from vanc311_pipeline.reading.release import TookTooLong, at_once

Endpoint = Callable[..., Any]


class QuickRoute(APIRoute):
    """A route that reads the published file."""

    def __init__(self, path: str, endpoint: Endpoint, **options: Any) -> None:
        super().__init__(path, endpoint if inspect.iscoroutinefunction(endpoint) else _quick(endpoint), **options)


def _quick(endpoint: Endpoint) -> Endpoint:
    @wraps(endpoint)
    async def answer(*given: Any, **named: Any) -> Any:
        try:
            with at_once():
                return endpoint(*given, **named)
        except TookTooLong:
            return await anyio.to_thread.run_sync(partial(endpoint, *given, **named))

    return answer
