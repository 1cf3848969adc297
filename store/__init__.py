"""The parts of the store: keys, scripts, and one class per noun. Programs reach them through ``redis_db``."""
