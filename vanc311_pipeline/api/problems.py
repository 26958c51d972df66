"""What the API says when it can't answer: problem details (RFC 9457), with the parameter that was wrong and what is allowed.

Belongs here: every kind of problem, and which error of ours is which. Does not belong here: the errors themselves.
"""

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.responses import Response

from vanc311_pipeline.api import PREFIX
from vanc311_pipeline.api.negotiation import PROBLEM
from vanc311_pipeline.api.routing import Busy
from vanc311_pipeline.errors import SettingsError
from vanc311_pipeline.reading.groups import NoSuchGroup
from vanc311_pipeline.reading.names import UnknownName, nearest
from vanc311_pipeline.reading.pages import NoSuchPage, OtherRelease
from vanc311_pipeline.reading.release import TookTooLong

METHODS = "GET, HEAD, OPTIONS"

# Each kind: its status, and its title.
KINDS = {
    "invalid-parameters": (422, "A parameter is unknown or can't be used"),
    "unknown-name": (404, "The release has no such name"),
    "no-such-group": (404, "No statistics are made for such a group"),
    "no-such-page": (404, "No page of this listing has this cursor"),
    "no-such-request": (404, "No request has, or ever had, this id"),
    "not-found": (404, "There is nothing at this address"),
    "method-not-allowed": (405, "The API only reads"),
    "other-release": (409, "The current release is another"),
    "range-not-satisfiable": (416, "The file is shorter"),
    "http-version": (505, "HTTP/1.0 can't take an answer that is made while it is sent"),
    "internal-error": (500, "Something is wrong in this program"),
    "not-drawn": (503, "The picture can't be drawn"),
    "took-too-long": (503, "The question took too long"),
    "busy": (503, "Too many wait for an answer"),
    "not-published": (503, "There is no published file to answer from"),
}
_OURS: Mapping[type[Exception], str] = {
    UnknownName: "unknown-name",
    NoSuchGroup: "no-such-group",
    NoSuchPage: "no-such-page",
    OtherRelease: "other-release",
    TookTooLong: "took-too-long",
    Busy: "busy",
    SettingsError: "not-published",
}
_RETRY_AFTER = {"took-too-long": "10", "busy": "10", "not-published": "60"}


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
        self,
        kind: str,
        detail: str,
        errors: list[Wrong] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.kind, self.detail, self.errors, self.headers = kind, detail, errors or [], headers


def problem(
    kind: str, detail: str, errors: list[Wrong] | None = None, headers: Mapping[str, str] | None = None
) -> Response:
    """The response for a problem."""
    status, title = KINDS[kind]
    body = ProblemDetails(
        type=f"{PREFIX}/problems#{kind}", title=title, status=status, detail=detail, errors=errors or []
    ).model_dump(exclude_none=True)
    more = dict(headers or {})
    if kind in _RETRY_AFTER:
        more["retry-after"] = _RETRY_AFTER[kind]
    if kind == "method-not-allowed":
        more["allow"] = METHODS
    return Response(json.dumps(body, ensure_ascii=False), status, more, PROBLEM)


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """These problems, as OpenAPI has them."""
    schema = {"$ref": f"#/components/schemas/{ProblemDetails.__name__}"}
    return {
        status: {"description": HTTPStatus(status).phrase, "content": {PROBLEM: {"schema": schema}}}
        for status in statuses
    }


def handle_problems(app: FastAPI) -> None:
    """Make every refusal a problem."""
    app.add_exception_handler(Problem, _of_problem)
    app.add_exception_handler(RequestValidationError, _of_parameters)
    app.add_exception_handler(HTTPException, _of_http)
    for error in _OURS:
        app.add_exception_handler(error, _of_ours)


def _of_problem(_: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)
    return problem(error.kind, error.detail, error.errors, error.headers)


def _of_ours(request: Request, error: Exception) -> Response:
    kind = next(kind for type_, kind in _OURS.items() if isinstance(error, type_))
    errors = []
    if isinstance(error, UnknownName):
        errors.append(
            Wrong(parameter=error.kind, message="unknown", allowed=error.known, suggestions=error.suggestions or None)
        )
    del request
    return problem(kind, str(error), errors)


def _of_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        return problem("method-not-allowed", f"Use one of {METHODS}.")
    if error.status_code == HTTPStatus.NOT_FOUND:
        advice = f"{PREFIX} lists every address. In the path of one, write / within a name as %2F, or give the name as a parameter."
        return problem(
            "not-found",
            advice if request.url.path.startswith(PREFIX) else "Check the address, or begin at the first page.",
        )
    return problem("invalid-parameters", str(error.detail))


def _of_parameters(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    # What is optional may also be None, which nobody can write in an address: that it isn't is no news.
    errors = [_wrong(request, each) for each in error.errors() if each["type"] != "none_required"]
    return problem("invalid-parameters", " ".join(f"{each.parameter}: {each.message}." for each in errors), errors)


def _wrong(request: Request, error: Mapping[str, Any]) -> Wrong:
    name = str(error["loc"][1])
    allowed = None
    suggestions: list[str] = []
    message = str(error["msg"]).removeprefix("Value error, ")
    if error["type"] == "extra_forbidden":
        allowed = sorted(parameters_of(request))
        message, suggestions = "there is no such parameter here", nearest(name, allowed)
    elif error["type"] in ("literal_error", "enum"):
        allowed = [each.strip(" '") for each in str(error["ctx"]["expected"]).replace(" or ", ", ").split(",")]
        message = "it must be one of those allowed"
        suggestions = nearest(str(error["input"]), allowed)
    return Wrong(parameter=name, message=message, allowed=allowed, suggestions=suggestions or None)


def parameters_of(request: Request) -> set[str]:
    """The query parameters that the route of a request takes."""
    dependant = request.scope["route"].dependant
    return {
        name
        for field in dependant.query_params
        for name in getattr(field.field_info.annotation, "model_fields", {field.name: None})
    }
