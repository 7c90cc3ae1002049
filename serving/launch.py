"""`python -m serving.launch --host HOST --port PORT`: BentoML's server of our service, without its command line.

It serves as `bentoml serve serving.service:Regulars` does, a second sooner: that loads every command of BentoML first.
"""

from __future__ import annotations

import argparse

from _bentoml_impl.server import serve_http

from features.settings import server_settings
from serving import logs
from serving.service import Regulars


def main() -> None:
    """Serve until stopped."""
    parser = argparse.ArgumentParser(prog="python -m serving.launch", description=__doc__)
    parser.add_argument("--host", required=True, help="Address to listen on.")
    parser.add_argument("--port", required=True, type=int, help="Port to listen on.")
    given = parser.parse_args()
    logs.install(server_settings())
    # What BentoML's command does; the service's own serve_http would set the log up as commands have it. The decorator
    # makes a service of the class, which type checkers do not see.
    Regulars.inject_config()  # type: ignore[attr-defined]
    serve_http(Regulars, host=given.host, port=given.port)


if __name__ == "__main__":
    main()
