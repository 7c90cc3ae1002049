"""Problems as RFC 9457 describes them: what is wrong with a request, naming the field."""

from __future__ import annotations

import re
from collections.abc import Mapping
from http import HTTPStatus

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from serving.schemas import FieldError, Problem

MEDIA_TYPE = "application/problem+json"
_AT = re.compile(r" - at `(?:key in )?\$\.?(.*)`$")
_FIELD = re.compile(r"field `([^`]+)`")


class BadRequestError(Exception):
    """A request that cannot be answered as it stands."""

    def __init__(self, detail: str, *, field: str = "", status: int = 400) -> None:
        super().__init__(detail)
        self.detail, self.field, self.status = detail, field, status


def from_validation(error: msgspec.ValidationError | msgspec.DecodeError) -> BadRequestError:
    """What msgspec found wrong, with the field apart from the sentence."""
    text = str(error)
    if not isinstance(error, msgspec.ValidationError):
        return BadRequestError(f"The body is not JSON: {text}.", status=400)
    at, named = _AT.search(text), _FIELD.search(text)
    sentence = _AT.sub("", text)
    path = at.group(1) if at else ""
    if named:
        path = f"{path}.{named.group(1)}".lstrip(".")
    return BadRequestError(sentence.replace("`", "'"), field=path, status=422)


def respond(status: int, detail: str, *, field: str = "", headers: Mapping[str, str] | None = None) -> Response:
    """The problem as a response."""
    errors = [FieldError(field=field, detail=detail)] if field else []
    named = f"{field}: {detail}" if field else detail
    problem = Problem(title=HTTPStatus(status).phrase, status=status, detail=named, errors=errors)
    return Response(
        msgspec.json.encode(problem), status_code=status, media_type=MEDIA_TYPE, headers=dict(headers or {})
    )


async def on_http_exception(request: Request, error: Exception) -> Response:
    """Answer for what the router refuses: no such path, no such method."""
    if not isinstance(error, HTTPException):
        raise error
    detail = {
        404: "There is nothing there. What there is stands at /docs.",
        405: f"{request.method} is not answered there.",
    }.get(error.status_code, error.detail)
    return respond(error.status_code, detail, headers=error.headers)
