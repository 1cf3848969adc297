"""Command-line programs: the launcher of ``make demo`` and ``make up``."""
