"""Files of points that no run names, yet or any more; in MySQL names are compared letter by letter."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

# Its default takes names for the same that differ in capitals, and belongs to the server, not to us.
_EXACT = "ALTER TABLE {} CONVERT TO CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"


def upgrade() -> None:
    """Make the table, and convert the others."""
    op.create_table(
        "archived_loose_files",
        sa.Column("name", sa.String(200), primary_key=True),
        sa.Column("since_s", sa.Float(53), nullable=False),
        sa.Column("is_doomed", sa.Integer, nullable=False),
        if_not_exists=True,
    )
    if op.get_bind().dialect.name in ("mysql", "mariadb"):
        for known in sa.inspect(op.get_bind()).get_foreign_keys("archived_parts"):
            op.drop_constraint(known["name"] or "", "archived_parts", type_="foreignkey")
        for table in ("archived_runs", "archived_parts", "archived_loose_files"):
            op.execute(_EXACT.format(table))
        op.create_foreign_key(
            *("archived_parts_place", "archived_parts", "archived_runs"),
            *(["place"], ["place"]),
            ondelete="CASCADE",
        )
