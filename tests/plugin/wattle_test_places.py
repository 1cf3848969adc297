"""A driver for tests, registered as any third party's would be."""

from __future__ import annotations

import time

from fsspec.implementations.local import LocalFileSystem

CARD_S = 1.5


class SlowCards(LocalFileSystem):  # type: ignore[misc] # fsspec has no types
    """Files of this machine behind a line so slow that a card takes CARD_S."""

    protocol = "slowcards"

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **options: object) -> None:
        """Write a file."""
        if path.endswith("card.json"):
            time.sleep(CARD_S)
        super().pipe_file(path, value, mode, **options)
