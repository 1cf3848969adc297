"""The page Carbon."""
