"""The part of the client that is about sweeps."""

from __future__ import annotations

from typing import Literal

from client.connection import Connection, segment
from schema import Prediction
from schema.sweeps import Sweep, SweepFigures, SweepRequest, SweepsReply, TrialsReply

SweepAction = Literal["pause", "resume", "stop"]


class SweepCalls(Connection):
    """Sweeps, their trials and figures."""

    def start_sweep(self, request: SweepRequest, *, idempotency_key: str | None = None) -> Sweep:
        """Start a sweep."""
        headers = {} if idempotency_key is None else {"Idempotency-Key": idempotency_key}
        body = request.model_dump(mode="json", exclude_unset=True)
        return self._read(Sweep, self._send("POST", "/api/sweeps", json=body, headers=headers))

    def predict_sweep(self, request: SweepRequest) -> Prediction:
        """Return what all trials of a sweep would take together, before it is started."""
        body = request.model_dump(mode="json", exclude_unset=True)
        return self._read(Prediction, self._send("POST", "/api/sweeps/predict", json=body))

    def list_sweeps(self, limit: int = 100) -> SweepsReply:
        """Return the sweeps, newest first."""
        return self._read(SweepsReply, self._send("GET", "/api/sweeps", params={"limit": str(limit)}))

    def get_sweep(self, sweep_id: str) -> Sweep:
        """Return one sweep."""
        return self._read(Sweep, self._send("GET", f"/api/sweeps/{segment(sweep_id)}"))

    def list_trials(self, sweep_id: str) -> TrialsReply:
        """Return the trials of a sweep by number."""
        return self._read(TrialsReply, self._send("GET", f"/api/sweeps/{segment(sweep_id)}/trials"))

    def get_sweep_figures(self, sweep_id: str) -> SweepFigures:
        """Return a sweep's figures as Plotly JSON."""
        return self._read(SweepFigures, self._send("GET", f"/api/sweeps/{segment(sweep_id)}/figures"))

    def steer_sweep(self, sweep_id: str, action: SweepAction) -> Sweep:
        """Pause, resume or stop a sweep."""
        return self._read(Sweep, self._send("POST", f"/api/sweeps/{segment(sweep_id)}/{action}", json={}))

    def delete_sweep(self, sweep_id: str) -> Sweep:
        """Forget a sweep that has ended, and return what it was."""
        headers = {"Content-Type": "application/json"}
        path = f"/api/sweeps/{segment(sweep_id)}"
        return self._read(Sweep, self._send("DELETE", path, headers=headers))
