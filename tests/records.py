"""Records that tests put into the store."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import JsonValue

from redis_db import RedisDB
from schema import CarbonPlan, EpochResult, ExtraCost, Lease, RunOptions, Worker

WORKER = "worker-1"
TORCH_WORKER = Worker(
    worker_id="w-1",
    name="w",
    host="host",
    pid=42,
    device="cpu",
    torch="2.13.0",
    threads=2,
    queues=("default",),
    started_at=datetime(2026, 1, 1, tzinfo=UTC),
    seen_at=datetime(2026, 1, 1, tzinfo=UTC),
)


def epoch(number: int, **changes: Any) -> EpochResult:
    """An epoch of half a second, whose energy is unknown unless it is given."""
    known: dict[str, Any] = {
        "train_loss": 1.0 / number,
        "train_accuracy": 0.5,
        "test_loss": 1.5 / number,
        "test_accuracy": 0.5,
        "duration_s": 0.5,
    }
    return EpochResult.model_validate({"epoch": number, **known, **changes})


def claim(db: RedisDB, *, worker_id: str = WORKER, queue: str = "default", lease_s: float = 60) -> Lease:
    """Claim a run that is known to wait."""
    lease = db.queue.claim([queue], worker_id=worker_id, lease_s=lease_s)
    assert lease is not None
    return lease


def running(
    db: RedisDB, *, worker_id: str = WORKER, run_id: str | None = None, is_simulated: bool = False
) -> Lease:
    """Submit a run and claim it."""
    label: dict[str, JsonValue] = {"simulated": True} if is_simulated else {}
    db.queue.submit({"num_epochs": 3, **label}, RunOptions(queue=worker_id), run_id=run_id)
    return claim(db, worker_id=worker_id, queue=worker_id)


def extra(**changes: Any) -> ExtraCost:
    """Return what an attempt used besides its epochs."""
    known = {
        "name": "batch_trial",
        "attempt": 1,
        "ended_at": datetime(2026, 3, 1, 12, tzinfo=UTC),
        "span_s": 4.0,
        "duration_s": 4.0,
        "energy_kwh": 0.5,
        "energy_quality": "measured",
        "co2_g": 50,
    }
    return ExtraCost.model_validate(known | changes)


def plan(start_at: datetime, **changes: Any) -> CarbonPlan:
    """Return a plan of an hour's work in Germany."""
    end_at = start_at + timedelta(hours=1)
    known: dict[str, Any] = {
        "made_at": datetime(2026, 3, 1, 12, tzinfo=UTC),
        "next_at": datetime(2026, 3, 1, 13, tzinfo=UTC),
        "policy": "adaptive",
        "method": "ridge",
        "zone": "DE",
        "provider": "cached",
        "basis": "average lifecycle",
        "start_at": start_at,
        "end_at": end_at,
        "deadline": end_at + timedelta(days=1),
        "windows": [{"start": start_at, "end": end_at, "g_per_kwh": 210}],
        "duration_s": 3600,
        "duration_from": "a guess",
        "g_per_kwh": 210,
        "run_now_g_per_kwh": 420,
        "saving": 0.5,
        "reason": f"it starts at {start_at:%H:%M} UTC: 210 g/kWh instead of 420",
    }
    return CarbonPlan.model_validate(known | changes)
