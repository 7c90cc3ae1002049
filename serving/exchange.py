"""Reading requests and writing answers: bodies within limits, parameters as types, JSON, validators and compression."""

from __future__ import annotations

import gzip
import hashlib
from typing import Any, TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from serving.problems import BadRequestError, from_validation

T = TypeVar("T")
MOST_BYTES = 256 * 1024
#: For calls that carry up to 1,000 things.
MOST_BYTES_OF_MANY = 2 * 1024 * 1024
MOST_ID = 200
_LEAST_COMPRESSED = 1024
#: JSON, or what curl and browsers say when nobody told them; pickle and other binary kinds are refused.
_KINDS = frozenset({"", "application/json", "text/json", "text/plain", "application/x-www-form-urlencoded"})


class NoQuery(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """No parameters."""


async def read_body(request: Request, *, most: int = MOST_BYTES) -> bytes:
    """The whole body. Raises BadRequestError when it is too large, cut short, or of a kind that is not read."""
    asked = request.scope["asked"]
    if not is_read(asked.kind):
        raise BadRequestError("The body must be application/json.", status=415)
    if asked.length is not None and asked.length > most:
        raise _too_large(most)
    parts, size, more = [], 0, True
    while more:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise BadRequestError("The body was cut short.", status=400)
        part = message.get("body", b"")
        size += len(part)
        if size > most:
            raise _too_large(most)
        parts.append(part)
        more = message.get("more_body", False)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def is_read(kind: str) -> bool:
    """Whether bodies of that content type are read."""
    return kind in _KINDS or kind.endswith("+json")


def _too_large(most: int) -> BadRequestError:
    return BadRequestError(f"The body is larger than {most} bytes.", status=413)


def decode(body: bytes, decoder: msgspec.json.Decoder[T]) -> T:
    """The body as its type. Raises BadRequestError naming the field."""
    try:
        return decoder.decode(body)
    except UnicodeDecodeError:
        raise BadRequestError("The body is not UTF-8.", status=400) from None
    except RecursionError:
        raise BadRequestError("The body is nested too deep.", status=400) from None
    except msgspec.DecodeError as error:
        raise from_validation(error) from None


def query(request: Request, kind: type[T]) -> T:
    """The parameters as their type. Raises BadRequestError naming the one that is wrong."""
    if not request.scope["query_string"]:
        pairs: list[tuple[str, str]] = []
    else:
        pairs = request.query_params.multi_items()
    given = dict(pairs)
    if len(given) != len(pairs):
        twice = next(name for name, _ in pairs if len(request.query_params.getlist(name)) > 1)
        raise BadRequestError("given more than once", field=twice, status=422)
    try:
        return msgspec.convert(given, kind, strict=False)
    except msgspec.ValidationError as error:
        raise from_validation(error) from None


def path_id(request: Request, name: str) -> str:
    """An id in the path."""
    value: str = request.path_params[name]
    if len(value) > MOST_ID:
        raise BadRequestError(f"longer than {MOST_ID} characters", field=name, status=422)
    return value


class JsonAnswer(Response):
    """An answer in JSON, made with no more than it needs."""

    def __init__(self, body: bytes) -> None:
        self.status_code = 200
        self.background = None
        self.body = body
        self.raw_headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        """Send it."""
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": self.body})


def as_json(value: Any) -> Response:
    """The value as JSON."""
    return JsonAnswer(msgspec.json.encode(value))


def with_validator(
    request: Request, content: bytes, *, kind: str, headers: dict[str, str] | None = None, of_shop: bool = True
) -> Response:
    """Content with an ETag: 304 to a client that has it, compressed for one that reads gzip.

    `of_shop`: another shop's answer has another tag, though it hold the same.
    """
    owner = (request.scope["runtime"].settings.tenant if of_shop else None) or ""
    tag = f'"{hashlib.blake2b(content, digest_size=12, key=owner.encode()).hexdigest()}"'
    said = {**(headers or {}), "ETag": tag, "Vary": "Accept, Accept-Encoding, Accept-Language"}
    if tag in [part.strip().removeprefix("W/") for part in request.headers.get("if-none-match", "").split(",")]:
        return Response(status_code=304, headers=said)
    if reads_gzip(request) and len(content) >= _LEAST_COMPRESSED:
        content = gzip.compress(content, 5)
        said["Content-Encoding"] = "gzip"
    return Response(content, media_type=kind, headers=said)


def reads_gzip(request: Request) -> bool:
    """Whether the client says that it reads gzip."""
    for part in request.headers.get("accept-encoding", "").split(","):
        name, _, weight = part.strip().lower().partition(";")
        if name.strip() == "gzip":
            return weight.strip().replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return False
