"""The pages, with an ended run drawn several times a second: what takes minutes to meet, at once."""

from __future__ import annotations

from views import site
from views.run import page as run

run._IDLE_S = 0.3  # type: ignore[assignment]
site.show()
