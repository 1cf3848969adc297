"""The typed HTTP client of Wattle's API."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Literal

import httpx
from pydantic import JsonValue

from client.alerts import AlertCalls
from client.archive import ArchiveCalls
from client.artifacts import ArtifactCalls
from client.connection import segment
from client.doctor import DoctorCalls
from client.experiments import WordCalls
from client.files import FileCalls
from client.histograms import HistogramCalls
from client.home import HomeCalls
from client.leaderboard import LeaderboardCalls
from client.logs import LogCalls
from client.marks import MarkCalls
from client.models import ModelCalls
from client.quotas import QuotaCalls
from client.reproduce import ReproduceCalls
from client.retention import RetentionCalls
from client.sweeps import SweepCalls
from client.tokens import TokenCalls
from schema import (
    AccountReply,
    Action,
    BulkReply,
    DeletionReply,
    EpochsReply,
    ForecastReply,
    HealthReply,
    HistoryReply,
    IntensityReply,
    MetricsReply,
    ModelName,
    ModelsReply,
    PowerReply,
    Prediction,
    Priority,
    RecomputeReply,
    RecomputeRequest,
    RunOptions,
    RunReply,
    RunsReply,
    SavingsReply,
    SortField,
    Status,
    TagsRequest,
    TicketReply,
    TotalsReply,
    TrainersReply,
    TrainReply,
    WindowReply,
    WorkerReply,
    WorkersReply,
    ZonesReply,
)
from schema.metrics import CostName

ExtraField = Literal["in_update", "sparkline"]


class Client(
    AlertCalls,
    ArchiveCalls,
    ArtifactCalls,
    DoctorCalls,
    FileCalls,
    HistogramCalls,
    HomeCalls,
    LeaderboardCalls,
    LogCalls,
    MarkCalls,
    ModelCalls,
    QuotaCalls,
    ReproduceCalls,
    RetentionCalls,
    SweepCalls,
    TokenCalls,
    WordCalls,
):
    """The API at one address. Safe to share between threads; nothing is retried.

    Every method raises ApiUnavailable when no usable answer came, and ApiRefused when the API said no.
    """

    def submit(
        self,
        hyper_params: Mapping[str, JsonValue],
        options: RunOptions | None = None,
        *,
        idempotency_key: str | None = None,
    ) -> TrainReply:
        """Queue a run. Repeat a call that failed with the key it was first made with, and it queues once."""
        body = {
            "hyper_params": dict(hyper_params),
            "options": (options or RunOptions()).model_dump(mode="json"),
        }
        headers = {"Idempotency-Key": idempotency_key or uuid.uuid4().hex}
        return self._read(TrainReply, self._send("POST", "/train", json=body, headers=headers))

    def get_run(self, iid: str, *, fields: Iterable[Literal["in_update"]] = ("in_update",)) -> RunReply:
        """Return a run with its epochs in ``in_update``; without them when ``fields`` is empty."""
        params = {} if "in_update" in fields else {"fields": ""}
        return self._read(RunReply, self._send("GET", f"/api/runs/{segment(iid)}", params=params))

    def list_runs(
        self,
        *,
        sort: SortField = SortField.TIME_ADDED,
        order: Literal["asc", "desc"] = "desc",
        status: Status | None = None,
        name: str | None = None,
        q: str | None = None,
        limit: int | None = None,
        cursor: str | None = None,
        fields: Iterable[ExtraField] = (),
    ) -> RunsReply:
        """Return runs in that order: all of them, or a page when ``limit`` is given; ``q`` is a search."""
        query = {
            "sort": str(sort),
            "order": order,
            "status": None if status is None else str(status),
            "name": name,
            "q": q or None,
            "limit": None if limit is None else str(limit),
            "cursor": cursor,
            "fields": ",".join(fields) or None,
        }
        given = {name: value for name, value in query.items() if value is not None}
        return self._read(RunsReply, self._send("GET", "/api/runs", params=given))

    def list_epochs(self, iid: str) -> EpochsReply:
        """Return the epochs of a run, oldest first, and its attempts."""
        return self._read(EpochsReply, self._send("GET", f"/api/runs/{segment(iid)}/epochs"))

    def list_metrics(self, iid: str) -> MetricsReply:
        """Return what is known of each metric of a run in ``names``, by name."""
        return self._read(MetricsReply, self._send("GET", f"/api/metrics/{segment(iid)}"))

    def read_metrics(
        self, iid: str, names: Iterable[str], *, points: int = 1000, cost: CostName | None = None
    ) -> MetricsReply:
        """Return points of at most 20 metrics in ``metrics``, at most so many of each, no peak lost.

        With ``cost``, also what the run had used of it by each point.
        """
        params = {"name": ",".join(names), "points": str(points)} | ({"cost": cost} if cost else {})
        return self._read(MetricsReply, self._send("GET", f"/api/metrics/{segment(iid)}", params=params))

    def get_account(self, iid: str) -> AccountReply:
        """Return what a run's energy and CO₂ come to, and while it runs what it will take."""
        return self._read(AccountReply, self._send("GET", f"/api/runs/{segment(iid)}/account"))

    def list_power(self, iid: str) -> PowerReply:
        """Return the power of a run over time."""
        return self._read(PowerReply, self._send("GET", f"/api/runs/{segment(iid)}/power"))

    def recompute(self, iid: str, intensities: RecomputeRequest | None = None) -> RecomputeReply:
        """Compute a run's CO₂ again, without ``intensities`` with the present one of its zone."""
        body = intensities.model_dump(mode="json", exclude_none=True) if intensities else {}
        path = f"/api/runs/{segment(iid)}/recompute"
        return self._read(RecomputeReply, self._send("POST", path, json=body))

    def list_totals(self, *, by: Literal["day", "project"] = "day", days: int = 30) -> TotalsReply:
        """Return what all runs used by day (UTC), up to today, or by project."""
        params = {"by": by, "days": str(days)}
        return self._read(TotalsReply, self._send("GET", "/api/totals", params=params))

    def predict(self, hyper_params: Mapping[str, JsonValue], options: RunOptions | None = None) -> Prediction:
        """Return what a run would take, before it is queued."""
        body = {
            "hyper_params": dict(hyper_params),
            "options": (options or RunOptions()).model_dump(mode="json"),
        }
        return self._read(Prediction, self._send("POST", "/api/predict", json=body))

    def list_models(self, iid: str) -> ModelsReply:
        """Return the saved models of a run, the best one first. Refused with 404 when it has none."""
        return self._read(ModelsReply, self._send("GET", f"/api/runs/{segment(iid)}/models"))

    def fetch_model_file(self, iid: str, name: ModelName, file: str) -> bytes:
        """Return one file of a saved model, whole."""
        path = f"/api/runs/{segment(iid)}/models/{segment(name)}/{segment(file)}"
        return self._send("GET", path).content

    def cancel_run(self, iid: str) -> RunReply:
        """End a run: at once while no worker has it, else at the next step of its training."""
        return self._control(iid, "cancel")

    def pause_run(self, iid: str) -> RunReply:
        """Keep a run from workers until it is resumed; a running one saves a checkpoint first."""
        return self._control(iid, "pause")

    def resume_run(self, iid: str) -> RunReply:
        """Let a paused or deferred run wait again, to be claimed next."""
        return self._control(iid, "resume")

    def run_now(self, iid: str) -> RunReply:
        """Let a run be trained as soon as it can, whatever its carbon plan says."""
        return self._read(RunReply, self._send("POST", f"/api/runs/{segment(iid)}/run-now", json={}))

    def preempt_run(self, iid: str) -> RunReply:
        """Let a worker put its run back with a checkpoint, to be claimed again."""
        return self._control(iid, "preempt")

    def retry_run(self, iid: str) -> RunReply:
        """Queue a failed or cancelled run again; it goes on from its checkpoint."""
        return self._control(iid, "retry")

    def set_priority(self, iid: str, priority: Priority) -> RunReply:
        """Let a run be claimed before the normal ones of its queue, or no longer."""
        return self._control(iid, "priority", {"priority": priority})

    def rerun_run(
        self,
        iid: str,
        changes: Mapping[str, JsonValue] | None = None,
        *,
        options: Mapping[str, JsonValue] | None = None,
        idempotency_key: str | None = None,
    ) -> RunReply:
        """Queue a new run like this one, with changed hyper_params and options, and return the new one.

        Repeat a call that failed with the key it was first made with, and it queues once.
        """
        body = {"hyper_params": dict(changes or {}), "options": dict(options or {})}
        headers = {"Idempotency-Key": idempotency_key or uuid.uuid4().hex}
        path = f"/api/runs/{segment(iid)}/rerun"
        return self._read(RunReply, self._send("POST", path, json=body, headers=headers))

    def bulk(
        self,
        action: Action,
        run_ids: Iterable[str] | None = None,
        status: Status | None = None,
        *,
        priority: Priority | None = None,
        tags: TagsRequest | None = None,
    ) -> BulkReply:
        """Do ``action`` with many runs, at most 500: those named, or the oldest of a status.

        The reply has an outcome for each; only a request that is wrong as a whole is refused.
        """
        given: dict[str, JsonValue] = {
            "run_ids": None if run_ids is None else list(run_ids),
            "status": status,
            "priority": priority,
            "tags": None if tags is None else tags.model_dump(mode="json"),
        }
        body = {"action": action} | {name: value for name, value in given.items() if value is not None}
        headers = {"Idempotency-Key": uuid.uuid4().hex}
        return self._read(BulkReply, self._send("POST", "/api/runs/bulk", json=body, headers=headers))

    def get_deletion(self, iid: str) -> DeletionReply:
        """Return what deleting a run that has ended would remove."""
        return self._read(DeletionReply, self._send("GET", f"/api/runs/{segment(iid)}/deletion"))

    def delete_run(self, iid: str) -> DeletionReply:
        """Delete a run that has ended, with its models, checkpoints and artifacts, for good."""
        # The API takes a write without a body only when it is declared as JSON, too.
        headers = {"Content-Type": "application/json"}
        path = f"/api/runs/{segment(iid)}"
        return self._read(DeletionReply, self._send("DELETE", path, params={"confirm": iid}, headers=headers))

    def list_workers(self) -> WorkersReply:
        """Return the live workers by name, then those that are gone since less than a day."""
        return self._read(WorkersReply, self._send("GET", "/api/workers"))

    def drain_worker(self, worker_id: str, is_draining: bool) -> WorkerReply:
        """Let a worker end after the run it has, or no longer."""
        path = f"/api/workers/{segment(worker_id)}/drain"
        return self._read(WorkerReply, self._send("POST", path, json={"is_draining": is_draining}))

    def get_intensity(self, zone: str | None = None) -> IntensityReply:
        """Return the intensity of a zone now, without one that of the installation's."""
        return self._read(IntensityReply, self._ask_grid("now", zone))

    def get_forecast(self, zone: str | None = None, *, hours: int = 48) -> ForecastReply:
        """Return what is expected of a zone, with 80 % intervals."""
        return self._read(ForecastReply, self._ask_grid("forecast", zone, hours=str(hours)))

    def get_window(
        self,
        duration_h: float,
        *,
        zone: str | None = None,
        deadline: datetime | None = None,
        interruptible: bool = False,
    ) -> WindowReply:
        """Return the cleanest time for work of that length."""
        query = {"duration_h": repr(float(duration_h)), "interruptible": str(interruptible).lower()}
        if deadline is not None:
            query["deadline"] = deadline.isoformat()
        return self._read(WindowReply, self._ask_grid("window", zone, **query))

    def get_intensity_history(self, zone: str | None = None) -> HistoryReply:
        """Return the mean intensity of a zone by month and hour of the day (UTC)."""
        return self._read(HistoryReply, self._ask_grid("history", zone))

    def list_savings(self, *, weeks: int = 12, project: str | None = None) -> SavingsReply:
        """Return what runs saved against running at once, by week, oldest first."""
        params = {"weeks": str(weeks)} | ({} if project is None else {"project": project})
        return self._read(SavingsReply, self._send("GET", "/api/carbon/savings", params=params))

    def list_zones(self) -> ZonesReply:
        """Return the zones in use as they are now, and all that are known."""
        return self._read(ZonesReply, self._send("GET", "/api/carbon/zones"))

    def list_trainers(self) -> TrainersReply:
        """Return the trainers, the default one first."""
        return self._read(TrainersReply, self._send("GET", "/api/trainers"))

    def get_health(self) -> HealthReply:
        """Return what the API says about itself, also when that is ``unavailable``."""
        return self._read(HealthReply, self._send("GET", "/healthz", expected=(200, 503)))

    def issue_live_ticket(self, run_id: str | None = None) -> TicketReply:
        """Return a ticket that opens the live page of a run, or of what scripts send, in another page."""
        return self._read(TicketReply, self._send("POST", "/api/live/tickets", json={"run_id": run_id}))

    def _control(self, iid: str, action: Action, body: Mapping[str, JsonValue] | None = None) -> RunReply:
        return self._read(RunReply, self._send("POST", f"/api/runs/{segment(iid)}/{action}", json=body or {}))

    def _ask_grid(self, what: str, zone: str | None, **query: str) -> httpx.Response:
        params = query if zone is None else {**query, "zone": zone}
        return self._send("GET", f"/api/carbon/{what}", params=params)
