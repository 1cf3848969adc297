"""The HTTP API: one blueprint per noun, the guard before them, the error replies after them."""
