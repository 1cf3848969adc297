"""All runs as columns, which each web process keeps for searching: docs/decisions/063."""
