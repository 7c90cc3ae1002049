"""In which language reasons are told: the one asked for, else the one the client reads best."""

from __future__ import annotations

from starlette.requests import Request

from training.reason_messages import DEFAULT, LANGUAGES


def language_of(request: Request, asked: str | None = None) -> str:
    """The language asked for, else the first by weight of Accept-Language that there is, else English."""
    return asked or preferred(request.headers.get("accept-language", ""))


def preferred(accepted: str) -> str:
    """The language of an Accept-Language header (RFC 9110, 12.5.4); a region, as in zh-CN, does not matter."""
    ranked = []
    for place, part in enumerate(accepted.split(",")):
        name, _, weight = part.strip().lower().partition(";")
        ranked.append((-_weight(weight), place, name.strip().split("-")[0]))
    for negative, _, name in sorted(ranked):
        if negative < 0 and name in LANGUAGES:
            return name
    return DEFAULT


def _weight(text: str) -> float:
    name, _, value = text.replace(" ", "").partition("=")
    if name != "q":
        return 1.0
    try:
        return float(value)
    except ValueError:
        return 0.0
