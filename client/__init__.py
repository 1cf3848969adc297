"""The typed HTTP client of Wattle's API."""

from client.api import Client

__all__ = ["Client"]
