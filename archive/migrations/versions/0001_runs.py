"""Runs and their parts.

What is there is left as it is: MySQL commits every statement, so a step that was killed may have made some.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.mysql import LONGTEXT

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make the tables."""
    text = sa.Text().with_variant(LONGTEXT(), "mysql", "mariadb")
    op.create_table(
        "archived_runs",
        sa.Column("place", sa.String(96), primary_key=True),
        sa.Column("run_id", sa.String(64), nullable=False),
        sa.Column("project", sa.String(64), nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("time_added_s", sa.Float(53), nullable=False),
        sa.Column("ended_at_s", sa.Float(53), nullable=False),
        sa.Column("archived_at_s", sa.Float(53), nullable=False),
        sa.Column("layout", sa.Integer, nullable=False),
        sa.Column("record", text, nullable=False),
        sa.Column("points_file", sa.String(200), nullable=True),
        sa.Column("points", sa.BigInteger, nullable=False),
        sa.Column("bytes", sa.BigInteger, nullable=False),
        if_not_exists=True,
    )
    known = {index["name"] for index in sa.inspect(op.get_bind()).get_indexes("archived_runs")}
    for column in ("project", "ended_at_s"):
        if (name := f"ix_archived_runs_{column}") not in known:
            op.create_index(name, "archived_runs", [column])
    op.create_table(
        "archived_parts",
        sa.Column(
            "place",
            sa.String(96),
            sa.ForeignKey("archived_runs.place", ondelete="CASCADE"),
            primary_key=True,
        ),
        sa.Column("part", sa.String(32), primary_key=True),
        sa.Column("content", text, nullable=False),
        if_not_exists=True,
    )
