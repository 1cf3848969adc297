"""What tables of runs, which each web process keeps as columns, have in common: docs/decisions/071."""
