"""Who may ask what, and how often: what of a request's headers decides, and why a request is refused."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

from serving.keys import ApiKey
from serving.route_table import ApiRoute
from serving.runtime import Runtime

_LOOPBACK = re.compile(r"localhost|127(\.\d{1,3}){3}|\[?::1\]?|::ffff:127(\.\d{1,3}){3}")
_GIVEN_ID = re.compile(rb"[A-Za-z0-9_.-]{1,64}")


class Refusal(NamedTuple):
    """Why a request is not answered."""

    status: int
    why: str  # a label of the metrics
    detail: str
    headers: dict[str, str] | None = None


class Asked(NamedTuple):
    """What of the headers decides."""

    key: str | None
    host: str
    origin: str | None
    request_id: bytes | None
    kind: str  # of the body
    length: int | None  # of the body, as declared


class Admission:
    """Lets requests pass or says why not, by the keys and settings of one runtime."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime

    def refusal(self, method: str, address: str, route: ApiRoute | None, asked: Asked) -> Refusal | None:
        """Why a request that came to the address may not pass; None when it may."""
        if asked.origin is not None and method not in ("GET", "HEAD", "OPTIONS") and self._foreign(asked):
            return Refusal(403, "origin", "Pages of that origin may not call this; see the setting cors_origins.")
        if route is None or not route.scopes:
            return None
        ring = self.runtime.ring
        if not ring.exist:
            return self._without_keys(address, asked)
        if asked.key is None:
            challenge = {"WWW-Authenticate": 'Bearer realm="regulars"'}
            return Refusal(401, "no_key", "A key is needed: Authorization: Bearer KEY, or X-API-Key: KEY.", challenge)
        key = ring.find(asked.key)
        if key is None:
            challenge = {"WWW-Authenticate": 'Bearer realm="regulars", error="invalid_token"'}
            return Refusal(401, "wrong_key", "The key is not known, or was revoked.", challenge)
        return self._limits(key, route)

    def _limits(self, key: ApiKey, route: ApiRoute) -> Refusal | None:
        wait = self.runtime.limits.wait(key.key_id, key.per_minute, at=time.monotonic())
        if wait > 0:
            seconds = str(max(1, round(wait + 0.5)))
            detail = f"The key asks more than {key.per_minute} times a minute. Wait {seconds} s."
            return Refusal(429, "rate", detail, {"Retry-After": seconds})
        if key.scope not in route.scopes:
            allowed = ", ".join(sorted(scope.value for scope in route.scopes))
            return Refusal(403, "scope", f"A key of scope '{key.scope}' may not ask this; needed: {allowed}.")
        return None

    @staticmethod
    def _without_keys(address: str, asked: Asked) -> Refusal | None:
        """With no key made yet, only this machine is answered, and only by its own name (a page elsewhere could
        have its own name point here).
        """
        if is_this_machine(address, asked.host):
            return None
        detail = "No key exists yet, so only this machine is answered. Make one:  regulars keys create --scope site"
        return Refusal(401, "no_keys", detail, {"WWW-Authenticate": 'Bearer realm="regulars"'})

    def _foreign(self, asked: Asked) -> bool:
        origin = asked.origin or ""
        return origin not in self.runtime.settings.cors_origins and origin.partition("://")[2] != asked.host


@lru_cache(maxsize=1024)
def is_this_machine(address: str, host: str) -> bool:
    """Whether a request came to a loopback address by a loopback name."""
    name = re.sub(r":\d+$", "", host)
    return _LOOPBACK.fullmatch(address) is not None and _LOOPBACK.fullmatch(name) is not None


def read_headers(headers: Iterable[tuple[bytes, bytes]]) -> Asked:
    """What of a request's headers decides, from one pass over them."""
    key: str | None = None
    host, origin, request_id, kind, length = "", None, None, "", None
    for name, value in headers:
        if name == b"authorization":
            how, _, given = value.decode("latin-1").partition(" ")
            if how.lower() == "bearer":
                key = given.strip()
        elif name == b"x-api-key":
            key = value.decode("latin-1").strip()
        elif name == b"host":
            host = value.decode("latin-1")
        elif name == b"origin":
            origin = value.decode("latin-1")
        elif name == b"content-type":
            kind = _kind(value)
        elif name == b"content-length":
            length = int(value) if value.isdigit() else None
        elif name == b"x-request-id" and _GIVEN_ID.fullmatch(value):
            request_id = value
    return Asked(key, host, origin, request_id, kind, length)


@lru_cache(maxsize=1024)
def _kind(value: bytes) -> str:
    return value.decode("latin-1").split(";")[0].strip().lower()
