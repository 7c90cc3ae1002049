"""What a form or an address says, as a type; fields left empty count as not given."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar
from urllib.parse import parse_qsl

import msgspec
from starlette.requests import Request

from serving.exchange import read_body
from serving.problems import BadRequestError, from_validation

T = TypeVar("T")
CSRF = "csrf"
_MOST_FIELDS = 200


async def read_form(request: Request) -> dict[str, str]:
    """The fields of a form sent. Raises BadRequestError for one that cannot be read."""
    body = await read_body(request)
    try:
        pairs = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=_MOST_FIELDS)
    except (UnicodeDecodeError, ValueError):
        raise BadRequestError("The form cannot be read.") from None
    return dict(pairs)


def as_type(given: Mapping[str, str], kind: type[T]) -> T:
    """The fields that are filled as a msgspec type. Raises BadRequestError naming the one that is wrong."""
    filled = {name: value.strip() for name, value in given.items() if value.strip() and name != CSRF}
    try:
        return msgspec.convert(filled, kind, strict=False)
    except msgspec.ValidationError as error:
        raise from_validation(error) from None


def asked_of(request: Request, kind: type[T]) -> T:
    """The parameters of the address as a msgspec type; unknown ones do not matter, as in an old bookmark."""
    return as_type(dict(request.query_params), kind)
