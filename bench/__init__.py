"""Benchmarks: ``python -m bench.<name> [--quick]``; the last line printed is one JSON object."""
