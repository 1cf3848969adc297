"""The tables of the archive; archive/migrations makes them, step by step."""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, Column, Float, ForeignKey, Integer, MetaData, String, Table, Text
from sqlalchemy.dialects.mysql import LONGTEXT

METADATA: Final = MetaData()
# JSON in ASCII, so that every database keeps it as it is, whatever its encoding.
_JSON: Final = Text().with_variant(LONGTEXT(), "mysql", "mariadb")

RUNS: Final = Table(
    "archived_runs",
    METADATA,
    Column("place", String(96), primary_key=True),
    Column("run_id", String(64), nullable=False),
    Column("project", String(64), nullable=False, index=True),
    Column("status", String(16), nullable=False),
    Column("time_added_s", Float(53), nullable=False),
    Column("ended_at_s", Float(53), nullable=False, index=True),
    Column("archived_at_s", Float(53), nullable=False),
    Column("layout", Integer, nullable=False),
    Column("record", _JSON, nullable=False),
    Column("points_file", String(200), nullable=True),
    Column("points", BigInteger, nullable=False),
    Column("bytes", BigInteger, nullable=False),
)
PARTS: Final = Table(
    "archived_parts",
    METADATA,
    Column("place", String(96), ForeignKey("archived_runs.place", ondelete="CASCADE"), primary_key=True),
    Column("part", String(32), primary_key=True),
    Column("content", _JSON, nullable=False),
)
# What a process wrote, or was about to delete, when it was killed.
LOOSE_FILES: Final = Table(
    "archived_loose_files",
    METADATA,
    Column("name", String(200), primary_key=True),
    Column("since_s", Float(53), nullable=False),
    Column("is_doomed", Integer, nullable=False),
)
