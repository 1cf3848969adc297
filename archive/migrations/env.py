"""How Alembic runs the steps: on the connection it is given, inside its transaction."""

from __future__ import annotations

from alembic import context

from archive.tables import METADATA

context.configure(connection=context.config.attributes["connection"], target_metadata=METADATA)
context.run_migrations()
