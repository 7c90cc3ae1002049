"""To whom the server may be reachable: to this machine alone until a key exists."""

from __future__ import annotations

import ipaddress

from rich.markup import escape

from features.settings import Settings
from features.terminal import progress
from serving.database import StoreAwayError, open_database
from serving.keys import COPY, Keys, read_copy

LOOPBACK = "127.0.0.1"


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach what listens there."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def safe_host(host: str, settings: Settings) -> str:
    """The address asked for, or the loopback one where no key exists; then it says so.

    A server of several shops never answers without a key, and so may listen anywhere.
    """
    if settings.tenants or is_loopback(host) or any_key(settings):
        return host
    progress.print(
        f"[yellow]note[/] No API key exists, so the server listens on {LOOPBACK} and not on {escape(host)}. "
        "Make a key first:  regulars keys create --scope site"
    )
    return LOOPBACK


def any_key(settings: Settings) -> bool:
    """Whether a key was ever made, revoked or not."""
    try:
        return bool(Keys(open_database(settings)).all())
    except StoreAwayError:
        return bool(read_copy(settings.data_home.live / COPY))
