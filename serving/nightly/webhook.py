"""A notice by webhook: JSON posted to one address, signed where a secret is set, tried again when it may help."""

from __future__ import annotations

import hashlib
import hmac
import http.client
import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from features.errors import ConfigError, RegularsError
from serving.nightly.notice import Notice

SIGNATURE, TIMESTAMP, RUN = "X-Regulars-Signature", "X-Regulars-Timestamp", "X-Regulars-Run"
#: Answers after which another try may succeed.
_AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})


@dataclass(frozen=True)
class Webhook:
    """Where to post, and how patiently."""

    url: str
    secret: str | None
    seconds: float
    tries: int
    wait_seconds: float

    def where(self) -> str:
        """The address without what may be secret of it: a path often is."""
        return urlsplit(self.url).hostname or "nowhere"


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A redirect would turn the post into a get, and send the notice to whom nobody named."""

    def redirect_request(self, *_: Any) -> None:
        return None


def signature(secret: str, timestamp: str, body: bytes) -> str:
    """`sha256=` and the HMAC-SHA256, in hex, of the timestamp, a dot and the body."""
    digest = hmac.new(secret.encode(), timestamp.encode() + b"." + body, hashlib.sha256)
    return f"sha256={digest.hexdigest()}"


def post(
    hook: Webhook,
    notice: Notice,
    *,
    at: Callable[[], float] = time.time,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Post the notice. Raises ConfigError for an address that is none, RegularsError when it was not taken."""
    parts = urlsplit(hook.url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigError("REGULARS_NIGHTLY_WEBHOOK is no address. It must begin with https:// (or http://).")
    body = json.dumps(notice.payload, ensure_ascii=False, default=str).encode()
    opener = urllib.request.build_opener(_NoRedirects)
    said = ""
    for number in range(hook.tries):
        if number:
            sleep(hook.wait_seconds * 2 ** (number - 1))
        timestamp = f"{at():.0f}"
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "regulars-nightly",
            # The same for each try, so that a receiver can tell a repetition.
            RUN: str(notice.payload["run"]),
            TIMESTAMP: timestamp,
        }
        if hook.secret:
            headers[SIGNATURE] = signature(hook.secret, timestamp, body)
        request = urllib.request.Request(hook.url, data=body, headers=headers, method="POST")  # noqa: S310 http(s) only
        try:
            with opener.open(request, timeout=hook.seconds):
                return
        except urllib.error.HTTPError as error:
            error.close()
            said = f"it answered {error.code}"
            if error.code not in _AGAIN:
                break
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "reason", error)
            said = f"it cannot be reached ({type(reason).__name__})"
    raise RegularsError(
        f"The webhook at {hook.where()} did not take the notice: {said}. See REGULARS_NIGHTLY_WEBHOOK and that server."
    )
