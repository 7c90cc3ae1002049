"""An application behind uvicorn with our protocol, in a thread of the test's process."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from starlette.types import ASGIApp

from serving import protocol
from serving.server import free_port
from serving.short_way import Way

HOST = "127.0.0.1"


@contextmanager
def served_by(app: ASGIApp, way: Way | None = None, **settings: object) -> Iterator[int]:
    """The port it listens on."""
    protocol.install(way)
    port = free_port(HOST, 24300)
    server = uvicorn.Server(
        uvicorn.Config(app, host=HOST, port=port, log_config=None, lifespan="off", server_header=False, **settings)
    )
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.01)
        yield port
    finally:
        server.should_exit = True
        thread.join(10)
        protocol.install()
