"""An app over a store with one run, for tests of its artifacts."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import redis
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from backend import create_app
from redis_db import RedisDB
from settings import Settings

BYTES: Final = "application/octet-stream"


class Place:
    """An app over a store with one run, and the folder of its artifacts."""

    def __init__(self, db: RedisDB, raw: redis.Redis, data_dir: Path) -> None:
        self.db, self.raw = db, raw
        self.settings = Settings(data_dir=data_dir, max_artifact_mib=40, max_run_artifacts_mib=80)
        self.api: FlaskClient = create_app(self.settings, db).test_client()
        self.iid: str = self.api.post("/api/experiments", json={"name": "mine"}).get_json()["iid"]
        self.folder = Path(self.settings.effective_artifact_url)

    def send(
        self, name: str, body: Any, query: str = "", kind: str | None = BYTES, **headers: str
    ) -> TestResponse:
        path = f"/api/artifacts/{self.iid}/{name}{query}"
        return self.api.post(path, data=body, content_type=kind, headers=headers)

    def stream(self, body: Any, size: int) -> TestResponse:
        """Send a body of a stated size that is read while it arrives."""
        given = {"wsgi.input": body, "CONTENT_LENGTH": str(size)}
        path = f"/api/artifacts/{self.iid}/a"
        return self.api.post(path, content_type=BYTES, environ_overrides=given)

    def files(self) -> list[Path]:
        return [path for path in self.folder.rglob("*") if path.is_file()]

    def records(self) -> int:
        return len(self.api.get(f"/api/artifacts/{self.iid}").get_json()["artifacts"])
