"""How the published file is asked: an address is a question, which is run at once if it is quick, else in a thread.

Belongs here: that, for every question, and the bounded queue for whatever is slow. Does not belong here: any address.

Handing a page to a thread and back takes longer than reading it, and threads that read at the same time stand in each other's way;
so only what proves slow goes to a thread.
"""

import inspect
import re
from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from inspect import Parameter, Signature
from typing import Annotated, Any, TypeVar

import anyio
import anyio.to_thread
import sqlalchemy as sa
from fastapi import APIRouter, Query, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from vanc311_pipeline.api.listing import Selection, answered, documented_answer, documented_table, listed
from vanc311_pipeline.api.parameters import IN_PATH, Asked, AskedTable
from vanc311_pipeline.api.problems import Problem
from vanc311_pipeline.reading.pages import Listing, OtherRelease, all_rows
from vanc311_pipeline.reading.release import Release, TookTooLong, statement_budget

Question = TypeVar("Question", bound=Callable[..., Any])


class Queue:
    """For answers that take long: a few threads, and a bounded number of askers who wait for one."""

    def __init__(self, threads: int, waiting: int) -> None:
        self._places, self._waiting = anyio.CapacityLimiter(threads), waiting
        self._threads = anyio.CapacityLimiter(threads)

    async def run(self, request: Request, answer: Callable[[], Response]) -> Response:
        """The answer, made in a thread; nothing if the client went while it waited for one.

        Raises:
            Problem: the queue is full, so that whoever comes now would wait in vain.
        """
        if self._places.statistics().tasks_waiting >= self._waiting:
            raise Problem(
                "busy", "So many wait for such an answer that the server takes no more of them. Ask again in a while."
            )
        async with self._places:
            if await request.is_disconnected():
                return _Nothing()
            return await anyio.to_thread.run_sync(answer, limiter=self._threads)


class _Nothing(Response):
    """For nobody."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        pass


class Questions(APIRouter):
    """Routes whose functions answer from the published file. They are plain, and may take their time.

    A function gets what it takes of these: the `request`, its `release`, what is `asked` after the question mark, and the names in
    the path. Its own name is the operation's id in OpenAPI, if no other is given.

    Args:
        quick: whether most are answered within a millisecond; False for whole files.
    """

    def __init__(self, *, quick: bool = True, **named: Any) -> None:
        super().__init__(**named)
        self._quick = quick

    def add_api_route(
        self,
        path: str,
        endpoint: Callable[..., Any],
        *,
        parameters: type[Asked] = Asked,
        respond: Callable[[Request, Any, Any], Response] | None = None,
        **named: Any,
    ) -> None:
        """Answer at this path with what the function returns, or with the response that is made of it."""
        taken = inspect.signature(endpoint).parameters

        def answer(request: Request, asked: Asked, **names: str) -> Response:
            offered = {"request": request, "release": _current(request, asked), "asked": asked, **names}
            found = endpoint(**{name: value for name, value in offered.items() if name in taken})
            return respond(request, asked, found) if respond else found

        async def run(request: Request, **asked: Any) -> Response:
            _forbid_repetition(request)
            if self._quick:
                try:
                    with statement_budget():
                        return answer(request, **asked)
                except TookTooLong:
                    pass
            queue: Queue = request.app.state.asking
            return await queue.run(request, partial(answer, request, **asked))

        kinds = {"request": Request, "asked": Annotated[parameters, Query()]}
        kinds |= {name: IN_PATH[name] for name in re.findall(r"{(\w+)", path)}
        by_name = [Parameter(name, Parameter.KEYWORD_ONLY, annotation=kind) for name, kind in kinds.items()]
        run.__signature__ = Signature(by_name)  # type: ignore[attr-defined]
        super().add_api_route(path, run, **{"name": endpoint.__name__, **named})

    def lists(
        self,
        path: str,
        summary: str,
        table: sa.Table,
        parameters: type[AskedTable] = AskedTable,
        *,
        tag: str,
        name: str | None = None,
        row: type[BaseModel] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Callable[[Question], Question]:
        """Answer at this path with the rows of a table that the function selects.

        Args:
            row: what such a row is, if it isn't one of the table's.
        """

        def register(question: Question) -> Question:
            self.add_api_route(
                path,
                question,
                parameters=parameters,
                respond=partial(listed, table=table, headers=headers),
                name=name or question.__name__,
                summary=summary,
                tags=[tag],
                **documented_table(table, row),
            )
            return question

        return register

    def lists_all(
        self,
        path: str,
        name: str,
        summary: str,
        table: sa.Table,
        tag: str,
        listing: Listing | None = None,
        row: type[BaseModel] | None = None,
    ) -> None:
        """Answer at this path with a table as it is, or with a listing that says more of it."""
        selection = Selection(listing or all_rows(table))
        self.lists(path, summary, table, tag=tag, name=name, row=row)(lambda: selection)

    def answers(
        self,
        path: str,
        summary: str,
        meaning: str,
        data: Any,
        *,
        tag: str,
        table: sa.Table | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Callable[[Question], Question]:
        """Answer at this path with the one thing that the function finds, which is as `data` says."""

        def register(question: Question) -> Question:
            self.add_api_route(
                path,
                question,
                respond=partial(answered, table=table, headers=headers),
                summary=summary,
                tags=[tag],
                **documented_answer(question.__name__, data, meaning),
            )
            return question

        return register


def _current(request: Request, asked: Asked) -> Release:
    """The release that the request reads, if it is the one that was pinned.

    Raises:
        OtherRelease: it is another.
    """
    release: Release = request.state.release
    if asked.as_of is not None and asked.as_of.isoformat() != release.about["as_of"]:
        raise OtherRelease(f"The current release is as of {release.about['as_of']}, not {asked.as_of.isoformat()}.")
    return release


def _forbid_repetition(request: Request) -> None:
    """Each parameter may be given once, so that none is silently ignored."""
    counts = Counter(name for name, _ in request.query_params.multi_items())
    for name, times in counts.items():
        if times > 1:
            raise RequestValidationError(
                [{"type": "given_twice", "loc": ("query", name), "msg": "it was given more than once"}]
            )
