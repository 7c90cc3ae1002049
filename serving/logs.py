"""The server's log: lines for people, or one JSON object a line for machines. Nothing in it names a customer.

A request is logged by the template of its route, never by its path; with its request id, which the answer carries too.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import traceback
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

from features.errors import RegularsError
from features.settings import Settings

LOGGER = "regulars"
#: The shop that is worked for, where a server has several.
TENANT: ContextVar[str | None] = ContextVar("tenant", default=None)


class JsonLines(logging.Formatter):
    """A record as one line of JSON: time, level, logger, process, message, and the fields given with it."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "process": os.getpid(),
            "message": record.getMessage(),
        }
        line |= fields_of(record)
        if record.exc_info:
            line["exception"] = exception_text(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


class Lines(logging.Formatter):
    """A record as a line for people: the message, then the fields given with it."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        fields = fields_of(record)
        where = fields.pop("where", "")
        told = "".join(f" {name}={value}" for name, value in fields.items())
        return f"{super().format(record)}{told}" + (f"\n{where}" if where else "")

    def formatException(self, ei: Any) -> str:  # noqa: N802 the library's name
        """The exception, without what may quote a customer."""
        return exception_text(ei)


def fields_of(record: logging.LogRecord) -> dict[str, Any]:
    """What was given with a record, and which shop it is of where there are several."""
    fields = dict(getattr(record, "fields", {}))
    tenant = TENANT.get()
    return fields if tenant is None else {"tenant": tenant, **fields}


def exception_text(exception: Any) -> str:
    """Where an exception came from and of which kind. Its message only where it is ours: others may quote data."""
    kind, error, trace = exception
    if kind is None:
        return ""
    said = f": {error}" if isinstance(error, RegularsError) else ""
    return "".join(traceback.format_tb(trace)) + f"{kind.__name__}{said}"


def install(settings: Settings) -> None:
    """Make every logger of this process write to standard output, as the settings say."""
    handler = logging.StreamHandler(sys.stdout)
    if settings.log_format == "json":
        handler.setFormatter(JsonLines())
    else:
        handler.setFormatter(Lines("%(asctime)s %(levelname)s %(message)s", "%Y-%m-%dT%H:%M:%S%z"))
    logging.getLogger().handlers[:] = [handler]
    for name in (LOGGER, "bentoml", "circus", "uvicorn.error"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
    for name in (LOGGER, "bentoml"):
        logging.getLogger(name).setLevel(logging.INFO)
