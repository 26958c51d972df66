"""How the published file is asked: an address is a question, which is run at once if it is quick, else in a thread.

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

import anyio.to_thread
import sqlalchemy as sa
from fastapi import APIRouter, Query, Request
from fastapi.exceptions import RequestValidationError
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from vanc311_pipeline.api import models
from vanc311_pipeline.api.listing import Selection, answered, listed
from vanc311_pipeline.api.models import IN_PATH, Asked, AskedTable
from vanc311_pipeline.api.negotiation import CSV
from vanc311_pipeline.api.problems import Problem, documented
from vanc311_pipeline.reading.pages import Listing, OtherRelease, all_rows
from vanc311_pipeline.reading.release import Release, TookTooLong, statement_budget

Question = TypeVar("Question", bound=Callable[..., Any])


class Queue:
    """For answers that take long: a few threads, and a bounded number of askers who wait for one."""

    def __init__(self, threads: int, waiting: int) -> None:
        self._places, self._waiting = anyio.CapacityLimiter(threads), waiting
        self._threads = anyio.CapacityLimiter(threads)

    async def run(self, request: Request, answer: Callable[[], Response]) -> Response:
        """The answer, made in a thread. Problem, if the queue is full: whoever comes now would wait in vain; ClientDisconnect, if the
        client went while it waited.
        """
        if self._places.statistics().tasks_waiting >= self._waiting:
            raise Problem(
                "busy", "So many wait for such an answer that the server takes no more of them. Ask again in a while."
            )
        async with self._places:
            if await request.is_disconnected():
                raise ClientDisconnect
            return await anyio.to_thread.run_sync(answer, limiter=self._threads)


class Questions(APIRouter):
    """Routes whose functions answer from the published file. They are plain, and may take their time; `quick` are those of which most are
    answered within a millisecond. A function gets what it takes of these: the `request`, its `release`, what is `asked` after the question
    mark, and the names in the path. Its own name is the operation's id in OpenAPI, if no other is given.
    """

    def __init__(self, *, quick: bool = True, headers: Mapping[str, str] | None = None, **named: Any) -> None:
        super().__init__(**named)
        self._quick, self._headers = quick, headers or {}

    def answer(
        self,
        path: str,
        question: Question,
        respond: Callable[[Request, Any, Any], Response] = lambda _, __, response: response,
        parameters: type[Asked] = Asked,
        **named: Any,
    ) -> Question:
        """Answer at this path with what the function returns, or with the response that is made of it."""
        taken = inspect.signature(question).parameters

        def answer(request: Request, asked: Asked, **names: str) -> Response:
            offered = {"request": request, "release": _current(request, asked), "asked": asked, **names}
            data = question(**{name: offered[name] for name in taken if name in offered})
            response = respond(request, asked, data)
            response.headers.update(self._headers)
            return response

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
        self.add_api_route(path, run, **{"name": question.__name__, **named})
        return question

    def lists(
        self,
        path: str,
        summary: str,
        table: sa.Table,
        asked: type[AskedTable] = AskedTable,
        row: Any = None,
        **named: Any,
    ) -> Callable[[Question], Question]:
        """Answer at this path with the rows of a table that the function selects; `row` says what one is if it isn't the table's."""
        respond = partial(listed, table=table)
        as_csv = {"type": "string", "description": "RFC 4180; a header line; null is empty; dates as in JSON"}
        kind = row or models.row_of(table)
        good = {"model": models.Answer[list[kind]], "content": {CSV: {"schema": as_csv}}}  # type: ignore[valid-type]
        named |= {"summary": summary, **documented(str(table.comment), good, 404)}
        return lambda question: self.answer(path, question, respond, asked, **named)

    def lists_all(
        self,
        path: str,
        name: str,
        summary: str,
        table: sa.Table,
        tag: str,
        listing: Listing | None = None,
        row: Any = None,
    ) -> None:
        """Answer at this path with a table as it is, or with a listing that says more of it."""
        selection = Selection(listing or all_rows(table))
        self.lists(path, summary, table, row=row, name=name, tags=[tag])(lambda: selection)

    def finds(
        self, path: str, summary: str, data: Any, table: sa.Table | None = None, **named: Any
    ) -> Callable[[Question], Question]:
        """Answer at this path with the one thing that the function finds, which is as `data` says; its docstring describes the route."""

        def register(question: Question) -> Question:
            about = documented(str(question.__doc__), {"model": models.Answer[data]}, 404)
            return self.answer(path, question, partial(answered, table=table), summary=summary, **about, **named)

        return register


def _current(request: Request, asked: Asked) -> Release:
    """The release that the request reads; OtherRelease, if it isn't the one that was pinned."""
    release: Release = request.state.release
    if asked.as_of is not None and asked.as_of.isoformat() != release.about["as_of"]:
        raise OtherRelease(f"The current release is as of {release.about['as_of']}, not {asked.as_of.isoformat()}.")
    return release


def _forbid_repetition(request: Request) -> None:
    """Each parameter may be given once, so that none is silently ignored."""
    counts = Counter(name for name, _ in request.query_params.multi_items())
    about = {"type": "given_twice", "msg": "it was given more than once"}
    if repeated := [about | {"loc": ("query", name)} for name, times in counts.items() if times > 1]:
        raise RequestValidationError(repeated)
