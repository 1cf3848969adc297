"""Which configuration to try next, by scikit-learn's models of the finished ones; no Redis, no Flask."""
