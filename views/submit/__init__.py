"""The page Submit, and what fills its form."""
