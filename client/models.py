"""The part of the client that is about models, their stages and their lineage."""

from __future__ import annotations

from collections.abc import Iterable

from client.connection import Connection, segment
from schema import LineageReply, ModelVersion, ModelVersionsReply, RunModelsReply, Stage


class ModelCalls(Connection):
    """Models in versions."""

    def register_model(
        self, name: str, run_id: str, artifact: str, version: int | None = None
    ) -> ModelVersion:
        """Register weights of a run as the next version of a model; the same again is the one there is."""
        body = {"name": name, "run_id": run_id, "artifact": artifact, "version": version}
        return self._read(ModelVersion, self._send("POST", "/api/models", json=body))

    def list_versions(
        self,
        *,
        name: str | None = None,
        version: int | None = None,
        stage: Stage | None = None,
        project: str | None = None,
        cursor: str | None = None,
    ) -> ModelVersionsReply:
        """Return versions of models, newest first, 500 a page; ``version`` goes with ``name``."""
        number = None if version is None else str(version)
        query = {"name": name, "version": number, "stage": stage, "project": project, "cursor": cursor}
        given = {key: value for key, value in query.items() if value is not None}
        return self._read(ModelVersionsReply, self._send("GET", "/api/models", params=given))

    def list_run_models(self, iid: str) -> RunModelsReply:
        """Return the weights of a run, and what was registered of them."""
        return self._read(RunModelsReply, self._send("GET", f"/api/models/{segment(iid)}"))

    def set_stage(self, name: str, version: int, stage: Stage, note: str | None = None) -> ModelVersion:
        """Give a version a stage; a former production one is archived."""
        path = f"/api/models/{segment(name)}/{version}/stage"
        return self._read(ModelVersion, self._send("POST", path, json={"stage": stage, "note": note}))

    def fetch_version(self, name: str, version: int) -> bytes:
        """Return the weights of a version, whole."""
        return self._send("GET", f"/api/models/{segment(name)}/{version}/file").content

    def delete_version(self, name: str, version: int) -> None:
        """Forget a version that is not in production."""
        headers = {"Content-Type": "application/json"}
        self._send("DELETE", f"/api/models/{segment(name)}/{version}", headers=headers, expected=(204,))

    def use_models(self, iid: str, models: Iterable[str]) -> LineageReply:
        """Note that a run began with models, each name:3."""
        path = f"/api/experiments/{segment(iid)}/inputs"
        return self._read(LineageReply, self._send("POST", path, json={"models": list(models)}))

    def get_lineage(self, iid: str) -> LineageReply:
        """Return what a run came of and what came of it."""
        return self._read(LineageReply, self._send("GET", f"/api/experiments/{segment(iid)}/lineage"))
