"""What the API says when it can't answer: problem details (RFC 9457), with the parameter that was wrong and what is allowed."""

import tomllib
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Any

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.responses import Response

from vanc311_pipeline.api import PREFIX
from vanc311_pipeline.api.negotiation import PROBLEM
from vanc311_pipeline.errors import SettingsError
from vanc311_pipeline.reading.groups import NoSuchGroup
from vanc311_pipeline.reading.names import UnknownName, nearest
from vanc311_pipeline.reading.pages import NoSuchPage, OtherRelease
from vanc311_pipeline.reading.release import TookTooLong
from vanc311_pipeline.reading.requests import NoPoint

METHODS = "GET, HEAD, OPTIONS"

KINDS: dict[str, tuple[int, str]] = tomllib.loads(Path(__file__).with_name("problems.toml").read_text(encoding="utf-8"))
"""Each kind: its status, and its title."""
_OURS: Mapping[type[Exception], str] = {
    NoSuchGroup: "no-such-group",
    NoSuchPage: "no-such-page",
    NoPoint: "no-point",
    OtherRelease: "other-release",
    TookTooLong: "took-too-long",
    SettingsError: "not-published",
}
_HEADERS = {
    "took-too-long": {"retry-after": "10"},
    "busy": {"retry-after": "10"},
    "not-published": {"retry-after": "60"},
    "method-not-allowed": {"allow": METHODS},
}
_NOT_IN_API = (
    f"{PREFIX} lists every address. In the path of one, write / within a name as %2F, or give the name as a parameter."
)


class Wrong(BaseModel):
    """One parameter that can't be used."""

    parameter: str = Field(description="the parameter's name")
    message: str = Field(description="what is wrong with it")
    allowed: list[str] | None = Field(default=None, description="what it may be, or which parameters there are")
    suggestions: list[str] | None = Field(default=None, description="what may have been meant")


class ProblemDetails(BaseModel):
    """Why there is no answer, as RFC 9457 has it."""

    type: str = Field(description=f"which kind of problem; all are at {PREFIX}/problems")
    title: str = Field(description="the kind in words")
    status: int = Field(description="the HTTP status once more")
    detail: str = Field(description="what is wrong this time, and what to do")
    errors: list[Wrong] = Field(default=[], description="the parameters that were wrong")


class Problem(Exception):
    """Ends a request with problem details."""

    def __init__(
        self, kind: str, detail: str, errors: Sequence[Wrong] = (), headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(detail)
        status, title = KINDS[kind]
        self._headers = {**(headers or {}), **_HEADERS.get(kind, {})}
        self._details = ProblemDetails(
            type=f"{PREFIX}/problems#{kind}", title=title, status=status, detail=detail, errors=list(errors)
        )

    def response(self) -> Response:
        body = self._details.model_dump_json(exclude_none=True)
        return Response(body, self._details.status, self._headers, PROBLEM)


def documented(meaning: str, good: dict[str, Any], *statuses: int) -> dict[str, Any]:
    """What a route says of itself: what a good answer is, and which problems there may be beside those of every route."""
    schema = {"$ref": f"#/components/schemas/{ProblemDetails.__name__}"}
    problems = {
        status: {"description": HTTPStatus(status).phrase, "content": {PROBLEM: {"schema": schema}}}
        for status in (405, 409, 422, 500, 503, *statuses)
    }
    unchanged = {"description": "Nothing is new since the answer with this ETag, or since this date."}
    answers = {200: {"description": "The answer.", **good}, 304: unchanged}
    return {"description": meaning, "responses": answers | problems}


async def _refuse(request: Request, error: Exception) -> Response:
    return _problem_of(request, error).response()


def _problem_of(request: Request, error: Exception) -> Problem:
    match error:
        case Problem():
            return error
        case RequestValidationError():
            # What is optional may also be None, which nobody can write in an address: that it isn't is no news.
            errors = [_wrong(request, each) for each in error.errors() if each["type"] != "none_required"]
            detail = " ".join(f"{each.parameter}: {each.message}." for each in errors)
            return Problem("invalid-parameters", detail, errors)
        case HTTPException():
            of_api = request.url.path.startswith(PREFIX)
            return Problem("not-found", _NOT_IN_API if of_api else "Check the address, or begin at the first page.")
        case UnknownName(kind=parameter, known=allowed, suggestions=suggestions):
            wrong = Wrong(parameter=parameter, message="unknown", allowed=allowed, suggestions=suggestions or None)
            return Problem("unknown-name", str(error), [wrong])
    return Problem(next(kind for type_, kind in _OURS.items() if isinstance(error, type_)), str(error))


HANDLERS: dict[int | type[Exception], Any] = dict.fromkeys(
    (Problem, RequestValidationError, HTTPStatus.NOT_FOUND, UnknownName, *_OURS), _refuse
)
"""Every refusal is a problem."""


def _wrong(request: Request, error: Mapping[str, Any]) -> Wrong:
    name = str(error["loc"][1])
    match error["type"]:
        case "extra_forbidden":
            [asked] = request.scope["route"].dependant.query_params
            message, allowed = "there is no such parameter here", sorted(asked.field_info.annotation.model_fields)
            suggestions = nearest(name, allowed)
        case "literal_error":
            allowed = [each.strip(" '") for each in str(error["ctx"]["expected"]).replace(" or ", ", ").split(",")]
            message, suggestions = "it must be one of those allowed", nearest(str(error["input"]), allowed)
        case _:
            return Wrong(parameter=name, message=str(error["msg"]).removeprefix("Value error, "))
    return Wrong(parameter=name, message=message, allowed=allowed, suggestions=suggestions or None)
