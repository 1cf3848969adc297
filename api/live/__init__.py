"""Live views of running runs."""
