"""The tables as they were when versions began to be kept.

A database of before may have all of them, some, or some without the columns that came later: each gets what it lacks.
These definitions are of then and never change; those of now stand in serving/database.py.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_NUMBER = sa.BigInteger().with_variant(sa.Integer, "sqlite")
_then = sa.MetaData()
sa.Table(
    "events",
    _then,
    sa.Column("seq", _NUMBER, primary_key=True, autoincrement=True),
    sa.Column("event_id", sa.String, nullable=False, unique=True),
    sa.Column("kind", sa.String, nullable=False),
    sa.Column("product_id", sa.String),
    sa.Column("occurred_at", sa.DateTime, nullable=False),
    sa.Column("customer_id", sa.String),
    sa.Column("session_id", sa.String),
    sa.Column("placement", sa.String),
    sa.Column("request_id", sa.String),
    sa.Column("experiment", sa.String),
    sa.Column("variant", sa.String),
    sa.Column("strategy", sa.String),
    sa.Column("model_version", sa.String),
    sa.Column("propensity", sa.Float),
    sa.Column("received_at", sa.DateTime, nullable=False),
    sqlite_autoincrement=True,
)
sa.Table(
    "outcomes",
    _then,
    sa.Column("seq", _NUMBER, primary_key=True, autoincrement=True),
    sa.Column("outcome_id", sa.String, nullable=False, unique=True),
    sa.Column("customer_id", sa.String, nullable=False, index=True),
    sa.Column("outcome", sa.String, nullable=False),
    sa.Column("occurred_at", sa.DateTime, nullable=False),
    sa.Column("campaign_id", sa.String),
    sa.Column("channel", sa.String),
    sa.Column("who", sa.String),
    sa.Column("note", sa.String),
    sa.Column("received_at", sa.DateTime, nullable=False),
    sqlite_autoincrement=True,
)
sa.Table(
    "contact_plans",
    _then,
    sa.Column("campaign_id", sa.String, primary_key=True),
    sa.Column("planned_at", sa.DateTime, nullable=False),
    sa.Column("asked", sa.LargeBinary, nullable=False),
    sa.Column("answer", sa.LargeBinary, nullable=False),
)
sa.Table(
    "contact_plan_members",
    _then,
    sa.Column("seq", _NUMBER, primary_key=True, autoincrement=True),
    sa.Column("campaign_id", sa.String, nullable=False, index=True),
    sa.Column("customer_id", sa.String, nullable=False, index=True),
    sa.Column("treated", sa.Boolean, nullable=False),
    sa.Column("planned_at", sa.DateTime, nullable=False),
    sa.Column("until", sa.DateTime, nullable=False),
    sa.UniqueConstraint("campaign_id", "customer_id"),
    sqlite_autoincrement=True,
)
sa.Table(
    "desk_notes",
    _then,
    sa.Column("seq", _NUMBER, primary_key=True, autoincrement=True),
    sa.Column("customer_id", sa.String, nullable=False, index=True),
    sa.Column("kind", sa.String, nullable=False),
    sa.Column("assigned_to", sa.String),
    sa.Column("snoozed_until", sa.DateTime),
    sa.Column("who", sa.String, nullable=False),
    sa.Column("written_at", sa.DateTime, nullable=False),
    sqlite_autoincrement=True,
)
sa.Table(
    "saved_views",
    _then,
    sa.Column("view_id", sa.String, primary_key=True),
    sa.Column("name", sa.String, nullable=False, unique=True),
    sa.Column("query", sa.String, nullable=False),
    sa.Column("who", sa.String, nullable=False),
    sa.Column("saved_at", sa.DateTime, nullable=False),
)
sa.Table(
    "console_sessions",
    _then,
    sa.Column("token_hash", sa.String, primary_key=True),
    sa.Column("key_id", sa.String),
    sa.Column("name", sa.String, nullable=False),
    sa.Column("csrf", sa.String, nullable=False),
    sa.Column("expires_at", sa.DateTime, nullable=False),
)
sa.Table(
    "api_keys",
    _then,
    sa.Column("key_id", sa.String, primary_key=True),
    sa.Column("scope", sa.String, nullable=False),
    sa.Column("name", sa.String, nullable=False),
    sa.Column("hash", sa.String, nullable=False),
    sa.Column("per_minute", sa.Integer, nullable=False),
    sa.Column("created_at", sa.DateTime, nullable=False),
    sa.Column("revoked_at", sa.DateTime),
)


def upgrade() -> None:
    """Make the tables that are missing, and add the columns missing from others; all of those may be empty."""
    bind = op.get_bind()
    _then.create_all(bind)
    for table in _then.sorted_tables:
        there = {column["name"] for column in sa.inspect(bind).get_columns(table.name)}
        for column in table.columns:
            if column.name not in there:
                op.add_column(table.name, sa.Column(column.name, column.type))


def downgrade() -> None:
    """There is nothing before."""
    raise RuntimeError("The first tables cannot be taken back. Bring back a backup of the database instead.")
