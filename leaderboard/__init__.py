"""Finished runs by what they achieved for what they cost; no Redis, no Flask."""
