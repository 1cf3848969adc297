"""The program carbon-aware."""
