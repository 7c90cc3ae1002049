"""Alembic runs this for each of its commands: on the connection given, or on the database of the settings."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import context

from features.settings import current_settings
from features.sources.live_events import database_url
from serving.database import metadata


def _run(connection: sa.Connection) -> None:
    context.configure(connection=connection, target_metadata=metadata)
    with context.begin_transaction():
        context.run_migrations()


given = context.config.attributes.get("connection")
if given is not None:
    _run(given)
else:
    with sa.create_engine(database_url(current_settings())).begin() as own:
        _run(own)
