"""The command ``wattle``, and the launcher of ``make demo`` and ``make up``."""
