"""A fitted forecast as bytes: arrays in npz and a header in JSON, without pickle."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from carbon_aware_trainer.errors import IntensityUnavailable
from carbon_aware_trainer.forecasting.backtest import Captured
from carbon_aware_trainer.forecasting.hours import Floats
from carbon_aware_trainer.forecasting.inputs import Shape
from carbon_aware_trainer.forecasting.learning import Learned
from carbon_aware_trainer.forecasting.ridge import Ridge

VERSION = 2
Parts = tuple[str, tuple[Ridge, ...], tuple[float, ...], Floats, Captured | None, Learned]


def to_bytes(
    zone: str,
    ridges: Sequence[Ridge],
    weights: Sequence[float],
    bounds: Floats,
    captured: Captured | None,
    learned: Learned,
) -> bytes:
    """Write the parts of a fitted forecast; of what was learned, not the forecasts still to be judged."""
    header = {
        "version": VERSION,
        "zone": zone,
        "weights": list(weights),
        "captured": None if captured is None else asdict(captured),
        "ridges": [
            {"shape": asdict(ridge.shape), "mean": ridge.mean, "scale": ridge.scale} for ridge in ridges
        ],
    }
    arrays: dict[str, Any] = {f"ridge{i}": ridge.weights for i, ridge in enumerate(ridges)}
    arrays |= {"total": learned.total, "count": learned.count, "proof": learned.proof}
    text = np.frombuffer(json.dumps(header).encode(), dtype=np.uint8)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, header=text, bounds=bounds, **arrays)
    return buffer.getvalue()


def from_bytes(data: bytes) -> Parts:
    """Read what to_bytes wrote. Raises IntensityUnavailable for anything else, or another version's."""
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as archive:
            header = json.loads(archive["header"].tobytes())
            if header["version"] != VERSION:
                raise IntensityUnavailable(
                    f"The saved forecast is of version {header['version']}, not {VERSION}. Fit it anew."
                )
            ridges = tuple(
                Ridge(Shape(**ridge["shape"]), ridge["mean"], ridge["scale"], archive[f"ridge{i}"])
                for i, ridge in enumerate(header["ridges"])
            )
            bounds = archive["bounds"]
            learned = Learned(archive["total"], archive["count"], archive["proof"])
    except (ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as err:
        raise IntensityUnavailable("The saved forecast cannot be read. Fit it anew.") from err
    captured = None if header["captured"] is None else Captured(**header["captured"])
    return header["zone"], ridges, tuple(header["weights"]), bounds, captured, learned
