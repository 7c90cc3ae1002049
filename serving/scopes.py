"""What API keys are for."""

from __future__ import annotations

from enum import StrEnum


class KeyScope(StrEnum):
    """What a key is for. Each may do what the route table says; `admin` may do everything."""

    SITE = "site"
    RETENTION = "retention"
    STOCK = "stock"
    ADMIN = "admin"
