"""The last word about what is in stock, product by product.

These definitions are of then and never change; those of now stand in serving/database.py.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Make the table; nothing was told yet. A database that lost its version may have it."""
    if sa.inspect(op.get_bind()).has_table("stock"):
        return
    op.create_table(
        "stock",
        sa.Column("seq", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True),
        sa.Column("product_id", sa.String, nullable=False, unique=True),
        sa.Column("in_stock", sa.Boolean),
        sa.Column("told_at", sa.DateTime, nullable=False),
        sqlite_autoincrement=True,
    )


def downgrade() -> None:
    """What was told is lost; products are in stock as their file says."""
    op.drop_table("stock")
