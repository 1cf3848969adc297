"""The page Totals."""
